"""A new person's very first command works: kubectl, kube-apiserver, portcullisd, the spool, the worker, RBAC."""
import json
import os

import pytest
import yaml

from support import kubeconfig
from support.apiserver import RECORDS, ApiServer, Webhooks
from support.https import Client, tls_context
from support.kubectl import Kubectl
from support.paths import TOP
from support.portcullisd import Portcullisd
from support.rbac_sync import HEAD, Worker

PERSONS = 20
PODS = "/api/v1/namespaces/team-a/pods"
VIEWERS = {"name": "viewers", "match": {"groups": ["dev-*"]},
           "grants": [{"clusterRole": "view", "namespaces": ["team-${group|replace:dev-:}"]}]}
TEMPLATES = json.dumps({**HEAD, "limits": {"maxNewUsersPerMinute": 10000}, "templates": [VIEWERS]})
# It has no word about people: RBAC decides.
POLICY = {"apiVersion": "portcullis.dev/v1alpha1", "kind": "AccessPolicy",
          "metadata": {"name": "none", "generation": 1},
          "rules": [{"id": "protect", "effect": "deny", "subjects": {"groups": ["contractors"]},
                     "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "namespaces": ["kube-system"]}]}
WAITS = "portcullis_first_login_waits_total"


def token(kind, i):
    return f"token-of-{kind}-{i:04}-person"


def people(**counts):
    return {token(kind, i): (f"{kind}-{i:04}", f"{kind}{i}", ["dev-a"]) for kind, n in counts.items() for i in range(n)}


class World:
    def __init__(self, folder, etcd, wait_ms, **counts):
        def edit(doc):
            doc["newUsers"]["firstLogin"] = {"waitMs": wait_ms}
        self.folder = folder
        self.portcullis = Portcullisd(
            folder / "portcullis", tokens=people(**counts), policy=POLICY, spool=True, edit=edit).start()
        self.api = ApiServer(folder / "api", etcd, Webhooks(
            self.portcullis.port, self.portcullis.server_ca, self.portcullis.apiserver)).start()
        self.api.namespace("team-a")
        self.api.pod("team-a", "pod-a")
        # No controller manager runs here to aggregate the rules of "view".
        self.api.patch("/apis/rbac.authorization.k8s.io/v1/clusterroles/view", {"rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]})
        self.api.install_records()
        with open(os.path.join(TOP, "deploy", "rbac-sync", "rbac.yaml"), encoding="utf-8") as f:
            self.api.create_rbac(yaml.safe_load_all(f))
        config = kubeconfig.write(folder / "kubeconfig", self.api.url, self.api.ca,
                                  pair=self.api.ca.client("portcullis-rbac-sync"))
        self.worker = Worker(folder / "worker", config, TEMPLATES, spool=self.portcullis.spool_dir)

    def start_worker(self):
        self.worker.start()
        alive = os.path.join(self.portcullis.spool_dir, "ack", "worker")
        self.worker.process.wait_for(lambda: os.path.exists(alive), "the worker to show itself")

    def stop(self):
        self.worker.stop()
        self.api.stop()
        self.portcullis.stop()

    def waits(self):
        return {r: self.portcullis.metric(WAITS, result=r) for r in ("ready", "timeout", "skipped")}


@pytest.fixture(scope="module")
def world(tmp_path_factory, etcd_server):
    w = World(tmp_path_factory.mktemp("first"), etcd_server, 2000, kubectl=PERSONS, raw=PERSONS, late=1)
    try:
        yield w
    finally:
        w.stop()


@pytest.fixture
def working(world):
    """With the worker, whichever test comes first."""
    if not world.worker.process.running:
        world.start_worker()
    return world


def phases(world):
    """username → phase"""
    return {r["spec"]["identity"]["username"]: r.get("status", {}).get("phase")
            for r in world.api.get(RECORDS)["items"]}


def test_before_the_worker_nobody_waits_and_rbac_forbids(world):
    world.worker.stop()
    before = world.waits()
    kubectl = Kubectl(world.folder, world.api, "late", token=token("late", 0))
    got = kubectl("get", "pods", "-n", "team-a")
    assert got.returncode != 0 and "Forbidden" in got.stderr
    after = world.waits()
    assert {k: after[k] - before[k] for k in after} == {"ready": 0, "timeout": 0, "skipped": 1}
    world.start_worker()
    world.worker.process.wait_for(lambda: phases(world).get("late-0000") == "Ready", "the late record to be ready")
    world.worker.process.wait_for(lambda: settled(world) == 1, "the late one to be counted")
    world.worker.process.wait_for(lambda: "pod-a" in kubectl("get", "pods", "-n", "team-a").stdout, "the access")


def settled(world):
    """How many identities the worker saw from their first answer to their bindings."""
    return world.worker.metric("portcullis_sync_first_login_to_binding_seconds_count")


def test_the_first_kubectl_of_twenty_new_persons_works(working):
    world, before, counted = working, working.waits(), settled(working)
    for i in range(PERSONS):
        kubectl = Kubectl(world.folder, world.api, f"person-{i}", token=token("kubectl", i))
        got = kubectl("get", "pods", "-n", "team-a")
        assert got.returncode == 0 and "pod-a" in got.stdout, (i, got)
    after = world.waits()
    assert {k: after[k] - before[k] for k in after} == {"ready": PERSONS, "timeout": 0, "skipped": 0}
    world.worker.process.wait_for(lambda: settled(world) == counted + PERSONS, "all to be counted")
    assert {v for k, v in phases(world).items() if k.startswith("kubectl-")} == {"Ready"}


def test_a_first_request_alone_is_allowed(working):
    """Nothing lies between its token review and its authorization: the apiserver must know the binding by then."""
    world, before, counted = working, working.waits(), settled(working)
    context = tls_context(world.api.ca)
    for i in range(PERSONS):
        with Client(world.api.port, context) as c:
            got = c.get(PODS, headers={"Authorization": f"Bearer {token('raw', i)}"})
        assert got.status == 200, (i, got)
        assert [p["metadata"]["name"] for p in got.json["items"]] == ["pod-a"]
    after = world.waits()
    assert {k: after[k] - before[k] for k in after} == {"ready": PERSONS, "timeout": 0, "skipped": 0}
    world.worker.process.wait_for(lambda: settled(world) == counted + PERSONS, "all to be counted")
