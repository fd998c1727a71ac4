"""What the worker makes of roles, on the roles that a real kube-apiserver brings along and on such as hide something."""
import json
import urllib.parse

import pytest

from support import kubeconfig
from support.apiserver import ApiServer
from support.paths import program
from support.proc import run

RBAC = "/apis/rbac.authorization.k8s.io/v1"
TO_VIEW = "rbac.authorization.k8s.io/aggregate-to-view"

# Of the roles that every cluster has, those that people are bound to. In a namespace, in the cluster.
PEOPLE = {
    "view": ("fine", "fine"),
    "edit": ("fine", "dangerous"),
    "admin": ("fine", "dangerous"),
    "cluster-admin": ("dangerous", "dangerous"),
    "system:basic-user": ("fine", "fine"),
    "system:discovery": ("fine", "fine"),
    "system:public-info-viewer": ("fine", "fine"),
    "system:monitoring": ("fine", "fine"),
    "system:auth-delegator": ("fine", "fine"),
    "system:persistent-volume-provisioner": ("fine", "dangerous"),
    "system:node": ("fine", "dangerous"),
    "system:node-bootstrapper": ("fine", "fine"),
    "system:kube-scheduler": ("fine", "dangerous"),
    "system:kube-controller-manager": ("fine", "dangerous"),
    "system:aggregate-to-admin": ("fine", "dangerous"),
    "system:aggregate-to-edit": ("fine", "dangerous"),
    "system:aggregate-to-view": ("fine", "fine"),
    "system:controller:clusterrole-aggregation-controller": ("dangerous", "dangerous"),
    "system:controller:namespace-controller": ("dangerous", "dangerous"),
    "system:controller:generic-garbage-collector": ("dangerous", "dangerous"),
    "system:controller:daemon-set-controller": ("fine", "dangerous"),
    "system:controller:persistent-volume-binder": ("fine", "dangerous"),
    "system:controller:pod-garbage-collector": ("fine", "fine"),
}


class Cluster:
    def __init__(self, folder, etcd):
        self.folder = folder
        self.api = ApiServer(folder / "api", etcd).start()

    def judge(self, *names, pair=None):
        """Name → (in a RoleBinding, in a ClusterRoleBinding, why), as PAIR (the admin) may read."""
        config = kubeconfig.write(self.folder / "kubeconfig", self.api.url, self.api.ca, pair or self.api.admin)
        got = run([program("tests/support/role_probe"), config, *names])
        assert got.returncode == 0, got.stderr
        told = [json.loads(line) for line in got.stdout.splitlines()]
        return {t["name"]: (t["namespace"], t["cluster"], t["why"]) for t in told}

    def role(self, name, rules=(), labels=None, gathers=None, namespace=None):
        doc = {"metadata": {"name": name, "labels": labels or {}}, "rules": list(rules)}
        if gathers is not None:
            doc["aggregationRule"] = {"clusterRoleSelectors": gathers}
        where = f"namespaces/{namespace}/roles" if namespace else "clusterroles"
        return self.api.create(f"{RBAC}/{where}", doc, ok=(201,))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, etcd_server):
    c = Cluster(tmp_path_factory.mktemp("roles"), etcd_server)
    yield c
    c.api.stop()


@pytest.fixture
def made(cluster):
    """Makes ClusterRoles that are gone after the test."""
    names = []

    def make(name, *args, **kw):
        names.append(name)
        return cluster.role(name, *args, **kw)

    yield make
    for name in names:
        cluster.api.delete(f"{RBAC}/clusterroles/{urllib.parse.quote(name)}")


def rule(verbs, resources, group=""):
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def test_the_roles_of_every_cluster(cluster):
    """Judged with what they aggregate, though nobody has filled view, edit and admin here."""
    got = cluster.judge(*PEOPLE)
    assert {k: v[:2] for k, v in got.items()} == PEOPLE
    assert got["cluster-admin"][2] == "rules[0] lets everything be done to everything"
    assert "aggregate" in got["edit"][2]


