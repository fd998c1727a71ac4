"""portcullis-rbac-sync on a real kube-apiserver, with the least privilege of deploy/rbac-sync/rbac.yaml."""
import os
import shutil

import pytest
import yaml

from support import kubeconfig, rbac_sync
from support.apiserver import ApiServer
from support.kubectl import Kubectl
from support.paths import TOP
from support.proc import wait_until
from support.rbac_sync import RBAC, Worker, bindings, phase, records
from support.spool import key

DEVS = {"name": "devs", "match": {"groups": ["dev-*"]},
        "grants": [{"clusterRole": "edit", "namespaces": ["team-${group|replace:dev-:}"]},
                   {"clusterRole": "view", "scope": "cluster",
                    "subject": {"kind": "Group", "name": "${group}"}}]}
TEAM_A = {"name": "devs", "match": {"groups": ["dev-a"]}, "grants": [{"clusterRole": "edit", "namespaces": ["team-a"]}]}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, etcd_server):
    api = ApiServer(tmp_path_factory.mktemp("cluster"), etcd_server).start()
    try:
        rbac_sync.aggregate(api)
        rbac_sync.install_crd(api)
        for ns in ("team-a", "team-b"):
            api.namespace(ns)
        rbac_sync.install_rbac(api, os.path.join(rbac_sync.DEPLOY, "rbac.yaml"))
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
        assert "lacks a right" not in (w.process.output() if w.process.popen else "")
    rbac_sync.remove_all(cluster)


def in_team(cluster, ns):
    return {name: o for (n, name), o in bindings(cluster).items() if n == ns}


def versions(have):
    return {k: o["metadata"]["resourceVersion"] for k, o in have.items()}


def ready(cluster, user):
    return phase(cluster, user) == "Ready"


def test_least_privilege_is_enough_and_a_second_run_changes_nothing(worker, cluster):
    w = worker()
    w.spool.put("alice", ["dev-a", "dev-b"])
    got = w.once()
    assert got.returncode == 0, got.stderr
    first = bindings(cluster)
    assert len(first) == 4
    (a,) = in_team(cluster, "team-a").values()
    assert a["roleRef"]["name"] == "edit" and [s["name"] for s in a["subjects"]] == ["alice"]
    assert a["metadata"]["labels"]["portcullis.dev/record"] == key("ldap:corp", "alice")
    assert {m["manager"] for m in a["metadata"]["managedFields"]} == {"portcullis-sync"}
    before = versions(records(cluster))
    assert w.once().returncode == 0
    assert versions(bindings(cluster)) == versions(first) and versions(records(cluster)) == before
    w.spool.put("alice", ["dev-a", "dev-b"], seen_at=1800000000)
    w.spool.put("bob", ["dev-b"])
    assert w.once().returncode == 0
    second = versions(bindings(cluster))
    assert {k: second[k] for k in first} == versions(first)
    assert len(second) == 5
    # Even when it writes what is there already, the apiserver sees no change.
    (where, o), = [(k, v) for k, v in first.items() if k[0] == "team-a"]
    with cluster.client() as c:
        body = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "roleRef": o["roleRef"], "subjects": o["subjects"]}
        body["metadata"] = {k: o["metadata"][k] for k in ("name", "namespace", "labels", "annotations", "ownerReferences")}
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


def test_roles_beyond_the_privilege_are_not_bound(worker, cluster):
    """A template of tomorrow's editor cannot grant more than the worker may bind, and takes nothing from the rest."""
    more = {"name": "more", "match": {"groups": ["dev-*"]},
            "grants": [{"clusterRole": "admin", "namespaces": ["team-a"]}]}
    w = worker([more, DEVS])
    w.spool.put("alice", ["dev-a"])
    w.once()
    assert {o["roleRef"]["name"] for o in bindings(cluster).values()} == {"edit", "view"}
    (c,) = [c for c in records(cluster)["alice"]["status"]["conditions"] if c["type"] == "Ready"]
    assert c["status"] == "False" and "admin" in c["message"]


def test_a_missing_namespace_waits_without_holding_up_others(worker, cluster):
    w = worker().start()
    w.spool.put("alice", ["dev-later"])
    w.wait_for(lambda: phase(cluster, "alice") == "Degraded", "the wait")
    w.spool.put("bob", ["dev-a"])
    w.wait_for(lambda: ready(cluster, "bob"), "bob's binding")
    cluster.namespace("team-later")
    w.wait_for(lambda: ready(cluster, "alice"), "alice's binding")
    assert in_team(cluster, "team-later")


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
    path = f"{RBAC}/namespaces/team-a/rolebindings/{name}"
    assert cluster.get(path)["metadata"]["annotations"] == {"who": "an admin"}
    cluster.delete(path)


