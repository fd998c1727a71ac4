"""The API client of rbac-sync on a real kube-apiserver: lists in pages, watches, what ends them, credentials."""
import os

import pytest

from support import fault_proxy, kubeconfig
from support.apiserver import ApiServer
from support.fault_proxy import (Answer, Close, Cut, Delay, End, ErrorEvent, FaultProxy, Gone, Hold, Lost, Mute, Rechunk,
                                 Reset, Rewrite, Unauthorized)
from support.kube_probe import KubeProbe

RBAC = "/apis/rbac.authorization.k8s.io/v1"
BINDINGS = f"{RBAC}/rolebindings"
MANY = 1200
TOKENS = {"worker-1": ("worker", ["system:masters"]), "worker-2": ("worker", ["system:masters"])}


def binding(name, labels=None, kind="RoleBinding"):
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
            "metadata": {"name": name, "labels": labels or {}},
            "subjects": [{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"}}


class Cluster:
    def __init__(self, folder, etcd):
        self.etcd = etcd
        tokens = fault_proxy.token_file(folder / "tokens.csv", TOKENS)
        self.api = ApiServer(folder / "api", etcd, extra={"token-auth-file": tokens}).start()
        for ns in ("many", "few"):
            self.api.namespace(ns)
        self.admin = self.api.client()
        for i in range(MANY):
            self.make("many", f"b-{i:04}", {"set": "many"})

    def make(self, namespace, name, labels=None):
        got = self.admin.post(f"{RBAC}/namespaces/{namespace}/rolebindings", json=binding(name, labels))
        assert got.status == 201, got
        return got.json

    def label(self, namespace, name, **labels):
        self.api.patch(f"{RBAC}/namespaces/{namespace}/rolebindings/{name}", {"metadata": {"labels": labels}})

    def delete(self, namespace, name):
        self.api.delete(f"{RBAC}/namespaces/{namespace}/rolebindings/{name}")

    def compact(self):
        """All history but the present is gone from etcd."""
        self.make("few", "latest")
        self.delete("few", "latest")
        self.etcd.compact()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, etcd_server):
    c = Cluster(tmp_path_factory.mktemp("client"), etcd_server)
    yield c
    c.admin.close()
    c.api.stop()


@pytest.fixture
def proxy(tmp_path, cluster):
    with FaultProxy(tmp_path / "proxy", cluster.api) as p:
        yield p


@pytest.fixture
def probe(tmp_path, proxy):
    """Makes probes that go through the proxy."""
    made = []

    def make(**flags):
        config = proxy.kubeconfig(str(tmp_path / "config"), "worker-1")
        made.append(KubeProbe(tmp_path / "probe", config, **flags))
        return made[-1].start()

    yield make
    for p in made:
        p.stop()


def watching(probe, selector="set=few", **flags):
    p = probe(**flags)
    p.tell("watch", "RoleBinding", selector)
    p.wait(event="end")
    return p


# --- lists ---

def test_a_long_list_comes_in_pages(probe, proxy):
    names, got = probe().list(BINDINGS, "labelSelector=set%3Dmany", "quorum")
    assert got["answer"] == "ok"
    assert names == [f"b-{i:04}" for i in range(MANY)]
    asked = [r.path for r in proxy.seen("GET", "rolebindings")]
    assert len(asked) == 3 and all("limit=500" in path and "set%3Dmany" in path for path in asked)
    assert not any("resourceVersion=" in path for path in asked)
    assert "continue=" not in asked[0] and all("continue=" in path for path in asked[1:])


def test_a_list_from_the_cache(probe, proxy):
    names, got = probe().list(BINDINGS, "labelSelector=set%3Dmany", "cached")
    assert got["answer"] == "ok"
    assert sorted(names) == [f"b-{i:04}" for i in range(MANY)]
    assert "resourceVersion=0" in proxy.seen("GET", "rolebindings")[0].path


def test_items_of_a_list_tell_what_they_are(probe):
    p = probe()
    p.list(BINDINGS, "labelSelector=set%3Dmany", "cached")
    assert {s["kind"] for s in p.told(event="item")} == {"RoleBinding"}


def test_history_lost_between_two_pages(probe, proxy, cluster):
    """A continue token is good as long as etcd keeps its revision."""
    hold = Hold(before=True)
    proxy.on("GET", "continue=", hold)
    p = probe()
    p.tell("list", BINDINGS, "labelSelector=set%3Dmany", "quorum")
    hold.reached.wait(60)
    cluster.compact()
    hold.release.set()
    got = p.wait(answer="gone")
    assert got["status"] == 410 and got["reason"] == "Expired"
    names, got = p.list(BINDINGS, "labelSelector=set%3Dmany", "quorum")
    assert got["answer"] == "ok" and len(names) == MANY


# --- watches ---

def test_a_watch_tells_what_happens(probe, cluster):
    p = watching(probe)
    made = cluster.make("few", "w1", {"set": "few"})
    got = p.wait(event="put", name="w1")
    assert got["version"] == made["metadata"]["resourceVersion"] and got["kind"] == "RoleBinding"
    cluster.label("few", "w1", more="yes")
    assert p.wait(event="put", name="w1")["labels"] == {"set": "few", "more": "yes"}
    cluster.label("few", "w1", set="other")  # it leaves the selection
    p.wait(event="remove", name="w1")
    cluster.label("few", "w1", set="few")
    p.wait(event="put", name="w1")
    cluster.delete("few", "w1")
    p.wait(event="remove", name="w1")
    assert len(p.told(event="begin")) == 1
    assert p.healthy()["well"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_chunks_may_begin_anywhere(probe, proxy, cluster, size):
    proxy.on("GET", "watch=1", Rechunk(size), times=None)
    p = watching(probe)
    cluster.make("few", f"chunk-{size}", {"set": "few"})
    p.wait(event="put", name=f"chunk-{size}")
    cluster.delete("few", f"chunk-{size}")
    p.wait(event="remove", name=f"chunk-{size}")


def test_a_watch_that_ends_in_order_goes_on_where_it_was(probe, proxy, cluster):
    rule = proxy.on("GET", "watch=1", Close(events=1))
    p = watching(probe)
    last = cluster.make("few", "close-1", {"set": "few"})["metadata"]["resourceVersion"]
    p.wait(event="put", name="close-1")
    rule.wait()
    again = proxy.wait_request("GET", "watch=1", 2)
    assert f"resourceVersion={last}" in again.path
    cluster.delete("few", "close-1")
    p.wait(event="remove", name="close-1")
    assert len(p.told(event="begin")) == 1  # no second list
    assert p.metric("portcullis_sync_watch_restarts_total", resource="rolebindings", reason="closed") == 1


@pytest.mark.parametrize("action", [Cut(events=1), Cut(300), End(events=1), End(10), Close(events=0)])
def test_a_watch_that_breaks_loses_nothing(probe, proxy, cluster, action):
    rule = proxy.on("GET", "watch=1", action)
    p = watching(probe)
    cluster.make("few", "cut-1", {"set": "few"})
    cluster.make("few", "cut-2", {"set": "few"})
    p.wait(event="put", name="cut-2")
    rule.wait()
    for name in ("cut-1", "cut-2"):
        cluster.delete("few", name)
    p.wait(event="remove", name="cut-2")
    assert len(p.told(event="begin")) == 1
    assert p.metric("portcullis_sync_watch_restarts_total", resource="rolebindings", reason="unavailable") == 1
    assert [s["name"] for s in p.told(event="put")] == ["cut-1", "cut-2"]


def test_connections_that_break_while_nothing_happens(probe, proxy, cluster):
    p = watching(probe)
    proxy.wait_request("GET", "watch=1")
    for i in range(2):
        name = f"kick-{i}"
        cluster.make("few", name, {"set": "few"})
        p.wait(event="put", name=name)
        assert proxy.kick("watch=1") == 1
        cluster.delete("few", name)
        p.wait(event="remove", name=name)
    assert len(p.told(event="begin")) == 1


def test_a_silent_watch_is_given_up(probe, proxy, cluster):
    """An open connection on which nothing comes any more, not even bookmarks."""
    rule = proxy.on("GET", "watch=1", Mute(events=1))
    p = watching(probe, idle=2000)
    cluster.make("few", "mute-1", {"set": "few"})
    p.wait(event="put", name="mute-1")
    rule.wait()
    cluster.delete("few", "mute-1")
    p.wait(event="remove", name="mute-1")
    assert p.metric("portcullis_sync_watch_restarts_total", resource="rolebindings", reason="silent") >= 1


@pytest.mark.parametrize("action", [Gone(), ErrorEvent()])
def test_an_expired_version_lists_anew(probe, proxy, cluster, action):
    proxy.on("GET", "watch=1", action)
    p = watching(probe)
    p.wait(event="begin")
    p.wait(event="end")
    lists = proxy.seen("GET", "rolebindings[?]limit=")
    assert "resourceVersion=0" in lists[0].path
    assert "resourceVersion=" not in lists[1].path  # not from a cache, which may be as old
    cluster.make("few", "gone-1", {"set": "few"})
    p.wait(event="put", name="gone-1")
    cluster.delete("few", "gone-1")
    p.wait(event="remove", name="gone-1")
    assert p.metric("portcullis_sync_watch_restarts_total", resource="rolebindings", reason="expired") == 1


def test_history_lost_while_the_apiserver_was_away(probe, proxy, cluster):
    """The real thing: a restart empties the watch cache, a compaction the rest."""
    cluster.make("few", "old", {"set": "few"})
    p = watching(probe)
    proxy.cut()
    cluster.delete("few", "old")
    cluster.make("few", "new", {"set": "few"})
    cluster.compact()
    cluster.api.stop()
    cluster.api.start()
    cluster.make("few", "newer", {"set": "few"})
    proxy.restore()
    p.wait(event="begin")
    p.wait(event="end")
    listed = p.said[max(i for i, s in enumerate(p.said) if s.get("event") == "begin"):]
    assert {s["name"] for s in listed if s["event"] == "put"} == {"new", "newer"}
    assert p.metric("portcullis_sync_watch_restarts_total", resource="rolebindings", reason="expired") == 1
    for name in ("new", "newer"):
        cluster.delete("few", name)
    p.wait(event="remove", name="newer")


def test_a_cluster_that_went_back_in_time(probe, proxy):
    """As after etcd was restored: the version that was seen is not there yet."""
    proxy.on("GET", "watch=1", Answer(504, "Timeout", cause="ResourceVersionTooLarge", retry_after=1,
                                      message="Too large resource version: 9, current: 5"))
    p = watching(probe)
    p.wait(event="end")
    assert "resourceVersion=" not in proxy.seen("GET", "rolebindings[?]limit=")[1].path


def test_no_rights(probe, proxy):
    proxy.on("GET", "rolebindings", Answer(403, "Forbidden", message="not you"), times=1)
    p = probe()
    p.tell("watch", "RoleBinding", "set=few")
    p.wait(event="end")
    proxy.wait_request("GET", "watch=1")
    assert p.metric("portcullis_sync_watch_restarts_total", resource="rolebindings", reason="refused") == 1


def test_stopping_a_watch_takes_no_time(probe, cluster):
    p = watching(probe)
    cluster.make("few", "stop-1", {"set": "few"})
    p.wait(event="put", name="stop-1")
    p.tell("stop")
    p.wait(event="stopped")
    cluster.delete("few", "stop-1")


# --- writes ---

def path(name):
    return f"{RBAC}/namespaces/few/rolebindings/{name}"


def test_the_verbs(probe, cluster):
    p = probe()
    made = p.ask("create", f"{RBAC}/namespaces/few/rolebindings", binding("verbs"))
    assert (made["answer"], made["status"]) == ("ok", 201)
    again = p.ask("create", f"{RBAC}/namespaces/few/rolebindings", binding("verbs"))
    assert (again["answer"], again["reason"]) == ("conflict", "AlreadyExists")
    body = made["body"]
    body["subjects"][0]["name"] = "v"
    put = p.ask("put", path("verbs"), body)
    assert put["answer"] == "ok"
    assert p.ask("put", path("verbs"), body)["answer"] == "conflict"  # its version is of the past
    merged = p.ask("merge", path("verbs"), {"metadata": {"labels": {"a": "b"}}})
    assert merged["body"]["metadata"]["labels"] == {"a": "b"}
    stale = {"metadata": {"resourceVersion": made["body"]["metadata"]["resourceVersion"], "labels": {"a": "c"}}}
    assert p.ask("merge", path("verbs"), stale)["answer"] == "conflict"
    got = p.ask("get", path("verbs"), binding("verbs"))
    assert got["body"]["metadata"]["resourceVersion"] == merged["body"]["metadata"]["resourceVersion"]
    assert {m["manager"] for m in got["body"]["metadata"]["managedFields"]} == {"portcullis-sync"}
    uid, version = got["body"]["metadata"]["uid"], got["body"]["metadata"]["resourceVersion"]
    assert p.ask("delete", path("verbs"), uid, made["body"]["metadata"]["resourceVersion"])["answer"] == "conflict"
    assert p.ask("delete", path("verbs"), "00000000-0000-0000-0000-000000000000", version)["answer"] == "conflict"
    assert cluster.api.get(path("verbs"))
    assert p.ask("delete", path("verbs"), uid, version)["answer"] == "ok"
    assert p.ask("delete", path("verbs"), uid, version)["answer"] == "absent"
    assert p.ask("get", path("verbs"), binding("verbs"))["answer"] == "absent"
    for verb, code, count in (("create", "201", 1), ("create", "409", 1), ("update", "200", 1), ("update", "409", 1),
                              ("patch", "200", 1), ("delete", "200", 1), ("delete", "409", 2), ("get", "404", 1)):
        assert p.metric("portcullis_sync_api_requests_total", verb=verb, code=code) == count
    assert p.metric("portcullis_sync_api_request_duration_seconds_count", verb="delete") == 4


def test_apply_creates_then_changes_only_that_state(probe, cluster):
    p = probe()
    made = p.ask("apply", path("applied"), binding("applied"))
    assert (made["answer"], made["status"]) == ("ok", 201)
    same = p.ask("apply", path("applied"), binding("applied"))
    assert same["body"]["metadata"]["resourceVersion"] == made["body"]["metadata"]["resourceVersion"]
    cluster.label("few", "applied", a="b")
    old = p.ask("apply", path("applied"), binding("applied", {"c": "d"}), made["body"]["metadata"]["resourceVersion"])
    assert old["answer"] == "conflict"
    cluster.delete("few", "applied")


def test_a_review_has_no_name(probe):
    got = probe().ask("create", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}})
    assert got["answer"] == "ok" and got["body"]["status"]["allowed"] is True


