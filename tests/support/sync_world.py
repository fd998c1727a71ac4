"""A cluster for portcullis-rbac-sync: records known, roles filled, the worker's rights as `portcullis sync rbac` prints them."""
import json
import os
import urllib.parse

import yaml

from . import authorizer, kubeconfig, yamlio
from .apiserver import ApiServer
from .paths import program
from .proc import Service, run
from .rbac_sync import RBAC, RECORDS, aggregate, install_crd
from .spool import key

EVENTS = "/apis/events.k8s.io/v1/namespaces/kube-system/events"
SYSTEM = "portcullis-system"
OURS = "labelSelector=app.kubernetes.io/managed-by%3Dportcullis"
MERGE = {"Content-Type": "application/merge-patch+json"}


def binding_path(namespace, name=None):
    where = f"namespaces/{namespace}/rolebindings" if namespace else "clusterrolebindings"
    return f"{RBAC}/{where}" + (f"/{urllib.parse.quote(name)}" if name else "")


def subject(name, kind="User"):
    return {"kind": kind, "apiGroup": "rbac.authorization.k8s.io", "name": name}


def role_ref(name, kind="ClusterRole"):
    return {"kind": kind, "apiGroup": "rbac.authorization.k8s.io", "name": name}


def rule(verbs, resources, group=""):
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


class SyncWorld(Service):
    """USER is the worker's name to the apiserver, by certificate; what it does there is in the audit log."""

    def __init__(self, folder, etcd, user="portcullis-rbac-sync"):
        self.folder, self.user = str(folder), user
        self.audit_path = os.path.join(self.folder, "audit.log")
        policy = yamlio.write(os.path.join(self.folder, "audit.yaml"), {
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata"}]})
        self.api = ApiServer(os.path.join(self.folder, "api"), etcd, extra={
            "audit-policy-file": policy, "audit-log-path": self.audit_path, "audit-log-mode": "blocking-strict"})

    def start(self):
        self.api.start()
        install_crd(self.api)
        aggregate(self.api)
        self.api.namespace(SYSTEM)
        self.kubeconfig = self.credential(self.user)
        return self

    def credential(self, user, org=()):
        """A kubeconfig of USER in the groups ORG."""
        path = os.path.join(self.folder, f"{user.replace(':', '-')}.kubeconfig")
        if not os.path.exists(path):
            kubeconfig.write(path, self.api.url, self.api.ca, pair=self.api.ca.client(user, org=org))
        return path

    def stop(self):
        self.api.stop()

    # --- the worker's rights ---
    def rights(self, worker, *options):
        """What the program prints for WORKER's configuration and templates."""
        got = run([program("portcullis"), "sync", "rbac", "--config", worker.config_path, *options], check=True)
        return list(yaml.safe_load_all(got.stdout))

    def audit(self, user, start=0):
        """What USER asked of the apiserver: audit events from the byte START of the log on."""
        with open(self.audit_path, encoding="utf-8") as f:
            f.seek(start)
            told = [json.loads(line) for line in f if line.endswith("\n")]
        return [e for e in told if e["user"]["username"] == user]

    def audit_end(self):
        """Where the next event will begin."""
        with open(self.audit_path, "rb") as f:
            return f.read().rfind(b"\n") + 1

    def grant(self, docs):
        """Makes the worker's rights just these; all of them hold when it returns."""
        self.api.create_rbac(docs, wait=False)
        for doc in docs:
            if "rules" in doc:
                self.api.patch(self.role_path(doc), {"rules": doc["rules"]})
        authorizer.wait_rights(self.api, docs)

    @staticmethod
    def role_path(doc):
        ns, name = doc["metadata"].get("namespace"), doc["metadata"]["name"]
        return f"{RBAC}/namespaces/{ns}/roles/{name}" if ns else f"{RBAC}/clusterroles/{name}"

    # --- what is there ---
    def record(self, user, provider="ldap:corp"):
        return self.api.get(f"{RECORDS}/{key(provider, user)}")

    def condition(self, user, kind):
        """The condition of that type, or None."""
        have = self.record(user) or {}
        told = have.get("status", {}).get("conditions") or []
        return next((c for c in told if c["type"] == kind), None)

    def phase(self, user):
        return ((self.record(user) or {}).get("status") or {}).get("phase")

    def listed(self, path):
        with self.api.client() as c:
            got = c.get(path)
            assert got.status == 200, got
            return got.json["items"]

    def bindings(self, *namespaces):
        """(namespace, name) → object, of those with our label; of the cluster scope too."""
        return {(ns, o["metadata"]["name"]): o for ns in (None, *namespaces)
                for o in self.listed(f"{binding_path(ns)}?{OURS}")}

    def grants(self, *namespaces):
        """{(namespace, role, subject)} of our bindings."""
        return {(ns, o["roleRef"]["name"], s["name"]) for (ns, _), o in self.bindings(*namespaces).items()
                for s in o.get("subjects", [])}

    def events(self, reason):
        return [e for e in self.listed(EVENTS) if e.get("reason") == reason]

    # --- what others do ---
    def role(self, name, rules=(), labels=None, gathers=None, namespace=None):
        doc = {"metadata": {"name": name, "labels": labels or {}}, "rules": list(rules)}
        if gathers is not None:
            doc["aggregationRule"] = {"clusterRoleSelectors": gathers}
        where = f"namespaces/{namespace}/roles" if namespace else "clusterroles"
        return self.api.create(f"{RBAC}/{where}", doc, ok=(201,))

    def bind(self, namespace, name, role, *subjects, meta=None):
        return self.api.create(binding_path(namespace), {
            "metadata": {"name": name, **(meta or {})}, "roleRef": role_ref(role),
            "subjects": list(subjects)}, ok=(201,))

    def delete_records(self):
        with self.api.client() as c:
            got = c.request("DELETE", RECORDS)
            assert got.status == 200, got

    def delete_bindings(self, *namespaces):
        with self.api.client() as c:
            for ns in (None, *namespaces):
                got = c.request("DELETE", f"{binding_path(ns)}?{OURS}")
                assert got.status == 200, got
