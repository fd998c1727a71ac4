"""A real kube-apiserver, of any version from 1.20 to today's, with both webhooks and RBAC.

KUBE_APISERVER=PATH chooses the binary; else the cached 1.20.2 that scripts/ensure-kube-apiserver builds.
Flags are chosen by what `--version` says.
"""
import json
import os
import re

import yaml

from . import authorizer, kubeconfig, pki, yamlio
from .https import Client, tls_context
from .paths import CACHE, TOP
from .ports import free_port
from .proc import Process, Service, run

API_AUDIENCE = "https://kubernetes.default.svc"
RECORDS = "/apis/portcullis.dev/v1alpha1/userrecords"


def binary():
    path = os.environ.get("KUBE_APISERVER") or os.path.join(CACHE, "kube-apiserver")
    assert os.access(path, os.X_OK), f"{path}: no kube-apiserver; run scripts/ensure-kube-apiserver"
    return path


def version(path):
    """(1, 20) of "Kubernetes v1.20.2"."""
    got = run([path, "--version"], check=True).stdout
    m = re.search(r"Kubernetes v(\d+)\.(\d+)", got)
    assert m, f"{path} --version says {got!r}"
    return int(m.group(1)), int(m.group(2))


class Webhooks:
    """Where the apiserver finds portcullisd, and with which API versions it asks."""

    def __init__(self, port, server_ca, client, authn_version="v1", authz_version="v1"):
        self.port, self.server_ca, self.client = port, server_ca, client
        self.authn_version, self.authz_version = authn_version, authz_version


