"""portcullis-rbac-sync with its configuration, templates and spool in one folder."""
import os
import re

import yaml

from . import yamlio
from .paths import TOP, program
from .proc import Process, run, wait_until
from .spool import Spool

HEAD = {"apiVersion": "sync.portcullis.dev/v1alpha1", "kind": "SyncConfig", "subjectMode": "user-first"}


DEPLOY = os.path.join(TOP, "deploy", "rbac-sync")
RBAC = "/apis/rbac.authorization.k8s.io/v1"
RECORDS = "/apis/portcullis.dev/v1alpha1/userrecords"
MANAGED = "labelSelector=app.kubernetes.io/managed-by=portcullis"


def docs(path):
    with open(path, encoding="utf-8") as f:
        return [d for d in yaml.safe_load_all(f) if d]


def install_crd(api):
    """Installs the definition of UserRecords and waits until it is served."""
    for doc in docs(os.path.join(DEPLOY, "crd.yaml")):
        api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", doc)

    def served():
        with api.client() as c:
            return c.get(RECORDS).status == 200
    wait_until(served, "the definition to be served")


def install_rbac(api, text):
    """Objects of `portcullis sync rbac`, as a file's path or its text, in force."""
    api.create_rbac(docs(text) if os.path.exists(text) else [d for d in yaml.safe_load_all(text) if d])


def aggregate(api):
    """Fills view, edit and admin as the controller manager would: none runs here."""
    with api.client() as c:
        rules = []
        for role in ("view", "edit", "admin"):
            path = f"{RBAC}/clusterroles/"
            rules = rules + c.get(f"{path}system:aggregate-to-{role}").json["rules"]
            got = c.request("PATCH", path + role, json={"rules": rules},
                            headers={"Content-Type": "application/merge-patch+json"})
            assert got.status == 200, got


def records(api):
    """username → record."""
    return {o["spec"]["identity"]["username"]: o for o in api.get(RECORDS)["items"]}


def phase(api, user):
    return records(api).get(user, {}).get("status", {}).get("phase")


def bindings(api):
    """(namespace, name) → binding, of those with our label in the whole cluster."""
    items = [o for kind in ("rolebindings", "clusterrolebindings") for o in api.get(f"{RBAC}/{kind}?{MANAGED}")["items"]]
    return {(o["metadata"].get("namespace"), o["metadata"]["name"]): o for o in items}


def remove_all(api):
    """Records, bindings, and namespaces' marks: nothing is left for the next test."""
    with api.client() as c:
        for o in api.get(RECORDS)["items"]:
            assert c.request("DELETE", f"{RECORDS}/{o['metadata']['name']}").status == 200
        for ns, name in bindings(api):
            kind = f"namespaces/{ns}/rolebindings" if ns else "clusterrolebindings"
            assert c.request("DELETE", f"{RBAC}/{kind}/{name}").status in (200, 404)


DEVS = {"name": "devs", "match": {"groups": ["eng-*"]},
        "grants": [{"clusterRole": "edit", "namespaces": ["${group|replace:eng-:}"]}]}
VIEW = {"name": "everybody", "match": {"providers": ["*"]},
        "grants": [{"clusterRole": "view", "scope": "cluster"}]}


class Worker:
    def __init__(self, folder, kubeconfig, templates, spool=None, **config):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.spool = Spool(spool or self.path("spool"))
        self.templates_path = self.path("templates.yaml")
        self.metrics_path = self.path("metrics.prom")
        self.config_path = self.path("rbac-sync.yaml")
        self.write_templates(templates)
        doc = {"apiVersion": HEAD["apiVersion"], "kind": "RBACSyncConfiguration",
               "spoolDir": self.spool.folder, "kubeconfig": str(kubeconfig),
               "templates": self.templates_path, "metricsFile": self.metrics_path,
               "scanInterval": "1s", "retryInitial": "20ms", "retryMax": "50ms",
               "requests": {"qps": 1000, "burst": 1000}, "leaderElection": {"enabled": False},
               # The spool's events of these tests are of 2023.
               "gc": {"staleAfter": "0s"}}
        doc.update(config)
        yamlio.write(self.config_path, {k: v for k, v in doc.items() if v is not None})
        self.process = Process(self.argv(), self.path("worker.log"), name="portcullis-rbac-sync")

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def argv(self, *options):
        return [program("portcullis-rbac-sync"), "--config", self.config_path, *options]

    def write_templates(self, templates):
        """TEMPLATES: the list, or the file's text."""
        doc = templates if isinstance(templates, str) else {**HEAD, "templates": templates}
        return yamlio.write_atomic(self.templates_path, doc)

    def run(self, *options):
        """To its end: --once and the like."""
        return run(self.argv(*options))

    def once(self):
        return self.run("--once")

    def start(self):
        self.process.start()
        self.process.wait_for(lambda: '"started"' in self.process.output(), "the worker to start")
        return self

    def logged(self, text):
        return text in self.process.output()

    def wait_logged(self, text):
        self.process.wait_for(lambda: self.logged(text), f"{text!r} in the log")

    def wait_for(self, check, what):
        return self.process.wait_for(check, what)

    def wait_empty(self):
        self.process.wait_for(self.spool.empty, "the spool to be empty")

    def stop(self):
        return self.process.stop()

    def metric(self, name, labels=""):
        """Value in the metrics file, 0 when it is not there."""
        try:
            with open(self.metrics_path, encoding="utf-8") as f:
                m = re.search("^" + re.escape(name + labels) + " (.*)$", f.read(), re.MULTILINE)
        except FileNotFoundError:
            return 0
        return float(m.group(1)) if m else 0
