"""Replicas of portcullis-rbac-sync on a real kube-apiserver, each behind a proxy that can fail, and the proof from the
apiserver's audit log that nobody but the leader ever wrote."""
import json
import os
import signal
import time
from collections import Counter

import yaml

from . import fault_proxy, yamlio
from .apiserver import ApiServer
from .etcd import Etcd
from .fault_proxy import FaultProxy
from .https import Client
from .paths import TOP
from .ports import free_port
from .proc import Service, wait_until
from .rbac_sync import Worker

RBAC = "/apis/rbac.authorization.k8s.io/v1"
RECORDS = "/apis/portcullis.dev/v1alpha1/userrecords"
NAMESPACE = "portcullis-system"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/portcullis-rbac-sync"
MANAGED = {"app.kubernetes.io/managed-by": "portcullis"}

# Short, and long enough for a busy machine: a leader that loses its Lease for slowness is no failure, but no news.
ELECTION = {"namespace": NAMESPACE, "leaseDuration": "3s", "renewDeadline": "2s", "retryPeriod": "200ms"}

WORKERS = 4  # threads that reconcile, in each replica

# The limits on removals are other tests' matter.
GC = {"staleAfter": "0s", "maxDeletesPerRun": 100000, "maxDeletePercent": 100}

_AUDIT = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [
    {"level": "RequestResponse", "verbs": ["create", "update", "patch", "delete"],
     "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
    {"level": "None", "resources": [{"group": "events.k8s.io"}, {"group": "", "resources": ["events"]}]},
    {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]}]}

_WRITES = ("create", "update", "patch", "delete", "deletecollection")


def role_ref(name):
    return {"kind": "ClusterRole", "name": name, "apiGroup": "rbac.authorization.k8s.io"}


class Replica:
    """One worker, its credential (a user of its own in the audit log), its proxy and its spool."""

    def __init__(self, cluster, name, templates):
        self.cluster, self.name, self.user = cluster, name, f"worker-{name}"
        self.proxy = FaultProxy(cluster.folder / f"proxy-{name}", cluster.api).start()
        config = self.proxy.kubeconfig(cluster.folder / f"kubeconfig-{name}", cluster.tokens[self.user])
        self.ops = free_port()
        self.worker = Worker(cluster.folder / f"replica-{name}", config, templates, leaderElection=ELECTION,
                             ops={"listen": f"127.0.0.1:{self.ops}"},
                             requestTimeout="5s", workers=WORKERS, gc=GC)

    @property
    def process(self):
        return self.worker.process

    def start(self):
        self.worker.start()
        return self

    def stop(self):
        code = self.worker.stop()
        self.proxy.stop()
        return code

    def freeze(self):
        self.process.signal(signal.SIGSTOP)

    def thaw(self):
        self.process.signal(signal.SIGCONT)

    def page(self, path):
        """What the listener for probes answers."""
        with Client(self.ops) as c:
            return c.get(path)

    def told(self, text):
        """How often the log says so."""
        return self.process.output().count(f'"msg":"{text}"')