def test_something_between_us_that_answers_for_it(probe, proxy):
    proxy.on("GET", "clusterroles/view", Rewrite(lambda doc: {**doc, "kind": "Role"}))
    p = probe()
    got = p.ask("get", f"{RBAC}/clusterroles/view", {"kind": "ClusterRole"})
    assert (got["answer"], got["status"]) == ("later", 200)
    assert p.ask("get", f"{RBAC}/clusterroles/view", {"kind": "ClusterRole"})["answer"] == "ok"


def test_an_answer_that_does_not_come_in_time(probe, proxy):
    proxy.on("GET", "clusterroles/view", Delay(60))
    got = probe(timeout=300).ask("get", f"{RBAC}/clusterroles/view", {"kind": "ClusterRole"})
    assert (got["answer"], got["status"]) == ("later", 0)


def test_a_dry_run_writes_nothing(probe, cluster):
    made = cluster.make("few", "dry")["metadata"]
    p = probe(dry_run=None)
    assert p.ask("apply", path("dry-new"), binding("dry-new"))["answer"] == "ok"
    assert p.ask("create", f"{RBAC}/namespaces/few/rolebindings", binding("dry-new"))["answer"] == "ok"
    assert p.ask("merge", path("dry"), {"metadata": {"labels": {"a": "b"}}})["answer"] == "ok"
    assert p.ask("delete", path("dry"), made["uid"], made["resourceVersion"])["answer"] == "ok"
    assert cluster.api.get(path("dry-new")) is None
    assert cluster.api.get(path("dry"))["metadata"]["resourceVersion"] == made["resourceVersion"]
    cluster.delete("few", "dry")


