"""`portcullis sync plan`, `explain` and `export` on a real kube-apiserver: what they tell is what the worker then does,
and they write nothing."""
import json

import pytest
import yaml

from support import kubeconfig
from support.apiserver import ApiServer
from support.kubectl import Kubectl
from support.paths import program
from support.proc import run
from support.rbac_sync import Worker, install_crd, remove_all
from support.spool import key

SANDBOX = {"name": "sandbox", "match": {"groups": ["eng-*"]},
           "namespace": {"name": "u-${user.slug}-${user.hash6}"},
           "grants": [{"clusterRole": "seer"}],
           "objects": [{"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "default"},
                        "spec": {"hard": {"pods": "20"}}}]}
TEAM = {"name": "team", "match": {"groups": ["eng-*"]},
        "grants": [{"clusterRole": "seer", "namespaces": ["team-a"],
                    "subject": {"kind": "Group", "name": "${group}"}}]}
OPS = {"name": "ops", "match": {"groups": ["ops"]}, "grants": [{"clusterRole": "seer", "namespaces": ["team-a"]}]}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, etcd_server):
    api = ApiServer(tmp_path_factory.mktemp("cluster"), etcd_server).start()
    try:
        install_crd(api)
        api.namespace("team-a")
        for role in ("seer", "doer"):
            api.create("/apis/rbac.authorization.k8s.io/v1/clusterroles", {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": role},
                "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]})
        yield api
    finally:
        api.stop()


@pytest.fixture
def worker(tmp_path, cluster):
    made = []
    pair = cluster.admin

    def make(*templates, **more):
        config = kubeconfig.write(tmp_path / f"kubeconfig{len(made)}", cluster.url, cluster.ca, pair=pair)
        made.append(Worker(tmp_path / f"worker{len(made)}", config, list(templates), **more))
        return made[-1]

    yield make
    remove_all(cluster)


def sync(worker, command, *options, code=0):
    got = run([program("portcullis"), "sync", *command.split(), "--config", worker.config_path, *options])
    assert got.returncode == code, f"exit {got.returncode}\n{got.stdout}\n{got.stderr}"
    assert "Sanitizer" not in got.stderr and "runtime error" not in got.stderr, got.stderr
    return got.stdout


def plan(worker, *options, code=1):
    return json.loads(sync(worker, "plan", "--output", "json", *options, code=code))


def brief(doc):
    return sorted((c["change"], c["kind"], c.get("removal")) for c in doc["changes"])


def put(worker, user, groups, seen=1800000000):
    """A record, as the intake writes it."""
    worker.spool.put(user, groups, seen_at=seen)
    got = worker.once()
    assert got.returncode == 0, got.stderr


def edit(worker, *templates):
    path = worker.path("new.yaml")
    doc = yaml.safe_load(open(worker.templates_path, encoding="utf-8"))
    with open(path, "w", encoding="utf-8") as f:
        yaml.safe_dump({**doc, "templates": list(templates)}, f)
    return path


def everything(cluster):
    """resourceVersions of all that could be written."""
    paths = ["/apis/portcullis.dev/v1alpha1/userrecords", "/api/v1/namespaces", "/api/v1/resourcequotas",
             "/apis/rbac.authorization.k8s.io/v1/rolebindings",
             "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"]
    return {(p, o["metadata"].get("namespace"), o["metadata"]["name"]): o["metadata"]["resourceVersion"]
            for p in paths for o in cluster.get(p)["items"]}


def test_a_settled_cluster_has_no_changes(worker, cluster):
    w = worker(SANDBOX, TEAM)
    put(w, "alice", ["eng-a"])
    before = everything(cluster)
    assert sync(w, "plan") == "1 records: 0 objects to create, 0 to change, 0 to remove (0 of them limited)\n"
    assert plan(w, code=0)["changes"] == []
    assert everything(cluster) == before


def test_an_edited_template_file_is_tried_and_then_done(worker, cluster):
    w = worker(SANDBOX, TEAM)
    put(w, "alice", ["eng-a"])
    doer = {**SANDBOX, "grants": [{"clusterRole": "doer"}],
            "objects": [{**SANDBOX["objects"][0], "spec": {"hard": {"pods": "3"}}}]}
    new = edit(w, doer)
    before = everything(cluster)
    doc = plan(w, "--templates", new)
    assert brief(doc) == [("change", "Namespace", None), ("change", "ResourceQuota", None),
                          ("create", "RoleBinding", None), ("remove", "RoleBinding", "replaced"),
                          ("remove", "RoleBinding", "undue")]
    assert doc["summary"]["limited"] == 1
    assert everything(cluster) == before
    text = sync(w, "plan", "--templates", new, code=1)
    assert '-    pods: "20"\n+    pods: "3"\n' in text
    assert "1 records: 1 objects to create, 2 to change, 2 to remove (1 of them limited)" in text
    # The removed role's binding is shown as a whole, the new one too.
    assert "-  name: seer" in text and "+  name: doer" in text
    # The worker then does just that.
    w.write_templates([doer])
    put(w, "alice", ["eng-a"], seen=1800000001)
    after = everything(cluster)
    gone = {k[0].rsplit("/", 1)[1] for k in before if k not in after}
    assert gone == {"rolebindings"}
    assert len([k for k in after if k not in before]) == 1
    assert plan(w, code=0)["changes"] == []


def test_drift_and_foreign_objects_are_told(worker, cluster):
    w = worker(SANDBOX, TEAM)
    put(w, "alice", ["eng-a"])
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/team-a/rolebindings"
    (team,) = [o for o in cluster.get(path)["items"] if o["metadata"]["name"].startswith("portcullis:team:")]
    cluster.patch(f"{path}/{team['metadata']['name']}", {"subjects": [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}]})
    (change,) = plan(w)["changes"]
    assert change["change"] == "change" and change["drift"] is True and change["user"] == "alice"
    text = sync(w, "plan", code=1)
    assert "-  name: mallory" in text and "+  name: eng-a" in text
    # One whose label is gone is found all the same.
    cluster.patch(f"{path}/{team['metadata']['name']}", {"metadata": {"labels": {
        "app.kubernetes.io/managed-by": None}}})
    (change,) = plan(w)["changes"]
    assert change["change"] == "change" and change["drift"] is True
    # Somebody else's under our name: nothing to do, but told.
    cluster.delete(f"{path}/{team['metadata']['name']}")
    cluster.create(path, {**team, "metadata": {"name": team["metadata"]["name"], "annotations": {
        "portcullis.dev/group": "others", "portcullis.dev/provider": "ldap:corp"}}})
    (refused,) = plan(w, code=0)["changes"]
    assert refused["change"] == "refuse" and "somebody else" in refused["reason"]
    cluster.delete(f"{path}/{team['metadata']['name']}")


def test_shared_objects_are_told_once_and_stay_for_others(worker, cluster):
    w = worker(TEAM)
    put(w, "alice", ["eng-a"])
    put(w, "bob", ["eng-a"])
    none = edit(w, {**TEAM, "match": {"groups": ["other"]}})
    doc = plan(w, "--templates", none)
    assert brief(doc) == [("remove", "RoleBinding", "undue")]
    # Who is excepted is not bound with the group either: each of the others is.
    only_bob = edit(w, {"name": "team", "match": {"groups": ["eng-*"], "notUsers": ["alice"]},
                        "grants": [{"clusterRole": "seer", "namespaces": ["team-a"]}]})
    doc = plan(w, "--templates", only_bob)
    assert brief(doc) == [("create", "RoleBinding", None), ("remove", "RoleBinding", "undue")]
    assert [c["user"] for c in doc["changes"] if c["change"] == "create"] == ["bob"]
    # One leaves the group: her record but forgets what is the others' too.
    cluster.patch(f"/apis/portcullis.dev/v1alpha1/userrecords/{key('ldap:corp', 'alice')}",
                  {"spec": {"identity": {"provider": "ldap:corp", "username": "alice", "groups": []}}})
    doc = plan(w, code=0)
    assert brief(doc) == [] and doc["summary"]["released"] == 1


def test_a_default_of_on_gc_that_changed_holds_for_what_stands_already(worker, cluster):
    """What the cluster's garbage collector takes along is told by the objects, not by the file."""
    w = worker(SANDBOX)
    ns = f"/api/v1/namespaces/u-alice-{key('ldap:corp', 'alice')[:6]}"

    def file(on_gc):
        doc = yaml.safe_load(open(w.templates_path, encoding="utf-8"))
        return yaml.safe_dump({**doc, "defaults": {"onGC": on_gc}})

    for seen, on_gc, owned in ((1, "delete", True), (2, "orphan", False), (3, "delete", True)):
        w.write_templates(file(on_gc))
        put(w, "alice", ["eng-a"], seen=1800000000 + seen)
        for path in (ns, f"{ns}/resourcequotas/default"):
            assert ("ownerReferences" in cluster.get(path)["metadata"]) is owned, (path, on_gc)


def test_explain_goes_from_group_to_object(worker, cluster):
    w = worker(SANDBOX, TEAM, OPS)
    put(w, "alice", ["eng-a", "admins"])
    text = sync(w, "explain alice")
    ns = f"u-alice-{key('ldap:corp', 'alice')[:6]}"
    assert f"alice (ldap:corp), record {key('ldap:corp', 'alice')}\n  phase Ready; active" in text
    assert "  groups: admins, eng-a\n" in text or "  groups: eng-a, admins\n" in text
    assert f"template sandbox: for eng-a\n  Namespace/{ns}: as it should be\n" in text
    assert ": ClusterRole seer to Group eng-a: as it should be\n" in text
    assert "template ops: not for this user: none of the user's groups is one of its groups\n" in text
    assert "team-a" not in sync(w, "explain alice", "-n", ns)
    (user,) = json.loads(sync(w, "explain", "-o", "json", key("ldap:corp", "alice")))["users"]
    assert user["phase"] == "Ready" and user["life"] == "active" and user["noLongerDue"] == []
    states = {o["kind"]: o["state"] for t in user["templates"] for o in t.get("objects", ())}
    assert states == {"Namespace": "fine", "ResourceQuota": "fine", "RoleBinding": "fine"}
    # What is about to go, and to come.
    new = edit(w, {**SANDBOX, "grants": [{"clusterRole": "doer"}, {"clusterRole": "cluster-admins"}]}, OPS)
    text = sync(w, "explain alice", "--templates", new)
    assert ": ClusterRole doer to User alice: will be created\n" in text
    assert "refused for now: ClusterRole cluster-admins does not exist" in text
    assert "no longer due:\n" in text
    assert sync(w, "explain nobody", code=2) == ""


def test_suspended_users_are_explained(worker, cluster):
    w = worker(SANDBOX)
    put(w, "alice", ["eng-a"])
    cluster.patch(f"/apis/portcullis.dev/v1alpha1/userrecords/{key('ldap:corp', 'alice')}",
                  {"spec": {"state": "Suspended"}})
    text = sync(w, "explain alice")
    assert "; suspended" in text
    assert ": ClusterRole seer to User alice: withheld as the user is now\n" in text
    assert ": will be removed (suspended)\n" in text
    (change,) = plan(w)["changes"]
    assert change["removal"] == "suspended" and change["limited"] is False


def test_users_who_are_leaving_are_planned(worker, cluster):
    w = worker(SANDBOX)
    put(w, "alice", ["eng-a"], seen=1700000000)
    disabled = worker(SANDBOX, gc={"staleAfter": "1s", "disableAfter": "2s"})
    (change,) = plan(disabled)["changes"]
    assert change["kind"] == "RoleBinding" and change["removal"] == "disabled" and change["limited"] is True
    assert disabled.once().returncode == 0
    assert plan(disabled, code=0)["changes"] == []
    assert ": ClusterRole seer to User alice: withheld as the user is now\n" in sync(disabled, "explain alice")
    gone = worker(SANDBOX, gc={"staleAfter": "1s", "disableAfter": "2s", "deleteAfter": "3s"})
    (change,) = plan(gone)["changes"]  # namespace and quota are left
    assert change["kind"] == "UserRecord" and change["removal"] == "deleted" and change["limited"] is True
    text = sync(gone, "plan", code=1)
    assert f"# remove UserRecord/{key('ldap:corp', 'alice')} of alice (ldap:corp), counts against the limits: " in text
    assert "; deleted: " in sync(gone, "explain alice")


def test_an_export_is_what_the_worker_writes(worker, cluster, tmp_path):
    w = worker(SANDBOX, TEAM)
    put(w, "alice", ["eng-a"])
    put(w, "bob", ["eng-a"])
    docs = list(yaml.safe_load_all(sync(w, "export")))
    assert [d["kind"] for d in docs] == ["Namespace"] * 2 + ["ResourceQuota"] * 2 + ["RoleBinding"] * 3
    assert all("status" not in d and "ownerReferences" not in d["metadata"] for d in docs)
    kubectl = Kubectl(tmp_path, cluster, "gitops", pair=cluster.admin)
    path = tmp_path / "export.yaml"
    path.write_text(sync(w, "export"), encoding="utf-8")
    # All of it stands there as it is: applying it in the worker's name changes nothing.
    before = everything(cluster)
    kubectl.ok("apply", "--server-side", "--field-manager=gitops", "-f", str(path))
    assert plan(w, code=0)["changes"] == []
    assert set(everything(cluster)) == set(before)
    alone = list(yaml.safe_load_all(sync(w, "export", "--user", "bob")))
    assert [d["kind"] for d in alone] == ["Namespace", "ResourceQuota", "RoleBinding", "RoleBinding"]
    assert sync(w, "export", "--user", "carol", code=2) == ""


def test_without_records_or_rights_it_says_so(worker, cluster, tmp_path):
    w = worker(SANDBOX)
    assert sync(w, "plan").startswith("0 records: 0 objects")
    assert sync(w, "export") == ""
    nobody = kubeconfig.write(tmp_path / "nobody", cluster.url, cluster.ca, pair=cluster.ca.client("nobody"))
    assert sync(w, "plan", "--kubeconfig", str(nobody), code=2) == ""