class Cluster(Service):
    """etcd and an apiserver with an audit log, the record's definition, two roles, namespaces team-a to team-c, and
    objects that no worker may touch."""

    def __init__(self, folder, names):
        self.folder, self.names = folder, names
        self.etcd = Etcd(folder / "etcd")
        self.tokens = {f"worker-{n}": f"token-{n}" for n in names}
        self.audit_path = folder / "audit.log"
        self.api = None
        self.foreign = {}

    def start(self):
        self.etcd.start()
        tokens = fault_proxy.token_file(
            self.folder / "tokens.csv", {t: (u, ["system:masters"]) for u, t in self.tokens.items()})
        self.api = ApiServer(self.folder / "api", self.etcd, extra={
            "token-auth-file": tokens, "audit-log-path": self.audit_path,
            "audit-policy-file": yamlio.write(str(self.folder / "audit.yaml"), _AUDIT)}).start()
        self._install()
        return self

    def stop(self):
        if self.api:
            self.api.stop()
        self.etcd.stop()

    def restart_api(self):
        self.api.process.start()
        self.api.process.wait_for(self.api._ready, "kube-apiserver to be ready again", interval=0.1)

    def _install(self):
        api = self.api
        with open(os.path.join(TOP, "deploy", "rbac-sync", "crd.yaml"), encoding="utf-8") as f:
            api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", yaml.safe_load(f))
        for ns in (NAMESPACE, "team-a", "team-b", "team-c"):
            api.namespace(ns)
        for role in ("dev", "see"):
            api.create(f"{RBAC}/clusterroles", {"metadata": {"name": role}, "rules": [
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]})
        # Somebody's own; ours by its label and in nobody's inventory; ours by its name alone.
        for name, labels in (("by-hand", {}), ("portcullis:devs:aaaaaaaaaa", {**MANAGED, "portcullis.dev/record": "x"}),
                             ("portcullis:devs:bbbbbbbbbb", {})):
            for path in (f"{RBAC}/namespaces/team-a/rolebindings", f"{RBAC}/clusterrolebindings"):
                have = api.create(path, {"metadata": {"name": name, "labels": labels}, "roleRef": role_ref("see"),
                                         "subjects": [{"kind": "User", "name": "somebody",
                                                       "apiGroup": "rbac.authorization.k8s.io"}]})
                self.foreign[f"{path}/{name}"] = have
        wait_until(self._served, "the definition of records to be served")

    def _served(self):
        with self.api.client() as c:
            return c.get(RECORDS).status == 200

    # --- what is there ---
    def bindings(self):
        """Every binding of a role of ours but the foreign ones: (namespace, role, kind, subject) to object; a list, so
        that a second one of the same meaning shows."""
        have = []
        with self.api.client() as c:
            for kind in ("rolebindings", "clusterrolebindings"):
                for o in c.get(f"{RBAC}/{kind}").json["items"]:
                    if o["roleRef"]["name"] not in ("dev", "see"):
                        continue
                    who = [(s["kind"], s["name"]) for s in o.get("subjects") or [{"kind": "", "name": "nobody"}]]
                    if who != [("User", "somebody")]:
                        have.append(((o["metadata"].get("namespace", ""), o["roleRef"]["name"], *who[0]), o))
        return have

    def expect(self, want, deadline=None):
        """Waits until there is just WANT, each once."""
        def differs():
            have, due = Counter(m for m, _ in self.bindings()), Counter(want)
            return {"missing": list((due - have).elements()), "too many": list((have - due).elements())}
        wait_until(lambda: not any(differs().values()), lambda: f"what is due: {differs()}", deadline, interval=0.1)

    def check_foreign(self):
        for path, old in self.foreign.items():
            assert self.api.get(path) == old, path

    def holder(self):
        lease = self.api.get(LEASE)
        return lease["spec"].get("holderIdentity", "") if lease else ""

    # --- the audit log ---
    def audit(self):
        """The writes so far, in the order in which they reached the apiserver."""
        with open(self.audit_path, encoding="utf-8") as f:
            lines = [json.loads(line) for line in f if line.endswith("\n")]
        return sorted(lines, key=lambda e: e["requestReceivedTimestamp"])

    def leaders(self):
        """(time, user) of each change of the Lease's holder; user None: given back, or taken by an admin."""
        turns, holder = [], ""
        for e in self.audit():
            if e["objectRef"]["resource"] != "leases" or e.get("responseStatus", {}).get("code") not in (200, 201):
                continue
            user = e["user"]["username"]
            now = e.get("responseObject", {}).get("spec", {}).get("holderIdentity", "") if e["verb"] != "delete" else ""
            if now != holder:
                holder = now
                turns.append((e["requestReceivedTimestamp"], user if now and user in self.tokens else None))
        return turns

    def leader(self):
        turns = self.leaders()
        return turns[-1][1] if turns else None

    def wait_leader(self, replica):
        wait_until(lambda: self.leader() == replica.user,
                   lambda: f"{replica.user} to lead, not {self.leader()}\n{replica.process.tail()}")

    def writes(self):
        """(time, user, what) of what workers wrote; the spool's hand-over and questions about permissions are not the
        leader's alone."""
        found = []
        for e in self.audit():
            ref, user = e.get("objectRef", {}), e["user"]["username"]
            intake = ref.get("resource") == "userrecords" and not ref.get("subresource") and e["verb"] in ("patch", "create")
            if user in self.tokens and e["verb"] in _WRITES and not intake and ref.get("resource") not in (
                    "leases", "selfsubjectaccessreviews"):
                found.append((e["requestReceivedTimestamp"], user,
                              f'{e["verb"]} {e["requestURI"]} {e.get("responseStatus", {}).get("code")}'))
        return found

    def prove_one_writer(self):
        """Each write is of whoever held the Lease when it reached the apiserver. How many there were."""
        turns, writes = self.leaders(), self.writes()
        for at, user, what in writes:
            before = [u for t, u in turns if t < at]
            assert before and before[-1] == user, f"{at} {user} wrote without leading: {what}\n{turns}"
        return len(writes)


def now():
    return int(time.time())