def test_a_namespace_on_its_way_out_says_so(probe, proxy):
    """No controller manager runs here that would end it: the answer is the real one's text."""
    proxy.on("PATCH", "rolebindings/late", Answer(403, "Forbidden", cause="NamespaceTerminating"))
    got = probe().ask("apply", path("late"), binding("late"))
    assert (got["answer"], got["cause"]) == ("refused", "NamespaceTerminating")


@pytest.mark.parametrize("action", [Reset(), Lost()])
def test_no_answer_is_later(probe, proxy, action):
    proxy.on("PATCH", "rolebindings/lost", action)
    p = probe()
    got = p.ask("apply", path("lost"), binding("lost"))
    assert (got["answer"], got["status"]) == ("later", 0)
    assert p.metric("portcullis_sync_api_requests_total", verb="apply", code="none") == 1
    assert p.ask("apply", path("lost"), binding("lost"))["answer"] == "ok"


# --- credentials ---

def test_a_rotated_token_is_read_after_a_401(tmp_path, proxy):
    token = tmp_path / "token"
    token.write_text("of-the-past\n")
    config = kubeconfig.write(str(tmp_path / "config"), proxy.url, proxy.ca)
    text = open(config, encoding="utf-8").read()
    with open(config, "w", encoding="utf-8") as f:
        f.write(text.replace("user: {}", f"user: {{tokenFile: {token}}}"))
    with KubeProbe(tmp_path / "probe", config) as p:
        assert p.ask("get", f"{RBAC}/clusterroles/view", {"kind": "ClusterRole"})["status"] == 401
        token.write_text("worker-1\n")
        assert p.ask("get", f"{RBAC}/clusterroles/view", {"kind": "ClusterRole"})["answer"] == "ok"
        os.replace(_write(tmp_path / "next", "worker-2"), token)
        proxy.on("GET", "clusterroles/view", Unauthorized())
        assert p.ask("get", f"{RBAC}/clusterroles/view", {"kind": "ClusterRole"})["answer"] == "ok"
    assert [r.token for r in proxy.seen("GET", "clusterroles/view")][-2:] == ["worker-1", "worker-2"]


