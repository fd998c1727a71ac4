"""portcullis-rbac-sync against a scripted apiserver: what it asks, how it survives trouble, what it never does."""
import json
import os
import shutil
import signal

import pytest

from support import kubeconfig, pki, yamlio
from support.fake_apiserver import RESET, FakeApiserver, Hold, status
from support.paths import TOP, program
from support.proc import run
from support.rbac_sync import Worker
from support.spool import Spool, group_key, key

DEVS = {"name": "devs", "match": {"groups": ["eng-*"]},
        "grants": [{"clusterRole": "edit", "namespaces": ["${group|replace:eng-:}"]}]}
VIEW = {"name": "everybody", "match": {"providers": ["*"]},
        "grants": [{"clusterRole": "view", "scope": "cluster"}]}


@pytest.fixture
def api(tmp_path):
    with FakeApiserver(tmp_path / "api") as a:
        yield a


@pytest.fixture
def config(tmp_path, api):
    return kubeconfig.write(tmp_path / "kubeconfig", api.url, api.ca, token="secret-token")


@pytest.fixture
def worker(tmp_path, config):
    made = []

    def make(templates=(DEVS,), kubeconfig_path=config, **kw):
        w = Worker(tmp_path / f"worker{len(made)}", kubeconfig_path, list(templates), **kw)
        made.append(w)
        return w

    yield make
    for w in made:
        code = w.stop()
        assert code in (0, None, -9, 1), f"exit {code}\n{w.process.output()}"
        text = w.process.output() if w.process.popen else ""
        assert "Sanitizer" not in text and "runtime error" not in text, text
        assert "secret-token" not in text


def objects(api):
    return {(ns, o["roleRef"]["name"]): o for (ns, _), o in api.objects.items()}


# --- the straight way ---