def test_hand_edits_are_repaired_at_once(worker, cluster):
    """Edited, relabelled, deleted: each time the binding is as it was. Five times in a minute are no fight yet."""
    w = worker([TEAM_A]).start()
    w.spool.put("alice", ["dev-a"])
    w.wait_for(lambda: ready(cluster, "alice"), "alice's binding")
    ((name, first),) = in_team(cluster, "team-a").items()
    path = f"{RBAC}/namespaces/team-a/rolebindings/{name}"

    def whole():
        o = cluster.get(path)
        return o and o["subjects"] == first["subjects"] and all(
            o["metadata"].get(k) == first["metadata"][k] for k in ("labels", "annotations"))

    eve = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}
    for change in ({"subjects": first["subjects"] + [eve]},
                   {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}},
                   {"metadata": {"labels": {"portcullis.dev/record": "somebody-else"}}},
                   {"metadata": {"annotations": None, "labels": None}}):
        cluster.patch(path, change)
        assert not whole() or cluster.get(path)["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
        w.wait_for(whole, f"the repair of {change}")
    cluster.delete(path)
    w.wait_for(whole, "the binding to be made anew")
    uid = cluster.get(path)["metadata"]["uid"]
    assert uid != first["metadata"]["uid"]
    w.wait_for(lambda: [b["uid"] for b in records(cluster)["alice"]["status"]["bindings"]] == [uid], "its uid in the record")
    assert w.stop() == 0
    assert w.metric("portcullis_sync_drift_repaired_total", '{kind="RoleBinding"}') >= 5


def test_another_role_leaves_no_moment_without_a_grant(worker, cluster):
    w = worker([TEAM_A]).start()
    w.spool.put("alice", ["dev-a"])
    w.wait_for(lambda: ready(cluster, "alice"), "alice's binding")
    have = set(in_team(cluster, "team-a"))
    collection = f"{RBAC}/namespaces/team-a/rolebindings"
    since = cluster.get(collection)["metadata"]["resourceVersion"]
    w.write_templates([{**TEAM_A, "grants": [{"clusterRole": "view", "namespaces": ["team-a"]}]}])
    w.wait_for(lambda: [o["roleRef"]["name"] for o in in_team(cluster, "team-a").values()] == ["view"], "the other role")
    # As a watcher sees it, event by event, once the apiserver's own watch is as far.
    def seen():
        with cluster.client() as c:
            text = c.get(f"{collection}?watch=1&resourceVersion={since}&timeoutSeconds=1").body.decode()
        events = [yaml.safe_load(line) for line in text.splitlines() if line]
        return events if "DELETED" in [e["type"] for e in events] else None
    events = wait_until(seen, "the watch to tell of the deletion")
    assert [e["type"] for e in events] == ["ADDED", "DELETED"]
    for e in events:
        name = e["object"]["metadata"]["name"]
        have = have - {name} if e["type"] == "DELETED" else have | {name}
        assert have


def test_grants_end_and_begin_by_the_clock(worker, cluster):
    """A grant ends a minute after its endTime, so that clocks may differ."""
    import datetime
    now = datetime.datetime.now(datetime.timezone.utc)

    def at(seconds):
        return (now + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def templates(ends, begins):
        return [{**TEAM_A, "name": "ending", "grants": [{"clusterRole": "edit", "namespaces": ["team-a"], "endTime": at(ends)}]},
                {**TEAM_A, "name": "coming", "grants": [{"clusterRole": "view", "namespaces": ["team-b"], "startTime": at(begins)}]}]
    w = worker(templates(3600, 3600)).start()
    w.spool.put("alice", ["dev-a"])
    w.wait_for(lambda: ready(cluster, "alice") and in_team(cluster, "team-a"), "the grant that is about to end")
    assert not in_team(cluster, "team-b")
    now = datetime.datetime.now(datetime.timezone.utc)
    w.write_templates(templates(-56, 4))
    w.wait_for(lambda: not in_team(cluster, "team-a") and in_team(cluster, "team-b"), "the end and the beginning")
    w.wait_for(lambda: len(records(cluster)["alice"]["status"]["bindings"]) == 1, "the record")
    assert w.stop() == 0
    assert w.metric("portcullis_sync_expired_total") == 1


def test_a_grant_that_ended_while_nobody_worked_goes_at_the_start(worker, cluster):
    w = worker([TEAM_A])
    w.spool.put("alice", ["dev-a"])
    assert w.once().returncode == 0 and in_team(cluster, "team-a")
    cluster.patch(f"{rbac_sync.RECORDS}/{key('ldap:corp', 'alice')}", {"spec": {"expiresAt": "2026-01-01T00:00:00Z"}})
    assert w.once().returncode == 0
    assert not in_team(cluster, "team-a") and "alice" in records(cluster)


def test_what_a_deleted_record_had_goes_with_it(worker, cluster):
    w = worker().start()
    for user in ("alice", "bob"):
        w.spool.put(user, ["dev-a"])
        w.wait_for(lambda u=user: ready(cluster, u), f"{user}'s bindings")
    assert len(bindings(cluster)) == 3
    cluster.delete(f"{rbac_sync.RECORDS}/{key('ldap:corp', 'alice')}")
    w.wait_for(lambda: len(bindings(cluster)) == 2, "alice's binding to go")
    assert {s["name"] for o in bindings(cluster).values() for s in o["subjects"]} == {"bob", "dev-a"}
    # The group's goes with its last member.
    cluster.delete(f"{rbac_sync.RECORDS}/{key('ldap:corp', 'bob')}")
    w.wait_for(lambda: not bindings(cluster), "all bindings to go")


def test_suspended_and_restored_by_one_patch(worker, cluster):
    w = worker([TEAM_A]).start()
    w.spool.put("alice", ["dev-a"])
    w.wait_for(lambda: ready(cluster, "alice"), "alice's binding")
    path = f"{rbac_sync.RECORDS}/{key('ldap:corp', 'alice')}"
    cluster.patch(path, {"spec": {"state": "Suspended"}})
    w.wait_for(lambda: phase(cluster, "alice") == "Disabled" and not bindings(cluster), "the suspension")
    cluster.patch(path, {"spec": {"state": None}})
    w.wait_for(lambda: ready(cluster, "alice") and in_team(cluster, "team-a"), "the undo")


def test_killed_again_and_again_under_load_loses_nothing(worker, cluster):
    """kill -9 wherever it hits, until all is done: every user has the binding, and a last pass writes nothing."""
    w = worker([TEAM_A])
    users = {f"user{i:02}" for i in range(60)}
    coming = sorted(users)
    done = kills = 0
    while done < len(users):
        # No life sees them all, however fast it is.
        for u in coming[:20]:
            w.spool.put(u, ["dev-a"])
        del coming[:20]
        w.start()
        # Some progress before each death, so that the end comes.
        w.process.wait_for(lambda n=done: len(in_team(cluster, "team-a")) > n, "progress", interval=0.001)
        w.process.kill()
        kills += 1
        done = len(in_team(cluster, "team-a"))
        left = set(w.spool.names())
        known = {b["name"] for r in records(cluster).values() for b in r.get("status", {}).get("bindings", [])}
        assert {u for u in users - set(coming) if key("ldap:corp", u) not in left} <= set(records(cluster))
        assert set(in_team(cluster, "team-a")) <= known
    assert kills >= 3
    assert w.once().returncode == 0 and w.spool.empty()
    have = in_team(cluster, "team-a")
    assert {o["subjects"][0]["name"] for o in have.values()} == users and len(have) == len(users)
    assert all(b.get("uid") for r in records(cluster).values() for b in r["status"]["bindings"])
    before = versions(records(cluster))
    for u in users:
        w.spool.put(u, ["dev-a"])
    assert w.once().returncode == 0
    assert versions(in_team(cluster, "team-a")) == versions(have) and versions(records(cluster)) == before


def test_the_example_templates_work(worker, cluster):
    w = worker()
    shutil.copy(os.path.join(TOP, "deploy", "examples", "templates.yaml"), w.templates_path)
    w.spool.put("dex:ann@example.com", ["dex:dev-a", "dex:ops"], provider="jwt:https://dex.example.com")
    w.spool.put("corp:ben", ["corp:dev-b"])
    got = w.once()
    assert got.returncode == 0, got.stderr
    assert len(bindings(cluster)) >= 3
    assert all(ready(cluster, u) for u in ("dex:ann@example.com", "corp:ben")), records(cluster)
