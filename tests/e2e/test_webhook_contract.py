"""What a real apiserver does with the answers of an authorization webhook: rows 83 to 88 of the access cases, which
are its own behaviour. A server that counts stands in for portcullisd, RBAC behind it."""
import itertools
import json

import pytest
import yaml

from support import counting_webhook as webhook
from support import yamlio
from support.apiserver import ApiServer, Webhooks, binary, version
from support.https import Client, tls_context
from support.proc import run, wait_until

CONFIGURED = (1, 30)  # from here on authorizers are configured by a file


def with_long_caches(api):
    """Answers are remembered for as long as it is the default."""
    if api.version < CONFIGURED:
        return
    path = f"{api.folder}/authorization.yaml"
    with open(path, encoding="utf-8") as f:
        doc = yaml.safe_load(f)
    for a in doc["authorizers"]:
        if a["type"] == "Webhook":
            a["webhook"].update({"authorizedTTL": "5m", "unauthorizedTTL": "5m", "failurePolicy": "NoOpinion"})
    yamlio.write(path, doc)


class Cluster:
    def __init__(self, folder, etcd):
        self.hook = webhook.CountingWebhook(str(folder / "webhook"))
        ttl = {} if version(binary()) >= CONFIGURED else {
            "authorization-webhook-cache-authorized-ttl": "300s",
            "authorization-webhook-cache-unauthorized-ttl": "300s"}
        self.api = ApiServer(folder / "api", etcd, Webhooks(
            self.hook.port, self.hook.ca, self.hook.client), extra=ttl)
        with_long_caches(self.api)
        self.api.start()
        self._n = itertools.count()

    def person(self):
        """Somebody of whom nothing is remembered: (name, what a GET of a path gives)."""
        name = f"person-{next(self._n)}"
        pair = self.api.ca.client(name)

        def get(path):
            with Client(self.api.port, tls_context(self.api.ca, pair)) as c:
                return c.get(path)
        return name, get

    def grant(self, name):
        """By RBAC."""
        self.api.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}]})

    def stop(self):
        self.api.stop()
        self.hook.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, etcd_server):
    c = Cluster(tmp_path_factory.mktemp("contract"), etcd_server)
    yield c
    c.stop()


PODS = "/api/v1/namespaces/default/pods"


def test_row83_allowed_and_denied_at_once_is_an_error(cluster):
    name, get = cluster.person()
    cluster.hook.answer = lambda spec: (200, {"allowed": True, "denied": True, "reason": "both"})
    got = get(PODS)
    assert got.status == 500 and "both allow and deny" in got.text, got
    assert len(cluster.hook.asked(name)) == 1


def test_row84_an_answer_is_remembered_though_the_policy_changed(cluster):
    name, get = cluster.person()
    cluster.hook.answer = lambda spec: webhook.allow()
    assert get(PODS).status == 200 and len(cluster.hook.asked(name)) == 1
    cluster.hook.answer = lambda spec: webhook.deny("edited")
    assert get(PODS).status == 200 and not cluster.hook.asked(name)
    # Another question is asked, and hears of the edit.
    got = get("/api/v1/namespaces/kube-system/pods")
    assert got.status == 403 and "edited" in got.json["message"]
    assert len(cluster.hook.asked(name)) == 1
    # That, too, is remembered.
    cluster.hook.answer = lambda spec: webhook.allow()
    assert get("/api/v1/namespaces/kube-system/pods").status == 403
    assert not cluster.hook.asked(name)


def test_row85_long_attributes_are_asked_every_time(cluster):
    name, get = cluster.person()
    cluster.hook.answer = lambda spec: webhook.deny()
    for length, calls in ((9000, 1), (10000, 2)):
        for _ in range(2):
            assert get("/healthz/" + "x" * length).status == 403
        asked = cluster.hook.asked(name)
        assert [len(s["nonResourceAttributes"]["path"]) for s in asked] == [length + 9] * calls


def test_row86_503_is_one_call_and_the_next_authorizer_decides(cluster):
    """Whom no other authorizer allows is told of an error and not of a refusal."""
    name, get = cluster.person()
    cluster.hook.answer = lambda spec: (503, {"allowed": True})
    assert get(PODS).status == 500 and len(cluster.hook.asked(name)) == 1
    cluster.grant(name)
    wait_until(lambda: get(PODS).status == 200, "RBAC's grant")
    # The failure is not remembered.
    cluster.hook.asked(name)
    cluster.hook.answer = lambda spec: webhook.deny()
    assert get(PODS).status == 403 and len(cluster.hook.asked(name)) == 1


def test_row87_500_is_asked_five_times(cluster):
    name, get = cluster.person()
    cluster.hook.answer = lambda spec: (500, {"allowed": True})
    assert get(PODS).status == 500
    assert len(cluster.hook.asked(name)) == 5


def test_row88_match_conditions_are_the_apiservers_own(cluster):
    """Apiservers without them cannot be told any; with them, those of deploy/ keep what they exclude from us."""
    if cluster.api.version < CONFIGURED:
        got = run([cluster.api.path, "--help"])
        assert "--authorization-webhook-config-file" in got.stdout
        assert "--authorization-config " not in got.stdout
        return
    cluster.hook.answer = lambda spec: webhook.allow()
    with open(f"{cluster.api.folder}/authorization.yaml", encoding="utf-8") as f:
        assert "matchConditions" in json.dumps(yaml.safe_load(f))
    node = cluster.api.ca.client("system:node:n", org=("system:nodes",))
    with Client(cluster.api.port, tls_context(cluster.api.ca, node)) as c:
        c.get(PODS)
    assert not cluster.hook.asked("system:node:n")
