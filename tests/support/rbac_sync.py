"""portcullis-rbac-sync with its configuration, templates and spool in one folder."""
import os
import re

from . import yamlio
from .paths import program
from .proc import Process, run
from .spool import Spool

HEAD = {"apiVersion": "sync.portcullis.dev/v1alpha1", "kind": "SyncConfig", "subjectMode": "user-first"}


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
