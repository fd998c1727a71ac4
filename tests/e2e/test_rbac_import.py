"""Imported RBAC against the RBAC of a real kube-apiserver: its own roles and bindings, and tricky ones, read from its API."""
import json
import os
import threading

import pytest

from support import rbac_world, yamlio
from support.apiserver import ApiServer
from support.paths import program
from support.proc import run

KINDS = ("clusterroles", "roles", "clusterrolebindings", "rolebindings")
REQUESTS = 20000
ASKERS = 4
SAR = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def path_of(doc):
    ns = doc["metadata"].get("namespace")
    return rbac_world.API + (f"/namespaces/{ns}" if ns else "") + f"/{doc['kind'].lower()}s"


class Cluster:
    """An apiserver whose only authorizer is RBAC, and its objects as files."""

    def __init__(self, folder, etcd):
        self.folder = folder
        self.api = ApiServer(folder / "api", etcd).start()
        for ns in ("red", "blue"):
            self.api.namespace(ns)
        with self.api.client() as c:
            for doc in rbac_world.objects():
                got = c.post(path_of(doc), json=doc)
                assert got.status == 201, got
        self._aggregate()
        self.objects = {}
        os.makedirs(folder / "rbac")
        for kind in KINDS:
            with self.api.client() as c:
                got = c.get(f"{rbac_world.API}/{kind}")
            self.objects[kind] = got.json["items"]
            with open(folder / "rbac" / f"{kind}.json", "wb") as f:
                f.write(got.body)
        self.policy = yamlio.write(str(folder / "policy.yaml"), {
            "apiVersion": "portcullis.dev/v1alpha1", "kind": "AccessPolicy",
            "imports": [{"rbac": {"path": "rbac/*.json"}}]})

    def _aggregate(self):
        """What the controller manager would do."""
        roles = self.api.get(f"{rbac_world.API}/clusterroles")["items"]
        for name, rules in rbac_world.aggregate(roles).items():
            self.api.patch(f"{rbac_world.API}/clusterroles/{name}", {"rules": rules})
        # The last thing made of each kind is what that kind's cache in the authorizer learns last.
        last = []
        for scope, ns in (("Cluster", {}), ("", {"namespace": "red"})):
            meta, role = {"name": "t-last", **ns}, f"{scope}Role"
            last += [{"kind": role, "metadata": meta, "rules": [rbac_world.rule(["get"], [""], ["t-last"])]},
                     {"kind": f"{role}Binding", "metadata": meta, "subjects": [rbac_world.subject("User:caught-up")],
                      "roleRef": {"apiGroup": rbac_world.V, "kind": role, "name": "t-last"}}]
        self.api.create_rbac(last)

    def ask(self, reviews):
        """The apiserver's statuses, in order."""
        out = [None] * len(reviews)

        def work(first):
            with self.api.client() as c:
                for i in range(first, len(reviews), ASKERS):
                    got = c.post(SAR, json=reviews[i])
                    assert got.status == 201, got
                    out[i] = got.json["status"]
        threads = [threading.Thread(target=work, args=(i,)) for i in range(ASKERS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return out


def evaluate(policy, reviews):
    """Our statuses, in order."""
    got = run([program("portcullis"), "policy", "eval", "--policy", policy],
              stdin="".join(json.dumps(r) + "\n" for r in reviews))
    assert got.returncode == 0, got.stderr
    return [json.loads(line)["status"] for line in got.stdout.splitlines()]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, etcd_server):
    c = Cluster(tmp_path_factory.mktemp("rbac-import"), etcd_server)
    yield c
    c.api.stop()


@pytest.fixture(scope="module")
def asked(cluster):
    """(reviews, what the apiserver's RBAC says to them)"""
    source = rbac_world.Requests(cluster.objects)
    reviews = [source.one() for _ in range(REQUESTS)]
    return reviews, cluster.ask(reviews)


def differences(reviews, theirs, ours):
    assert len(reviews) == len(theirs) == len(ours)
    return [(r["spec"], t, o) for r, t, o in zip(reviews, theirs, ours)
            if t["allowed"] != o["allowed"] or o.get("denied")]


def test_imports_decide_as_the_apiserver_does(cluster, asked):
    reviews, theirs = asked
    assert sum(t["allowed"] for t in theirs) > REQUESTS // 2
    assert sum(not t["allowed"] for t in theirs) > REQUESTS // 5
    found = differences(reviews, theirs, evaluate(cluster.policy, reviews))
    assert not found, f"{len(found)} of {REQUESTS}, first: {found[:5]}"


def test_a_binding_that_leads_nowhere_says_what_the_apiserver_says(cluster):
    def review(user, **attributes):
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                "spec": {"user": user, "resourceAttributes": {"verb": "get", "resource": "nodes", **attributes}}}
    reviews = [review("lost"), review("lost-red", namespace="red"), review("lost-blue", namespace="blue")]
    for theirs, ours in zip(cluster.ask(reviews), evaluate(cluster.policy, reviews)):
        assert "not found" in theirs["reason"] and theirs["reason"] in ours["reason"]