def test_a_new_user_gets_what_is_due(worker, api):
    w = worker((DEVS, VIEW))
    w.spool.put("alice@x.org", ["eng-blue", "eng-red", "ops"])
    got = w.once()
    assert got.returncode == 0, got.stderr
    assert w.spool.empty() and not w.spool.names("dead")
    have = objects(api)
    assert set(have) == {("blue", "edit"), ("red", "edit"), (None, "view")}
    o = have[("blue", "edit")]
    record = key("ldap:corp", "alice@x.org")
    assert o["kind"] == "RoleBinding"
    assert o["metadata"]["name"].startswith("portcullis:devs:")
    assert o["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "portcullis", "portcullis.dev/record": record,
        "portcullis.dev/template": "devs"}
    notes = o["metadata"]["annotations"]
    assert notes["portcullis.dev/user"] == "alice@x.org"
    assert notes["portcullis.dev/provider"] == "ldap:corp"
    assert set(notes) == {"portcullis.dev/" + k for k in ("user", "provider", "spec-hash", "generation")}
    assert o["subjects"] == [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice@x.org"}]
    patch = api.seen("PATCH")[0]
    assert patch.path.endswith("?fieldManager=portcullis-sync&force=true")
    assert patch.headers["Content-Type"] == "application/apply-patch+yaml"
    assert patch.token == "secret-token"


def test_a_second_run_writes_nothing(worker, api):
    w = worker((DEVS, VIEW))
    for _ in range(2):
        w.spool.put("alice", ["eng-blue"])
        assert w.once().returncode == 0
    assert len(api.seen("PATCH")) == 2
    before = json.dumps(sorted(api.objects.items(), key=str))
    api.forget()
    w.spool.put("alice", ["eng-blue"], seen_at=1800000000)
    assert w.once().returncode == 0
    assert not api.seen("PATCH") and len(api.seen("GET")) == 2
    assert json.dumps(sorted(api.objects.items(), key=str)) == before


def test_hand_edits_are_repaired_when_the_user_is_next_told_of(worker, api):
    w = worker()
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 0
    (o,) = api.objects.values()
    o["subjects"].append({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"})
    del o["metadata"]["labels"]["portcullis.dev/record"]
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 0
    (o,) = api.objects.values()
    assert [s["name"] for s in o["subjects"]] == ["alice"]
    assert o["metadata"]["labels"]["portcullis.dev/record"] == key("ldap:corp", "alice")


def test_group_bindings_are_shared_by_members(worker, api):
    t = {"name": "teams", "match": {"groups": ["eng-*"]}, "grants": [
        {"clusterRole": "view", "scope": "cluster", "subject": {"kind": "Group", "name": "${group}"}}]}
    w = worker([t])
    w.spool.put("alice", ["eng-blue"])
    w.spool.put("bob", ["eng-blue", "ops"])
    assert w.once().returncode == 0
    assert len(api.seen("PATCH")) == 1
    (o,) = api.objects.values()
    assert o["subjects"][0]["kind"] == "Group" and o["subjects"][0]["name"] == "eng-blue"
    assert o["metadata"]["labels"]["portcullis.dev/record"] == group_key("ldap:corp", "eng-blue")


def test_who_is_due_nothing_costs_no_request(worker, api):
    w = worker()
    w.spool.put("alice", ["ops"])
    assert w.once().returncode == 0
    assert w.spool.empty() and not api.seen()


def test_a_running_worker_takes_events_as_they_come(worker, api):
    w = worker().start()
    for user in ("alice", "bob", "carol"):
        w.spool.put(user, ["eng-blue"])
        w.wait_empty()
    assert len(api.objects) == 3
    assert w.stop() == 0
    assert w.metric("portcullis_sync_events_processed_total", '{result="done"}') == 3
    assert w.metric("portcullis_sync_apply_total", '{kind="RoleBinding",result="written"}') == 3
    assert w.metric("portcullis_sync_spool_depth") == 0


def test_dry_run_prints_and_touches_nothing(worker, api):
    w = worker((DEVS, VIEW))
    w.spool.put("alice", ["eng-blue"])
    w.spool.put("system:admin", ["eng-blue"])
    before = w.spool.names()
    got = w.run("--dry-run")
    assert got.returncode == 0, got.stderr
    docs = [json.loads(line) for line in got.stdout.splitlines()]
    assert {d["kind"] for d in docs} == {"RoleBinding", "ClusterRoleBinding"} and len(docs) == 2
    assert "reservedSubject" in got.stderr
    assert w.spool.names() == before and not api.seen()


# --- trouble of the apiserver: the event stays until it is acknowledged ---

HTML = status(200, {"Content-Type": "text/html"}, body=b"<html>welcome to the captive portal</html>")
OTHER = status(200, body={"kind": "RoleBinding", "metadata": {"name": "something-else"}})


@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize("trouble", [
    status(500), status(503), status(502, body=b"bad gateway"), status(504), status(408),
    status(429, {"Retry-After": "1"}), status(503, {"Retry-After": "0"}), RESET, HTML,
], ids=["500", "503", "502", "504", "408", "429", "503-after", "reset", "html"])
def test_trouble_is_waited_out(worker, api, method, trouble):
    w = worker((DEVS, VIEW))
    w.spool.put("alice", ["eng-blue"])
    api.on(method, "rolebindings", trouble, trouble)
    assert w.once().returncode == 1
    assert len(w.spool.names("new")) == 1
    w.start()
    w.wait_empty()
    assert len(api.objects) == 2 and not w.spool.names("dead")


def test_an_acknowledgement_of_another_object_is_none(worker, api):
    w = worker()
    w.spool.put("alice", ["eng-blue"])
    api.on("PATCH", ".", OTHER)
    assert w.once().returncode == 1
    assert not w.spool.empty()


def test_a_conflict_is_tried_again_at_once(worker, api):
    w = worker()
    w.spool.put("alice", ["eng-blue"])
    api.on("PATCH", ".", status(409), status(409))
    assert w.once().returncode == 0
    assert len(api.seen("PATCH")) == 3 and w.spool.empty()


def test_trouble_stops_the_queue_not_only_the_event(worker, api):
    w = worker()
    for i in range(20):
        w.spool.put(f"user{i}", ["eng-blue"])
    api.on("GET", ".", status(429, {"Retry-After": "30"}))
    assert w.once().returncode == 1
    assert len(api.seen()) == 1
    assert len(w.spool.names("new")) == 20


def test_apiserver_that_is_down_when_the_worker_starts(worker, tmp_path):
    with FakeApiserver(tmp_path / "api2") as api:
        path = kubeconfig.write(tmp_path / "kc2", api.url, api.ca, token="secret-token")
        port = api.port
    w = worker(kubeconfig_path=path)
    w.spool.put("alice", ["eng-blue"])
    w.start()
    w.process.wait_for(lambda: "in trouble" in w.process.output(), "the worker to notice")
    assert not w.spool.empty() and w.process.running and port


# --- refusals of the apiserver ---

def test_one_bad_namespace_never_blocks_the_others(worker, api):
    api.namespaces = {"red"}
    w = worker((DEVS, VIEW), maxAttempts=3)
    name = w.spool.put("alice", ["eng-blue", "eng-red"])
    w.start()
    w.process.wait_for(lambda: name in w.spool.names("dead"), "the event to be given up")
    assert set(objects(api)) == {("red", "edit"), (None, "view")}
    assert 'namespaces "blue" not found' in w.spool.reason(name)
    assert w.spool.empty()
    # Once the cause is repaired the event is put back, and only what is missing is written.
    assert w.stop() == 0
    api.namespaces = None
    api.forget()
    got = w.run("--once", "--requeue-dead")
    assert got.returncode == 0, got.stderr
    assert len(api.seen("PATCH")) == 1 and ("blue", "edit") in objects(api)
    assert not w.spool.names("dead")


@pytest.mark.parametrize("code", [400, 403, 404, 405, 415, 422])
def test_refusals_end_in_dead_letters_with_their_reason(worker, api, code):
    w = worker(maxAttempts=2)
    name = w.spool.put("alice", ["eng-blue"])
    api.on("PATCH", ".", *[status(code, message="because of X")] * 2)
    w.start()
    w.process.wait_for(lambda: name in w.spool.names("dead"), "the event to be given up")
    assert w.spool.reason(name) == f"HTTP {code}: because of X"
    assert len(api.seen("PATCH")) == 2 and not api.objects
    assert w.stop() == 0
    assert w.metric("portcullis_sync_events_processed_total", '{result="dead"}') == 1


def test_news_of_a_user_start_the_count_anew(worker, api):
    api.namespaces = set()
    w = worker(maxAttempts=100, retryInitial="60s", retryMax="60s").start()
    w.spool.put("alice", ["eng-blue"])
    w.process.wait_for(lambda: "binding refused" in w.process.output(), "the refusal")
    api.namespaces = None
    w.spool.put("alice", ["eng-red"])  # not after a minute: now
    w.wait_empty()
    assert set(objects(api)) == {("red", "edit")}


def test_redirects_are_not_followed(worker, api, tmp_path):
    with FakeApiserver(tmp_path / "elsewhere") as other:
        w = worker(maxAttempts=1)
        name = w.spool.put("alice", ["eng-blue"])
        api.on("GET", ".", status(302, {"Location": other.url + "/x"}))
        w.start()
        w.process.wait_for(lambda: name in w.spool.names("dead"), "the event to be given up")
        assert not other.seen()


# --- credentials ---

def test_a_rotated_token_file_is_read_again_after_a_401(worker, api, tmp_path):
    token = tmp_path / "token"
    token.write_text("secret-token\n")
    path = yamlio.write(tmp_path / "kc-file", {
        "clusters": [{"name": "c", "cluster": {"server": api.url, "certificate-authority": api.ca.crt}}],
        "users": [{"name": "u", "user": {"tokenFile": "token", "token": "ignored"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"})
    w = worker(kubeconfig_path=path).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_empty()
    api.tokens = {"second-token"}
    token.write_text("second-token\n")
    w.spool.put("bob", ["eng-blue"])
    w.wait_empty()
    assert len(api.objects) == 2
    assert [r.token for r in api.seen("GET")] == ["secret-token", "secret-token", "second-token"]
    # A token that is refused for good waits for an operator; nothing is lost.
    api.tokens = {"third"}
    w.spool.put("carol", ["eng-blue"])
    w.process.wait_for(lambda: "HTTP 401" in w.process.output(), "the refusal")
    assert not w.spool.empty() and not w.spool.names("dead")
    token.write_text("third")
    w.wait_empty()


def test_a_rotated_kubeconfig_is_read_again(worker, api, config):
    w = worker().start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_empty()
    api.tokens = {"second-token"}
    kubeconfig.write(config + ".new", api.url, api.ca, token="second-token")
    os.replace(config + ".new", config)
    w.spool.put("bob", ["eng-blue"])
    w.wait_empty()
    assert len(api.objects) == 2


def test_a_stranger_at_the_address_learns_nothing(worker, api, tmp_path):
    other = pki.CA(tmp_path / "other", "other-ca")
    path = kubeconfig.write(tmp_path / "kc-other", api.url, other, token="secret-token")
    w = worker(kubeconfig_path=path)
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 1
    assert not api.seen() and not w.spool.empty()


# --- rails ---

def test_reserved_users_and_groups_are_never_bound(worker, api):
    everything = {"name": "all", "match": {"groups": ["*"]}, "grants": [
        {"clusterRole": "view", "scope": "cluster"},
        {"clusterRole": "view", "scope": "cluster", "subject": {"kind": "Group"}},
        {"clusterRole": "view", "namespaces": ["${group.slug}"]}]}
    w = worker([everything])
    for user in ("system:admin", "System:Masters", "kubernetes-admin", "kubeadm:x", " root", "a\x1bb"):
        w.spool.put(user, ["system:masters", "kube-system", "kubeadm:cluster-admins", "default"])
    got = w.once()
    assert got.returncode == 0, got.stderr
    assert not api.seen()
    w.spool.put("alice", ["system:masters", "kube-system", "kubeadm:cluster-admins", "System:Nodes"])
    got = w.once()
    assert got.returncode == 0, got.stderr
    # kube-system is a fine name for a group, and for nothing else.
    assert sorted(o["subjects"][0]["name"] for o in api.objects.values()) == ["alice", "kube-system"]
    assert not any(ns for ns, _ in api.objects)
    assert w.metric("portcullis_sync_refused_total", '{reason="reservedSubject"}') == 3
    assert w.metric("portcullis_sync_refused_total", '{reason="reservedNamespace"}') > 0


def test_objects_of_others_are_left_alone(worker, api):
    w = worker(maxAttempts=1)
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 0
    (where,) = api.objects
    for change in ({"annotations": {"portcullis.dev/user": "bob", "portcullis.dev/provider": "ldap:corp"}},
                   {"labels": {}, "annotations": {}}):
        api.objects[where]["metadata"].update(change)
        before = json.dumps(api.objects[where])
        w.spool.put("alice", ["eng-blue"])
        w.start()
        w.process.wait_for(lambda: w.spool.names("dead"), "the event to be given up")
        assert w.stop() == 0
        assert json.dumps(api.objects[where]) == before
        assert "foreignObject" in w.spool.reason(key("ldap:corp", "alice"))
        for n in w.spool.names("dead"):
            os.unlink(os.path.join(w.spool.folder, "dead", n))


def test_an_object_that_changes_hands_between_look_and_write_is_left_alone(worker, api):
    """The look says ours; a moment later somebody else's stands there."""
    w = worker(maxAttempts=1)
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 0
    (o,) = api.objects.values()
    o["subjects"] = []

    def taken():
        o["metadata"]["resourceVersion"] = "999"
        o["metadata"]["annotations"]["portcullis.dev/user"] = "bob"

    api.on("PATCH", ".", taken)
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 1
    assert o["subjects"] == [] and o["metadata"]["annotations"]["portcullis.dev/user"] == "bob"


def test_hostile_spool_files_are_buried_and_cost_nothing(worker, api, tmp_path):
    w = worker()
    outside = tmp_path / "outside"
    outside.write_text("{}")
    os.symlink(outside, os.path.join(w.spool.folder, "new", key("p", "link")))
    w.spool.put_raw(key("p", "x"), b'{"v":1}')
    w.spool.put_raw("..hidden-but-not", b"x")
    w.spool.put_raw("; rm -rf ~", b"x")
    w.spool.put_raw(key("ldap:corp", "mallory"), json.dumps({}).encode())
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 1
    assert len(api.objects) == 1
    assert outside.exists()
    assert w.spool.names() == ["..hidden-but-not"]
    assert len([n for n in w.spool.names("dead") if not n.endswith(".reason")]) == 4


# --- templates while running ---

def test_templates_are_reloaded_and_a_bad_file_changes_nothing(worker, api):
    w = worker().start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_empty()
    w.write_templates("apiVersion: sync.portcullis.dev/v1alpha1\nkind: SyncConfig\ntemplates:\n"
                      "- name: bad\n  match: {groups: [a]}\n"
                      "  grants: [{clusterRole: cluster-admin, scope: cluster}]\n")
    w.process.wait_for(lambda: "templates.yaml:6:26: " in w.process.output(), "the finding")
    w.spool.put("bob", ["eng-blue"])
    w.wait_empty()
    assert set(objects(api)) == {("blue", "edit")} and len(api.objects) == 2
    w.write_templates([VIEW])
    w.process.wait_for(lambda: w.process.output().count("templates loaded") == 1, "the new templates")
    w.spool.put("carol")
    w.wait_empty()
    assert (None, "view") in objects(api)
    assert w.process.output().count("templates rejected") == 1


def test_sighup_retries_at_once(worker, api):
    api.namespaces = set()
    w = worker(retryInitial="60s", retryMax="60s").start()
    w.spool.put("alice", ["eng-blue"])
    w.process.wait_for(lambda: "binding refused" in w.process.output(), "the refusal")
    api.namespaces = None
    w.process.signal(signal.SIGHUP)
    w.wait_empty()


# --- death ---

def test_killed_after_the_write_and_before_the_deletion(worker, api):
    w = worker((DEVS, VIEW))
    name = w.spool.put("alice", ["eng-blue"])
    hold = Hold()
    api.on("PATCH", "clusterrolebindings", hold)
    w.start()
    assert hold.reached.wait(60)
    w.process.kill()
    hold.release.set()
    assert w.spool.names("cur") == [name] and len(api.objects) == 2
    versions = [o["metadata"]["resourceVersion"] for o in api.objects.values()]
    api.forget()
    assert w.once().returncode == 0
    assert w.spool.empty() and not api.seen("PATCH")
    assert [o["metadata"]["resourceVersion"] for o in api.objects.values()] == versions


def test_killed_before_the_write(worker, api):
    w = worker((DEVS, VIEW))
    w.spool.put("alice", ["eng-blue"])
    hold = Hold(before=True)
    api.on("GET", "clusterrolebindings", hold)
    w.start()
    assert hold.reached.wait(60)
    w.process.kill()
    hold.release.set()
    assert w.once().returncode == 0
    assert len(api.objects) == 2 and w.spool.empty()


def test_sigterm_ends_cleanly_and_gives_back_what_is_not_done(worker, api):
    api.namespaces = set()
    w = worker(retryInitial="60s", retryMax="60s").start()
    name = w.spool.put("alice", ["eng-blue"])
    w.process.wait_for(lambda: "binding refused" in w.process.output(), "the refusal")
    assert w.stop() == 0
    assert w.spool.names("new") == [name] and not w.spool.names("cur")


def test_one_worker_for_a_spool(worker):
    w = worker().start()
    got = w.once()
    assert got.returncode == 1 and "another worker" in got.stderr
    assert w.process.running


# --- usage ---

def test_wrong_configurations_say_where(worker, tmp_path):
    w = worker()
    with open(w.config_path, encoding="utf-8") as f:
        good = f.read()
    for bad, finding in (
            (good + "spolDir: x\n", "unknown key `spolDir`, did you mean `spoolDir`?"),
            (good + "leaderElection: {}\n", "not supported yet"),
            (good.replace("retryMax: 50ms", "retryMax: 10ms"), "retryMax is below"),
            ("", "rbac-sync.yaml:")):
        yamlio.write(w.config_path, bad)
        got = w.once()
        assert got.returncode == 2 and finding in got.stderr, got.stderr
        assert "rbac-sync.yaml:" in got.stderr
    yamlio.write(w.config_path, good)
    w.write_templates("kind: SyncConfig\n")
    got = w.once()
    assert got.returncode == 2 and "templates.yaml:1:" in got.stderr
    w.write_templates([DEVS])
    os.unlink(tmp_path / "kubeconfig")
    got = w.once()
    assert got.returncode == 2 and "kubeconfig" in got.stderr


def test_the_example_configuration_loads(tmp_path):
    etc = tmp_path / "etc"
    shutil.copytree(os.path.join(TOP, "deploy", "examples"), etc)
    text = (etc / "rbac-sync.yaml").read_text()
    assert "/var/lib/portcullis/spool" in text
    spool = Spool(tmp_path / "spool")
    yamlio.write(etc / "rbac-sync.yaml", text.replace("/var/lib/portcullis/spool", spool.folder))
    spool.put("corp:ann", ["corp:dev-a"])
    got = run([program("portcullis-rbac-sync"), "--config", etc / "rbac-sync.yaml", "--dry-run"])
    assert got.returncode == 0 and json.loads(got.stdout)["metadata"]["namespace"] == "team-a", got


@pytest.mark.parametrize("options", [["--nonsense"], ["word"], ["--config"], ["--config", "/nonexistent"]])
def test_wrong_usage_is_exit_2(worker, options):
    got = run([worker().argv()[0], *options])
    assert got.returncode == 2 and got.stderr
