"""portcullis-rbac-sync on a real kube-apiserver, with the least privilege of deploy/rbac-sync/rbac.yaml."""
import os
import shutil

import pytest
import yaml

from support import kubeconfig
from support.apiserver import ApiServer
from support.kubectl import Kubectl
from support.paths import TOP
from support.proc import wait_until
from support.rbac_sync import Worker
from support.spool import key

RBAC = "/apis/rbac.authorization.k8s.io/v1"
DEVS = {"name": "devs", "match": {"groups": ["dev-*"]},
        "grants": [{"clusterRole": "edit", "namespaces": ["team-${group|replace:dev-:}"]},
                   {"clusterRole": "view", "scope": "cluster",
                    "subject": {"kind": "Group", "name": "${group}"}}]}


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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, etcd_server):
    api = ApiServer(tmp_path_factory.mktemp("cluster"), etcd_server).start()
    try:
        aggregate(api)
        for ns in ("team-a", "team-b"):
            api.namespace(ns)
        with open(os.path.join(TOP, "deploy", "rbac-sync", "rbac.yaml"), encoding="utf-8") as f:
            api.create_rbac(yaml.safe_load_all(f))
        yield api
    finally:
        api.stop()


@pytest.fixture
def config(tmp_path, cluster):
    """The worker's credential: a certificate of the cluster's CA, as deploy/README.md has it."""
    return kubeconfig.write(tmp_path / "kubeconfig", cluster.url, cluster.ca,
                            pair=cluster.ca.client("portcullis-rbac-sync"))


@pytest.fixture
def worker(tmp_path, config, cluster):
    made = []

    def make(templates=(DEVS,), **kw):
        made.append(Worker(tmp_path / f"worker{len(made)}", config, list(templates), **kw))
        return made[-1]

    yield make
    for w in made:
        code = w.stop()
        assert code in (0, None, -9), w.process.output()
    with cluster.client() as c:
        for path in (f"{RBAC}/clusterrolebindings", f"{RBAC}/namespaces/team-a/rolebindings",
                     f"{RBAC}/namespaces/team-b/rolebindings"):
            got = c.request("DELETE", path + "?labelSelector=app.kubernetes.io/managed-by=portcullis")
            assert got.status == 200, got


def bindings(cluster, *namespaces):
    """(namespace, name) → object, of those with our label."""
    have = {}
    with cluster.client() as c:
        for ns in (None, *namespaces):
            kind = f"namespaces/{ns}/rolebindings" if ns else "clusterrolebindings"
            got = c.get(f"{RBAC}/{kind}?labelSelector=app.kubernetes.io/managed-by=portcullis").json
            have.update({(ns, o["metadata"]["name"]): o for o in got["items"]})
    return have


def versions(have):
    return {k: o["metadata"]["resourceVersion"] for k, o in have.items()}


def test_least_privilege_is_enough_and_a_second_run_changes_nothing(worker, cluster):
    w = worker()
    w.spool.put("alice", ["dev-a", "dev-b"])
    got = w.once()
    assert got.returncode == 0, got.stderr
    first = bindings(cluster, "team-a", "team-b")
    assert len(first) == 4
    (a,) = [o for (ns, _), o in first.items() if ns == "team-a"]
    assert a["roleRef"]["name"] == "edit" and [s["name"] for s in a["subjects"]] == ["alice"]
    assert a["metadata"]["labels"]["portcullis.dev/record"] == key("ldap:corp", "alice")
    assert {m["manager"] for m in a["metadata"]["managedFields"]} == {"portcullis-sync"}
    w.spool.put("alice", ["dev-a", "dev-b"], seen_at=1800000000)
    w.spool.put("bob", ["dev-b"])
    assert w.once().returncode == 0
    second = versions(bindings(cluster, "team-a", "team-b"))
    assert {k: second[k] for k in first} == versions(first)
    assert len(second) == 5
    # Even when it writes what is there already, the apiserver sees no change.
    (where, o), = [(k, v) for k, v in first.items() if k[0] == "team-a"]
    with cluster.client() as c:
        body = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "roleRef": o["roleRef"], "subjects": o["subjects"]}
        body["metadata"] = {k: o["metadata"][k] for k in ("name", "namespace", "labels", "annotations")}
        got = c.request("PATCH", f"{RBAC}/namespaces/team-a/rolebindings/{where[1]}"
                        "?fieldManager=portcullis-sync&force=true", json=body,
                        headers={"Content-Type": "application/apply-patch+yaml"})
        assert got.status == 200 and got.json["metadata"]["resourceVersion"] == second[where]


