"""The CustomResourceDefinition of UserRecords on a real kube-apiserver: it installs, and refuses what is none."""
import copy
import os

import pytest
import yaml

from support import kubeconfig
from support.apiserver import RECORDS, ApiServer
from support.kubectl import Kubectl
from support.paths import TOP
from support.rbac_sync import Worker
from support.spool import key

MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, etcd_server):
    with ApiServer(tmp_path_factory.mktemp("records"), etcd_server) as api:
        api.install_records()
        with open(os.path.join(TOP, "deploy", "rbac-sync", "rbac-intake.yaml"), encoding="utf-8") as f:
            api.create_rbac(yaml.safe_load_all(f))
        yield api


def record(user, **spec):
    identity = {"provider": "ldap:corp", "username": user, "uid": "7", "groups": ["dev"],
                "extra": {"example.org/team": ["a", "b"]}}
    identity.update(spec.pop("identity", {}))
    return {"apiVersion": "portcullis.dev/v1alpha1", "kind": "UserRecord",
            "metadata": {"name": key(identity["provider"], user)},
            "spec": {"identity": identity, "observedAt": "2026-11-23T10:00:00Z", "iat": 1795428000,
                     "observedBy": "node-1", **spec}}


STATUS = {
    "phase": "Ready", "firstSeen": "2026-11-23T10:00:00Z", "lastSeen": "2026-11-23T10:00:00Z",
    "disableAfter": "2027-02-21T10:00:00Z", "nodes": ["node-1"], "bindingCount": 2,
    "bindings": [
        {"kind": "RoleBinding", "namespace": "team-a", "name": "portcullis:devs:abcdef0123",
         "uid": "5d5f", "template": "devs", "hash": "ab" * 32, "live": "cd" * 32,
         "expires": "2026-12-01T00:00:00Z"},
        {"kind": "ClusterRoleBinding", "name": "portcullis:devs:0123abcdef", "template": "devs"}],
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "Applied", "message": "all is there",
         "lastTransitionTime": "2026-11-23T10:00:01Z"},
        {"type": "Refused", "status": "False"}],
    "observedGeneration": 1, "observedDigest": "0f" * 32, "templatesDigest": "1e" * 32,
}


def set_status(api, name, status):
    with api.client() as c:
        return c.request("PATCH", f"{RECORDS}/{name}/status", json={"status": status}, headers=MERGE)


def test_a_record_is_taken_whole_and_printed(cluster, tmp_path):
    want = record("alice", state="Active", expiresAt="2027-01-01T00:00:00+01:00", keep=True)
    cluster.create(RECORDS, want, ok=(201,))
    name = want["metadata"]["name"]
    assert set_status(cluster, name, STATUS).status == 200
    have = cluster.get(f"{RECORDS}/{name}")
    assert have["spec"] == want["spec"]
    assert have["status"] == STATUS
    kubectl = Kubectl(tmp_path, cluster, "admin", pair=cluster.admin)
    lines = kubectl.ok("get", "ur").splitlines()
    assert lines[0].split() == ["NAME", "USER", "PROVIDER", "PHASE", "LAST-SEEN", "BINDINGS", "DISABLE-AFTER"]
    row = next(l.split() for l in lines if name in l)
    assert row[1:4] == ["alice", "ldap:corp", "Ready"]
    assert row[5:] == ["2", "2027-02-21T10:00:00Z"]


def test_the_status_is_apart_from_the_spec(cluster):
    want = record("apart")
    cluster.create(RECORDS, {**want, "status": STATUS}, ok=(201,))
    name = want["metadata"]["name"]
    assert "status" not in cluster.get(f"{RECORDS}/{name}")
    with cluster.client() as c:
        got = c.request("PATCH", f"{RECORDS}/{name}/status", headers=MERGE,
                        json={"spec": {"state": "Suspended"}, "status": {"phase": "Pending"}})
        assert got.status == 200, got
    have = cluster.get(f"{RECORDS}/{name}")
    assert have["status"] == {"phase": "Pending"}
    assert "state" not in have["spec"]


def changed(doc, path, value):
    doc = copy.deepcopy(doc)
    at = doc
    for p in path[:-1]:
        at = at[p]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return doc


BAD_SPECS = [
    (["metadata", "name"], "alice"),
    (["spec"], None),
    (["spec", "identity"], None),
    (["spec", "identity", "provider"], None),
    (["spec", "identity", "username"], ""),
    (["spec", "identity", "username"], "a" * 1025),
    (["spec", "identity", "username"], 7),
    (["spec", "identity", "groups"], "dev"),
    (["spec", "identity", "groups"], ["g" * 1025]),
    (["spec", "identity", "groups"], [f"g{i}" for i in range(10001)]),
    (["spec", "identity", "extra"], {"a": "no list"}),
    (["spec", "identity", "extra"], {f"k{i}": [] for i in range(129)}),
    (["spec", "state"], "Paused"),
    (["spec", "keep"], "true"),
    (["spec", "iat"], -1),
    (["spec", "iat"], "2026-11-23T10:00:00Z"),
    (["spec", "observedAt"], "yesterday"),
    (["spec", "observedAt"], "2026-13-23T10:00:00Z"),
    (["spec", "expiresAt"], "9999-12-31T00:00:00Z"),
    (["spec", "expiresAt"], 1795428000),
]


