"""The examples of docs/rbac-sync.md on a real kube-apiserver: namespaces, what stands in them, selectors, ends."""
import os
import re
import time

import pytest

from support import kubeconfig, rbac_sync
from support.apiserver import ApiServer
from support.paths import TOP
from support.rbac_sync import Worker, bindings, phase, records
from support.spool import key


def example(name):
    """The example of the manual that holds a template NAME."""
    with open(os.path.join(TOP, "docs", "rbac-sync.md"), encoding="utf-8") as f:
        found = [t for t in re.findall(r"^```yaml\n(.*?)^```", f.read(), re.M | re.S) if f"- name: {name}\n" in t]
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, etcd_server):
    api = ApiServer(tmp_path_factory.mktemp("cluster"), etcd_server).start()
    try:
        rbac_sync.aggregate(api)
        rbac_sync.install_crd(api)
        yield api
    finally:
        api.stop()


@pytest.fixture
def worker(tmp_path, cluster):
    config = kubeconfig.write(tmp_path / "kubeconfig", cluster.url, cluster.ca, cluster.admin)
    made = []

    def make(templates):
        made.append(Worker(tmp_path / f"worker{len(made)}", config, templates))
        return made[-1]

    yield make
    for w in made:
        w.stop()
    rbac_sync.remove_all(cluster)


def once(w):
    got = w.once()
    assert got.returncode == 0, got.stderr


def managed(api, path):
    return {o["metadata"]["name"]: o for o in api.get(f"{path}?{rbac_sync.MANAGED}")["items"]}


def label(api, namespace, **labels):
    api.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": labels}})


def granted(api):
    return sorted((ns, o["roleRef"]["name"], o["subjects"][0]["kind"], o["subjects"][0]["name"])
                  for (ns, _), o in bindings(api).items())


def test_a_namespace_of_ones_own(worker, cluster):
    w = worker(example("sandbox"))
    w.spool.put("alice", ["eng-blue"])
    w.spool.put("Alice", ["eng-blue"])
    once(w)
    names = {u: f"u-alice-{key('ldap:corp', u)[:10]}" for u in ("alice", "Alice")}
    assert set(managed(cluster, "/api/v1/namespaces")) == set(names.values())
    for user, ns in names.items():
        made = cluster.get(f"/api/v1/namespaces/{ns}")["metadata"]
        assert made["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        assert made["annotations"]["example.org/owner"] == made["annotations"]["portcullis.dev/user"] == user
        quota = cluster.get(f"/api/v1/namespaces/{ns}/resourcequotas/default")
        assert quota["spec"]["hard"] == {"pods": "20", "requests.cpu": "4", "requests.memory": "8Gi"}
        policy = cluster.get(f"/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies/same-namespace")
        assert policy["spec"]["ingress"] == [{"from": [{"podSelector": {}}]}]
    assert granted(cluster) == sorted((names[u], "edit", "User", u) for u in names)
    # What the apiserver fills in is no difference: nothing is written again.
    seen = versions(cluster, names.values())
    once(w)
    assert versions(cluster, names.values()) == seen
    # Somebody takes the fence away.
    label(cluster, names["alice"], **{"pod-security.kubernetes.io/enforce": "privileged"})
    cluster.patch(f"/api/v1/namespaces/{names['alice']}/resourcequotas/default", {"spec": {"hard": {"pods": "999"}}})
    once(w)
    made = cluster.get(f"/api/v1/namespaces/{names['alice']}")["metadata"]["labels"]
    assert made["pod-security.kubernetes.io/enforce"] == "restricted"
    quota = cluster.get(f"/api/v1/namespaces/{names['alice']}/resourcequotas/default")
    assert quota["spec"]["hard"]["pods"] == "20"


def versions(api, namespaces):
    paths = [f"/api/v1/namespaces/{ns}{rest}" for ns in namespaces for rest in ("", "/resourcequotas/default")]
    paths += [f"/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies/same-namespace" for ns in namespaces]
    return ([api.get(p)["metadata"]["resourceVersion"] for p in paths],
            {k: o["metadata"]["resourceVersion"] for k, o in bindings(api).items()})


def test_a_namespace_of_somebody_elses_is_not_entered(worker, cluster):
    """Its name was to be had: nothing of the template goes there."""
    ns = f"u-mallory-{key('ldap:corp', 'mallory')[:10]}"
    cluster.namespace(ns)
    w = worker(example("sandbox"))
    w.spool.put("mallory", ["eng-blue"])
    w.once()
    assert granted(cluster) == []
    assert cluster.get(f"/api/v1/namespaces/{ns}/resourcequotas")["items"] == []
    assert phase(cluster, "mallory") == "Degraded"


def test_teams_by_label(worker, cluster):
    for ns in ("tlabel-a", "tlabel-b", "tlabel-c"):
        cluster.namespace(ns)
    label(cluster, "tlabel-a", team="eng")
    label(cluster, "tlabel-b", team="blue")
    label(cluster, "kube-system", team="eng")
    w = worker(example("readers"))
    w.spool.put("alice", ["eng-blue"])
    w.spool.put("bob", ["eng-blue", "eng-red"])
    w.once()
    want = [("tlabel-a", "view", "Group", "eng-blue"), ("tlabel-a", "view", "Group", "eng-red"),
            ("tlabel-b", "edit", "Group", "eng-blue")]
    assert granted(cluster) == want
    limits = cluster.get("/api/v1/namespaces/tlabel-b/limitranges/defaults")
    assert limits["spec"]["limits"][0]["default"] == {"memory": "256Mi"}
    assert limits["metadata"]["annotations"]["portcullis.dev/provider"] == "*"
    # A namespace that comes to a team comes to its readers.
    label(cluster, "tlabel-c", team="eng")
    w.once()
    assert granted(cluster) == sorted(want + [("tlabel-c", "view", "Group", "eng-blue"),
                                              ("tlabel-c", "view", "Group", "eng-red")])
    label(cluster, "kube-system", team=None)


def test_a_namespace_that_comes_to_a_team_is_limited_at_once(worker, cluster):
    """Also by a template that grants nothing."""
    for ns in ("tfence-a", "tfence-b"):
        cluster.namespace(ns)
    label(cluster, "tfence-a", fence="yes")
    w = worker([{"name": "fence", "match": {"providers": ["*"]}, "namespaces": {"selector": "fence=yes"}, "objects": [
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}}]}])
    w.start()

    def fenced():
        return {ns for ns in ("tfence-a", "tfence-b") if cluster.get(f"/api/v1/namespaces/{ns}/resourcequotas")["items"]}

    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: fenced() == {"tfence-a"}, "the first one's limit")
    w.wait_for(lambda: phase(cluster, "alice") == "Ready", "the record")
    label(cluster, "tfence-b", fence="yes")
    w.wait_for(lambda: fenced() == {"tfence-a", "tfence-b"}, "the second one's limit")