def _write(where, text):
    where.write_text(text)
    return where


def test_in_a_pod(tmp_path, proxy):
    """The service account's files and environment, the token renewed as the kubelet does: by a link."""
    for name, text in (("token", "worker-1"), ("ca.crt", proxy.ca.pem), ("namespace", "few")):
        (tmp_path / "first").mkdir(exist_ok=True)
        (tmp_path / "first" / name).write_text(text)
    (tmp_path / "sa").mkdir()
    (tmp_path / "sa" / "..data").symlink_to(tmp_path / "first")
    for name in ("token", "ca.crt", "namespace"):
        (tmp_path / "sa" / name).symlink_to(f"..data/{name}")
    env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(proxy.port)}
    with KubeProbe(tmp_path / "probe", cluster_dir=tmp_path / "sa", env=env) as p:
        assert p.ask("get", f"{RBAC}/clusterroles/view", {"kind": "ClusterRole"})["answer"] == "ok"
        (tmp_path / "second").mkdir()
        for name, text in (("token", "worker-2"), ("ca.crt", proxy.ca.pem), ("namespace", "few")):
            (tmp_path / "second" / name).write_text(text)
        (tmp_path / "sa" / "..tmp").symlink_to(tmp_path / "second")
        os.replace(tmp_path / "sa" / "..tmp", tmp_path / "sa" / "..data")
        proxy.on("GET", "clusterroles/view", Unauthorized())
        assert p.ask("get", f"{RBAC}/clusterroles/view", {"kind": "ClusterRole"})["answer"] == "ok"
    assert [r.token for r in proxy.seen("GET", "clusterroles/view")] == ["worker-1", "worker-1", "worker-2"]