def test_all_of_them_are_known(cluster):
    with cluster.api.client() as c:
        names = [o["metadata"]["name"] for o in c.get(f"{RBAC}/clusterroles").json["items"]]
    got = cluster.judge(*names)
    assert len(got) == len(names) > 50
    assert {v[0] for v in got.values()} | {v[1] for v in got.values()} == {"fine", "dangerous"}
    assert all(bool(v[2]) == ("dangerous" in v[:2]) for v in got.values())
    # Whoever is dangerous in a namespace is so in the cluster.
    assert not [k for k, v in got.items() if v[:2] == ("dangerous", "fine")]
    # Controllers write workloads, tokens or nodes: no more than a few of their roles are fit for people.
    fine = {k for k, v in got.items() if v[1] == "fine"}
    assert not fine & {"system:kube-scheduler", "system:node", "system:controller:cronjob-controller",
                       "system:controller:expand-controller", "system:controller:job-controller",
                       "system:controller:certificate-controller", "system:controller:token-cleaner"}


def test_a_label_hides_nothing(cluster, made):
    """Whoever labels a dangerous role for view makes view dangerous, before any controller copies its rules."""
    assert cluster.judge("view")["view"][:2] == ("fine", "fine")
    made("sneaky", [rule(["*"], ["*"], "*")], {TO_VIEW: "true"})
    verdict = cluster.judge("view", "edit", "admin")
    assert {v[:2] for v in verdict.values()} == {("dangerous", "dangerous")}
    assert verdict["view"][2].startswith('it aggregates "sneaky": rules[0]')
    # edit aggregates view, and admin edit.
    assert '"sneaky"' in verdict["admin"][2]


@pytest.mark.parametrize("selectors", [
    [{"matchLabels": {"site/x": "1"}}], [{"matchExpressions": [{"key": "site/x", "operator": "Exists"}]}],
    [{"matchExpressions": [{"key": "site/x", "operator": "In", "values": ["0", "1"]}]}],
    [{"matchLabels": {"site/none": "1"}}, {"matchLabels": {"site/x": "1"}, "matchExpressions": [
        {"key": "site/y", "operator": "DoesNotExist"}, {"key": "site/x", "operator": "NotIn", "values": ["2"]}]}],
    [{}]], ids=["labels", "exists", "in", "second", "everything"])
def test_every_kind_of_selector_is_followed(cluster, made, selectors):
    made("gathers", gathers=selectors)
    if selectors != [{}]:
        assert cluster.judge("gathers")["gathers"][:2] == ("fine", "fine")
    made("hidden", [rule(["impersonate"], ["users"])], {"site/x": "1"})
    assert cluster.judge("gathers")["gathers"][:2] == ("dangerous", "dangerous")


def test_names_of_any_letters_roles_of_namespaces_and_what_is_missing(cluster, made):
    made("team:on call?&#", [rule(["list"], ["secrets"])])
    cluster.api.namespace("team-a")
    cluster.role("dev", [rule(["*"], ["secrets", "pods", "pods/exec"])], namespace="team-a")
    got = cluster.judge("team:on call?&#", "team-a/dev", "team-a/nobody", "team-b/dev", "nobody")
    assert got["team:on call?&#"][:2] == ("fine", "dangerous")
    assert got["team-a/dev"][0] == "fine"
    assert {got[k][0] for k in ("team-a/nobody", "team-b/dev", "nobody")} == {"absent"}


def test_who_may_not_read_them_knows_nothing(cluster):
    """With get but no list an aggregated role stays unknown: its rules alone would not do."""
    cluster.role("getter", [rule(["get"], ["clusterroles"], "rbac.authorization.k8s.io")])
    cluster.api.create(f"{RBAC}/clusterrolebindings", {
        "metadata": {"name": "getter"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "getter"},
        "subjects": [{"kind": "User", "name": "getter", "apiGroup": "rbac.authorization.k8s.io"}]}, ok=(201,))
    got = cluster.judge("view", "system:basic-user", "cluster-admin", pair=cluster.api.ca.client("getter"))
    assert got["view"][0] == "unknown" and "cannot be read" in got["view"][2]
    assert got["system:basic-user"][0] == "fine" and got["cluster-admin"][0] == "dangerous"
    got = cluster.judge("view", pair=cluster.api.ca.client("nobody"))
    assert got["view"][0] == "unknown" and "403" in got["view"][2]
