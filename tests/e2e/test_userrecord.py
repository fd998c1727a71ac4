"""The CustomResourceDefinition of UserRecords on a real kube-apiserver: it installs, and refuses what is none."""
import copy
import os

import pytest
import yaml

from support.apiserver import ApiServer
from support.kubectl import Kubectl
from support.paths import TOP
from support.proc import wait_until
from support.spool import key

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RECORDS = "/apis/portcullis.dev/v1alpha1/userrecords"
MERGE = {"Content-Type": "application/merge-patch+json"}


def install_crd(api):
    """Installs the definition and waits until it serves."""
    with open(os.path.join(TOP, "deploy", "rbac-sync", "crd.yaml"), encoding="utf-8") as f:
        doc = yaml.safe_load(f)
    api.create(CRDS, doc, ok=(201,))

    def established():
        have = api.get(f"{CRDS}/{doc['metadata']['name']}")
        told = {c["type"]: c["status"] for c in have.get("status", {}).get("conditions") or []}
        assert told.get("NonStructuralSchema", "False") == "False", have["status"]
        with api.client() as c:
            return told.get("Established") == "True" and c.get(RECORDS).status == 200
    wait_until(established, "the definition to be established")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, etcd_server):
    with ApiServer(tmp_path_factory.mktemp("records"), etcd_server) as api:
        install_crd(api)
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