def test_the_binding_gives_access(worker, cluster, tmp_path):
    cluster.pod("team-a", "pod-a")
    alice = Kubectl(tmp_path, cluster, "alice", pair=cluster.ca.client("alice"))
    assert alice("get", "pods", "-n", "team-a").returncode != 0
    w = worker()
    w.spool.put("alice", ["dev-a"])
    assert w.once().returncode == 0
    # The apiserver's authorizer learns of the binding by a watch of its own.
    wait_until(lambda: "pod-a" in alice("get", "pods", "-n", "team-a").stdout, "alice's access")
    assert alice("get", "pods", "-n", "team-b").returncode != 0


def test_roles_beyond_the_privilege_are_refused_by_the_apiserver(worker, cluster):
    """A template of tomorrow's editor cannot grant more than the worker may bind."""
    more = {"name": "more", "match": {"groups": ["dev-*"]},
            "grants": [{"clusterRole": "admin", "namespaces": ["team-a"]}]}
    w = worker([more, DEVS], maxAttempts=1)
    name = w.spool.put("alice", ["dev-a"])
    w.start()
    w.process.wait_for(lambda: name in w.spool.names("dead"), "the event to be given up")
    assert "HTTP 403" in w.spool.reason(name)
    assert {o["roleRef"]["name"] for o in bindings(cluster, "team-a").values()} == {"edit", "view"}


def test_a_missing_namespace_waits_without_holding_up_others(worker, cluster):
    w = worker(maxAttempts=100, retryInitial="100ms", retryMax="100ms").start()
    w.spool.put("alice", ["dev-later"])
    w.process.wait_for(lambda: "binding refused" in w.process.output(), "the refusal")
    w.spool.put("bob", ["dev-a"])
    w.process.wait_for(lambda: bindings(cluster, "team-a"), "bob's binding")
    cluster.namespace("team-later")
    w.wait_empty()
    assert any(ns == "team-later" for ns, _ in bindings(cluster, "team-later"))


def test_hand_made_objects_are_left_alone(worker, cluster):
    w = worker()
    w.spool.put("alice", ["dev-a"])
    got = w.run("--dry-run")
    name = yaml.safe_load(got.stdout.splitlines()[0])["metadata"]["name"]
    cluster.create(f"{RBAC}/namespaces/team-a/rolebindings", {
        "metadata": {"name": name, "annotations": {"who": "an admin"}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": []}, ok=(201,))
    assert w.once().returncode == 1
    with cluster.client() as c:
        path = f"{RBAC}/namespaces/team-a/rolebindings/{name}"
        assert c.get(path).json["metadata"]["annotations"] == {"who": "an admin"}
        assert c.request("DELETE", path).status == 200


def test_killed_again_and_again_under_load_loses_nothing(worker, cluster):
    """kill -9 wherever it hits, until all is done: every user has the binding, and a last pass writes nothing."""
    w = worker([{"name": "devs", "match": {"groups": ["dev-a"]},
                 "grants": [{"clusterRole": "edit", "namespaces": ["team-a"]}]}])
    users = {f"user{i:02}" for i in range(60)}
    for u in users:
        w.spool.put(u, ["dev-a"])
    done = kills = 0
    while not w.spool.empty():
        w.start()
        # Some progress before each death, so that the end comes.
        w.process.wait_for(lambda: w.spool.empty() or len(w.spool.names()) < len(users) - done,
                           "progress", interval=0.001)
        w.process.kill()
        kills += 1
        done = len(users) - len(w.spool.names())
        left = {key("ldap:corp", u) for u in users} & set(w.spool.names())
        bound = {o["subjects"][0]["name"] for o in bindings(cluster, "team-a").values()}
        assert {u for u in users if key("ldap:corp", u) not in left} <= bound
    assert kills >= 3
    have = bindings(cluster, "team-a")
    assert {o["subjects"][0]["name"] for o in have.values()} == users and len(have) == len(users)
    for u in users:
        w.spool.put(u, ["dev-a"])
    assert w.once().returncode == 0
    assert versions(bindings(cluster, "team-a")) == versions(have)


def test_the_example_templates_work(worker, cluster, tmp_path):
    w = worker()
    shutil.copy(os.path.join(TOP, "deploy", "examples", "templates.yaml"), w.templates_path)
    w.spool.put("dex:ann@example.com", ["dex:dev-a", "dex:ops"], provider="jwt:https://dex.example.com")
    w.spool.put("corp:ben", ["corp:dev-b"])
    got = w.once()
    assert got.returncode == 0, got.stderr
    have = bindings(cluster, "team-a", "team-b")
    assert {(ns, o["roleRef"]["name"], o["subjects"][0]["kind"], o["subjects"][0]["name"])
            for (ns, _), o in have.items()} == {
                ("team-a", "edit", "Group", "dex:dev-a"),
                (None, "view", "Group", "dex:ops"), ("team-b", "edit", "Group", "corp:dev-b")}