class ApiServer(Service):
    def __init__(self, folder, etcd, webhooks=None, path=None, extra=None):
        """EXTRA: further flags, name to value."""
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.path = path or binary()
        self.version = version(self.path)
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.ca = pki.CA(os.path.join(self.folder, "pki"), "cluster-ca")
        self.admin = self.ca.client("admin", org=("system:masters",))
        serving = self.ca.server("apiserver")
        sa_key = pki.rsa_key(os.path.join(self.folder, "sa.key"))
        sa_pub = pki.public_key(sa_key, os.path.join(self.folder, "sa.pub"))
        args = {
            "etcd-servers": etcd.url,
            "etcd-prefix": f"/registry-{self.port}",
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "endpoint-reconciler-type": "none",
            "secure-port": self.port,
            "cert-dir": os.path.join(self.folder, "run"),
            "tls-cert-file": serving.crt,
            "tls-private-key-file": serving.key,
            "client-ca-file": self.ca.crt,
            "service-account-issuer": API_AUDIENCE,
            "service-account-key-file": sa_pub,
            "service-account-signing-key-file": sa_key,
            "service-cluster-ip-range": "10.96.0.0/24",
            # No controller manager runs here to make service accounts.
            "disable-admission-plugins": "ServiceAccount",
        }
        if webhooks is not None:
            args.update(self._webhook_args(webhooks))
        else:
            args["authorization-mode"] = "RBAC"
        args.update(extra or {})
        self.process = Process(
            [self.path] + [f"--{k}={v}" for k, v in args.items()],
            os.path.join(self.folder, "apiserver.log"), name="kube-apiserver")
        self._context = tls_context(self.ca, self.admin)

    def _webhook_args(self, w):
        authn = kubeconfig.render_deployed(
            "authn.kubeconfig", os.path.join(self.folder, "authn.kubeconfig"),
            w.port, w.server_ca, w.client)
        authz = kubeconfig.render_deployed(
            "authz.kubeconfig", os.path.join(self.folder, "authz.kubeconfig"),
            w.port, w.server_ca, w.client)
        args = {
            "authentication-token-webhook-config-file": authn,
            "authentication-token-webhook-version": w.authn_version,
            "authentication-token-webhook-cache-ttl": "0s",
        }
        if self.version >= (1, 30):
            args["authorization-config"] = self._authorization_config(w, authz)
        else:
            args.update({
                "authorization-mode": "Webhook,RBAC",
                "authorization-webhook-config-file": authz,
                "authorization-webhook-version": w.authz_version,
                "authorization-webhook-cache-authorized-ttl": "0s",
                "authorization-webhook-cache-unauthorized-ttl": "0s",
            })
        return args

    def _authorization_config(self, w, authz):
        """deploy/kubeadm/authorization.yaml with this test's kubeconfig, API version and short caches."""
        with open(os.path.join(TOP, "deploy", "kubeadm", "authorization.yaml"), encoding="utf-8") as f:
            doc = yaml.safe_load(f)
        if self.version < (1, 32):
            doc["apiVersion"] = "apiserver.config.k8s.io/v1beta1"
        for a in doc["authorizers"]:
            if a["type"] == "Webhook":
                hook = a["webhook"]
                hook["connectionInfo"]["kubeConfigFile"] = authz
                hook["subjectAccessReviewVersion"] = w.authz_version
                hook["authorizedTTL"] = hook["unauthorizedTTL"] = "1s"
                hook["timeout"] = "10s"
        return yamlio.write(os.path.join(self.folder, "authorization.yaml"), doc)

    def client(self):
        """As cluster admin, by certificate."""
        return Client(self.port, self._context)

    def _ready(self):
        try:
            with self.client() as c:
                return c.get("/readyz").status == 200
        except OSError:
            return False

    def start(self):
        self.process.start()
        self.process.wait_for(self._ready, "kube-apiserver to be ready", deadline=180, interval=0.1)
        self._wait_defaults()
        return self

    def _wait_defaults(self):
        """The default namespace is made by a loop after start."""
        def look():
            with self.client() as c:
                return c.get("/api/v1/namespaces/default").status == 200
        self.process.wait_for(look, "the default namespace", interval=0.1)

    def stop(self):
        self.process.stop()

    def create(self, path, doc, ok=(200, 201, 409)):
        with self.client() as c:
            got = c.post(path, json=doc)
            assert got.status in ok, got
            return got.json

    def create_rbac(self, docs, wait=True):
        """Roles and bindings where they belong; the namespaces of Roles are made when they are not there. WAIT: until what
        they give is in force."""
        docs = list(docs)
        for doc in docs:
            ns = doc["metadata"].get("namespace")
            if ns:
                self.namespace(ns)
            where = f"/namespaces/{ns}" if ns else ""
            self.create(f"/apis/rbac.authorization.k8s.io/v1{where}/{doc['kind'].lower()}s", doc)
        if wait:
            authorizer.wait_rights(self, docs)

    def install_records(self):
        """deploy/rbac-sync/crd.yaml; returns when UserRecords are served."""
        with open(os.path.join(TOP, "deploy", "rbac-sync", "crd.yaml"), encoding="utf-8") as f:
            doc = yaml.safe_load(f)
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        self.create(path, doc, ok=(201,))

        def served():
            have = self.get(f"{path}/{doc['metadata']['name']}")
            told = {c["type"]: c["status"] for c in have.get("status", {}).get("conditions") or []}
            assert told.get("NonStructuralSchema", "False") == "False", have["status"]
            with self.client() as c:
                return told.get("Established") == "True" and c.get(RECORDS).status == 200
        self.process.wait_for(served, "user records to be served")

    def get(self, path):
        """The object at PATH, or None."""
        with self.client() as c:
            got = c.get(path)
            assert got.status in (200, 404), got
            return got.json if got.status == 200 else None

    def patch(self, path, doc):
        with self.client() as c:
            got = c.request("PATCH", path, body=json.dumps(doc).encode(),
                            headers={"Content-Type": "application/merge-patch+json"})
            assert got.status == 200, got
            return got.json

    def delete(self, path):
        with self.client() as c:
            got = c.request("DELETE", path)
            assert got.status in (200, 202, 404), got

    def namespace(self, name):
        return self.create("/api/v1/namespaces", {"metadata": {"name": name}})

    def pod(self, namespace, name):
        """A pod nobody runs: there to be listed."""
        return self.create(f"/api/v1/namespaces/{namespace}/pods", {
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "image": "none"}], "automountServiceAccountToken": False}})