@pytest.mark.parametrize("path,value", BAD_SPECS, ids=[f"{'.'.join(p)}={str(v)[:24]}" for p, v in BAD_SPECS])
def test_a_bad_spec_is_refused(cluster, path, value):
    with cluster.client() as c:
        got = c.post(RECORDS, json=changed(record("bad"), path, value))
    assert got.status == 422, got


BAD_STATUS = [
    (["phase"], "Happy"),
    (["lastSeen"], "soon"),
    (["bindingCount"], -1),
    (["nodes"], [f"n{i}" for i in range(17)]),
    (["bindings", 0, "kind"], "Secret"),
    (["bindings", 0, "name"], None),
    (["bindings"], [{"kind": "Namespace", "name": "x"}] * 1001),
    (["conditions", 0, "status"], "Maybe"),
    (["conditions", 0, "type"], "No word"),
    (["observedDigest"], "abc"),
    (["observedGeneration"], "1"),
]


@pytest.mark.parametrize("path,value", BAD_STATUS, ids=[f"{'.'.join(map(str, p))}={str(v)[:24]}"
                                                        for p, v in BAD_STATUS])
def test_a_bad_status_is_refused(cluster, path, value):
    doc = record("badstatus")
    cluster.create(RECORDS, doc)
    got = set_status(cluster, doc["metadata"]["name"], changed(STATUS, path, value))
    assert got.status == 422, got
    assert "status" not in cluster.get(f"{RECORDS}/{doc['metadata']['name']}")


def test_the_largest_identity_is_taken(cluster):
    groups = [f"{i:05}" + "g" * 19 for i in range(10000)]
    cluster.create(RECORDS, record("large", identity={"groups": groups}), ok=(201,))


# --- the intake ---

@pytest.fixture
def intakes(cluster, tmp_path):
    """Two nodes' intakes, each with its own spool, with the rights of deploy/rbac-sync/rbac-intake.yaml."""
    made = []
    for node in ("a", "b"):
        user = f"portcullis-intake:node-{node}"
        config = kubeconfig.write(tmp_path / f"kubeconfig-{node}", cluster.url, cluster.ca,
                                  pair=cluster.ca.client(user, org=("portcullis-intake",)))
        made.append(Worker(tmp_path / node, config, [], mode="intake").start())
    yield made
    for w in made:
        assert w.stop() in (0, None), w.process.output()


def test_intakes_merge_and_the_newest_token_wins(cluster, intakes):
    a, b = intakes

    def told(worker, groups, iat, seen_at):
        name = worker.spool.put("merge", groups, iat=iat, seen_at=seen_at)
        worker.wait_empty()
        return cluster.get(f"{RECORDS}/{name}")

    first = told(a, ["dev", "admins"], 1000, 1795428000)
    assert sorted(first["spec"]["identity"]["groups"]) == ["admins", "dev"]
    assert [(m["manager"], m["operation"]) for m in first["metadata"]["managedFields"]] == [
        ("portcullis-intake", "Update")]
    # The other node saw a newer token, which lost a group.
    second = told(b, ["dev"], 2000, 1795428010)
    assert second["spec"]["identity"]["groups"] == ["dev"] and second["spec"]["iat"] == 2000
    # The old token is seen again, later, on the first: it brings nothing back and is not tried for ever.
    third = told(a, ["dev", "admins"], 1000, 1795428020)
    assert third["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    assert a.spool.names("dead") == [] == b.spool.names("dead")
    # An admin's word stays, whatever is told later.
    cluster.patch(f"{RECORDS}/{third['metadata']['name']}", {"spec": {"state": "Suspended", "keep": True}})
    last = told(a, ["dev", "ops"], 3000, 1795428030)
    assert sorted(last["spec"]["identity"]["groups"]) == ["dev", "ops"]
    assert last["spec"]["state"] == "Suspended" and last["spec"]["keep"] is True


def test_nodes_that_race_for_new_users_leave_the_newest(cluster, intakes):
    for n in range(20):
        for worker, iat in zip(intakes, (100, 200) if n % 2 else (200, 100)):
            worker.spool.put(f"racer-{n}", [f"of-{iat}"], iat=iat)
    for worker in intakes:
        worker.wait_empty()
        assert worker.spool.names("dead") == []
    have = {r["spec"]["identity"]["username"]: r["spec"] for r in cluster.get(RECORDS)["items"]}
    for n in range(20):
        assert have[f"racer-{n}"]["iat"] == 200 and have[f"racer-{n}"]["identity"]["groups"] == ["of-200"]