def test_what_all_share_and_was_only_announced_is_no_orphan(worker, cluster):
    """The worker died before it could note what it had made, and then the template changed."""
    cluster.namespace("tshared")
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}}
    template = {"name": "t", "match": {"providers": ["*"]}, "namespaces": ["tshared"], "objects": [quota],
                "grants": [{"clusterRole": "view"}]}
    w = worker([template])
    w.spool.put("alice", ["eng-blue"])
    once(w)
    path = f"/apis/portcullis.dev/v1alpha1/userrecords/{key('ldap:corp', 'alice')}"
    record = cluster.get(path)
    announced = [{k: b[k] for k in ("kind", "namespace", "name", "template", "hash")}
                 for b in record["status"]["bindings"]]
    cluster.patch(f"{path}/status", {"status": {"bindings": announced}})
    w.write_templates([{**template, "objects": []}])
    once(w)
    assert cluster.get("/api/v1/namespaces/tshared/resourcequotas")["items"] == []
    assert granted(cluster) == [("tshared", "view", "User", "alice")]


def test_grants_that_end(worker, cluster):
    cluster.namespace("tend")
    now = time.time()

    def at(seconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + seconds))

    def grant(role, **kw):
        return {"clusterRole": role, "namespaces": ["tend"], **kw}

    def template(view_ends):
        return [{"name": "t", "match": {"groups": ["oncall"]}, "grants": [
            grant("view", startTime=at(-7200), endTime=view_ends), grant("edit", startTime=at(7200)),
            grant("admin", ttl="1h")]}]

    w = worker(template(at(3600)))
    w.spool.put("alice", ["oncall"], seen_at=int(now) - 60)
    w.spool.put("bob", ["oncall"], seen_at=int(now) - 7200)
    once(w)
    assert granted(cluster) == [("tend", "admin", "User", "alice"), ("tend", "view", "User", "alice"),
                                ("tend", "view", "User", "bob")]
    (o,) = [o for o in bindings(cluster).values() if o["roleRef"]["name"] == "admin"]
    assert o["metadata"]["annotations"]["portcullis.dev/expires"] == at(int(now) - 60 + 3600 - now)
    entries = records(cluster)["alice"]["status"]["bindings"]
    assert sorted(b.get("expires") for b in entries) == sorted([at(3600), at(int(now) - 60 + 3600 - now)])
    w.write_templates(template(at(-61)))
    once(w)
    assert granted(cluster) == [("tend", "admin", "User", "alice")]
