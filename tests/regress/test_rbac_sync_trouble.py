"""portcullis-rbac-sync against a scripted apiserver in trouble: what it survives, what it never does."""
import json
import os

import pytest

from support import kubeconfig, pki, yamlio
from support.fake_apiserver import RESET, FakeApiserver, Hold, status
from support.rbac_sync import DEVS, VIEW
from support.spool import key

HTML = status(200, {"Content-Type": "text/html"}, body=b"<html>welcome to the captive portal</html>")
OTHER = status(200, body={"kind": "RoleBinding", "metadata": {"name": "something-else"}})
TROUBLE = {"500": status(500), "503": status(503), "502": status(502, body=b"bad gateway"), "504": status(504),
           "408": status(408), "429": status(429, {"Retry-After": "1"}), "503-after": status(503, {"Retry-After": "0"}),
           "reset": RESET, "html": HTML}
# What the worker does with these is what it does with 500: sanitizers see nothing new.
LIKE_500 = ("502", "503", "504", "408")


def by_role(api):
    return {(ns, o["roleRef"]["name"]): o for (ns, _), o in api.objects.items()}


def condition(api, user, kind):
    """The condition of that type, or {}."""
    found = [c for c in (api.record(user) or {}).get("status", {}).get("conditions", []) if c["type"] == kind]
    return found[0] if found else {}


# --- trouble of the apiserver: nothing is lost ---

@pytest.mark.parametrize("trouble", [pytest.param(t, marks=[pytest.mark.plain_only] * (t in LIKE_500)) for t in TROUBLE])
@pytest.mark.parametrize("method,path", [("GET", "rolebindings/"), ("PATCH", "rolebindings/"), ("GET", "rolebindings[?]"),
                                         ("POST", "/userrecords"), ("PATCH", "/status")])
def test_trouble_is_waited_out(worker, fake_api, method, path, trouble):
    w = worker((DEVS, VIEW))
    w.spool.put("alice", ["eng-blue"])
    # A reused connection that is reset is tried once more at once.
    fake_api.on(method, path, TROUBLE[trouble], TROUBLE[trouble])
    assert w.once().returncode == 1
    w.start()
    w.wait_for(lambda: fake_api.phase("alice") == "Ready", "alice's bindings")
    assert len(fake_api.objects) == 2 and not w.spool.names("dead")


def test_an_object_that_the_apiserver_chokes_on_holds_up_itself_alone(worker, fake_api):
    """As a quota of `pods: many`, which apiservers answer with 500: a mistake in a template, and no trouble."""
    quota = {"name": "quota", "match": {"groups": ["eng-*"]}, "namespaces": ["blue"], "objects": [
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "bad"}, "spec": {"hard": {"pods": "many"}}}]}
    fake_api.on("PATCH", "resourcequotas/bad", *[status(500, body={"kind": "Status", "message": "no quantity"})] * 1000)
    w = worker((quota, DEVS, VIEW)).start()
    for user in ("alice", "bob"):
        w.spool.put(user, ["eng-blue"])
    w.wait_for(lambda: {fake_api.phase(u) for u in ("alice", "bob")} == {"Degraded"}, "both to be judged")
    assert len(fake_api.objects) == 4 and "the apiserver is in trouble" not in w.process.output()
    refused = condition(fake_api, "alice", "Refused")
    assert refused["status"] == "True" and "ResourceQuota/blue/bad: HTTP 500: no quantity" in refused["message"]
    # What ends goes on time.
    fake_api.edit("userrecords", (None, key("ldap:corp", "alice")),
                  lambda o: o["spec"].update({"expiresAt": "2026-01-01T00:00:00Z"}))
    w.wait_for(lambda: len(fake_api.objects) == 2, "alice's bindings to end")


def test_what_is_refused_stays_announced_and_is_tried_with_pauses(worker, fake_api):
    """A status that changes with each try would be heard of, and bring on the next one at once."""
    fake_api.on("PATCH", "rolebindings/", *[status(422)] * 1000)
    w = worker((DEVS,)).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: len(fake_api.seen("PATCH", "rolebindings/")) >= 4, "some tries")
    assert len(fake_api.seen("PATCH", "/status")) == 2  # announced, and told of
    (entry,) = fake_api.record("alice")["status"]["bindings"]
    assert "uid" not in entry
    # What is due no more leaves nothing behind.
    w.spool.put("alice", ["other"])
    w.wait_for(lambda: not fake_api.record("alice")["status"].get("bindings"), "the entry to go")
    assert w.stop() == 0 and not fake_api.objects


@pytest.mark.parametrize("known", [False, True], ids=["new", "ours-was-there"])
def test_what_is_anothers_stays_announced_and_is_tried_with_pauses(worker, fake_api, known):
    """The store does not show it, as it bears no label of ours."""
    w = worker((DEVS,))
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 0
    ((where, theirs),) = fake_api.objects.items()
    fake_api.remove("rolebindings", where)
    if not known:
        fake_api.remove("userrecords", (None, key("ldap:corp", "alice")))
    theirs["roleRef"]["name"] = "admin"
    theirs["metadata"] = {"name": theirs["metadata"]["name"], "namespace": theirs["metadata"]["namespace"]}
    fake_api.put("rolebindings", theirs)
    fake_api.forget()
    w.start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: len(fake_api.seen("GET", "rolebindings/")) >= 8, "some tries")
    assert len(fake_api.seen("PATCH", "/status")) <= 2 and condition(fake_api, "alice", "Conflict")
    # What is due no more leaves nothing behind, and touches nothing.
    w.spool.put("alice", ["other"])
    w.wait_for(lambda: not fake_api.record("alice")["status"].get("bindings"), "the entry to go")
    assert w.stop() == 0 and list(fake_api.objects) == [where]


def test_a_refusal_that_is_worded_anew_each_time_is_tried_with_pauses(worker, fake_api):
    """As by a webhook that cannot be reached: its text names another port each time."""
    words = [f"read tcp 10.0.0.1:{9990 + i}->10.0.0.2:443: connection reset" for i in range(200)]
    fake_api.on("PATCH", "rolebindings/", *[status(500, body={"kind": "Status", "message": m}) for m in words])
    w = worker((DEVS,)).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: len(fake_api.seen("PATCH", "rolebindings/")) >= 4, "some tries")
    assert len(fake_api.seen("PATCH", "/status")) == 2 and "tcp" in condition(fake_api, "alice", "Refused")["message"]


def test_what_a_failing_apiserver_refuses_takes_nobodys_place(worker, fake_api):
    """500 may pass: the old grant goes when the new one stands, or was refused for good."""
    w = worker((DEVS,))
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 0
    ((old, _),) = fake_api.objects.items()
    w.write_templates([{**DEVS, "grants": [{"clusterRole": "view", "namespaces": ["${group|replace:eng-:}"]}]}])
    fake_api.on("PATCH", "rolebindings/", *[status(500)] * 1000)
    assert w.once().returncode == 1
    assert list(fake_api.objects) == [old]


def test_an_acknowledgement_of_another_object_is_none(worker, fake_api):
    w = worker((DEVS,))
    w.spool.put("alice", ["eng-blue"])
    fake_api.on("PATCH", "rolebindings", OTHER)
    assert w.once().returncode == 1
    assert fake_api.phase("alice") != "Ready"


def test_a_conflict_is_tried_again_at_once(worker, fake_api):
    w = worker((DEVS,))
    w.spool.put("alice", ["eng-blue"])
    fake_api.on("PATCH", "rolebindings", status(409), status(409))
    assert w.once().returncode == 0
    assert len(fake_api.seen("PATCH", "rolebindings")) == 3 and fake_api.phase("alice") == "Ready"


def test_a_status_that_others_wrote_meanwhile_is_read_anew(worker, fake_api):
    w = worker((DEVS,)).start()
    fake_api.on("PATCH", "/status", status(409), status(409))
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: fake_api.phase("alice") == "Ready", "alice's binding")


def test_trouble_stops_all_work_not_only_one_user(worker, fake_api):
    w = worker((DEVS,), workers=1)
    for i in range(20):
        w.spool.put(f"user{i}", ["eng-blue"])
    assert w.run("--mode=intake", "--once").returncode == 0
    fake_api.on("PATCH", "/status", status(429, {"Retry-After": "30"}))
    assert w.once().returncode == 1
    assert len(fake_api.seen("PATCH", "/status")) == 1 and not fake_api.objects


def test_apiserver_that_is_down_when_the_worker_starts(worker, tmp_path):
    with FakeApiserver(tmp_path / "api2") as api:
        path = kubeconfig.write(tmp_path / "kc2", api.url, api.ca, token="secret-token")
    w = worker((DEVS,), kubeconfig_path=path)
    w.spool.put("alice", ["eng-blue"])
    w.start()
    w.wait_logged("trouble")
    assert not w.spool.empty() and w.process.running


# --- refusals of the apiserver ---

def test_one_bad_namespace_never_blocks_the_others(worker, fake_api):
    w = worker((DEVS, VIEW))
    w.spool.put("alice", ["eng-green", "eng-red"])
    w.start()
    w.wait_for(lambda: fake_api.phase("alice") == "Degraded", "the status")
    assert set(by_role(fake_api)) == {("red", "edit"), (None, "view")}
    ready = condition(fake_api, "alice", "Ready")
    assert ready["status"] == "False" and ready["reason"] == "Waiting" and "green" in ready["message"]
    w.wait_empty()
    # Once the namespace is there only what is missing is written, at once.
    fake_api.forget()
    fake_api.namespace("green")
    w.wait_for(lambda: fake_api.phase("alice") == "Ready", "the other binding")
    assert len(fake_api.wrote()) == 1 and ("green", "edit") in by_role(fake_api)


@pytest.mark.parametrize("code", [400, 403, 405, 415, 422])
def test_refusals_are_told_in_the_record_and_tried_again(worker, fake_api, code):
    w = worker((DEVS, VIEW))
    w.spool.put("alice", ["eng-blue"])
    again = Hold(before=True)
    fake_api.on("PATCH", "/rolebindings", status(code, message="because of X"), again)
    w.start()
    w.wait_for(lambda: fake_api.phase("alice") == "Degraded", "the status")
    refused = condition(fake_api, "alice", "Refused")
    assert refused["status"] == "True" and f"HTTP {code}: because of X" in refused["message"]
    assert ("portcullis sync rbac" in refused["message"]) == (code == 403)
    assert set(by_role(fake_api)) == {(None, "view")}
    again.release.set()
    w.wait_for(lambda: fake_api.phase("alice") == "Ready", "the next try")
    assert not condition(fake_api, "alice", "Refused")


def test_a_namespace_that_goes_is_waited_for(worker, fake_api):
    w = worker((DEVS, VIEW))
    w.spool.put("alice", ["eng-blue"])
    again = Hold(before=True)
    fake_api.on("PATCH", "/rolebindings", status(
        403, message="unable to create new content in namespace blue because it is being terminated"), again)
    w.start()
    w.wait_for(lambda: fake_api.phase("alice") == "Degraded", "the status")
    assert condition(fake_api, "alice", "Ready")["reason"] == "Waiting"
    assert not condition(fake_api, "alice", "Refused")
    again.release.set()


def test_redirects_are_not_followed(worker, fake_api, tmp_path):
    with FakeApiserver(tmp_path / "elsewhere") as other:
        w = worker((DEVS,))
        w.spool.put("alice", ["eng-blue"])
        fake_api.on("GET", "/rolebindings/", status(302, {"Location": other.url + "/x"}))
        assert w.once().returncode == 1
        assert not other.seen()


# --- credentials ---

def test_a_rotated_token_file_is_read_again_after_a_401(worker, fake_api, tmp_path):
    token = tmp_path / "token"
    token.write_text("secret-token\n")
    path = yamlio.write(tmp_path / "kc-file", {
        "clusters": [{"name": "c", "cluster": {"server": fake_api.url, "certificate-authority": fake_api.ca.crt}}],
        "users": [{"name": "u", "user": {"tokenFile": "token", "token": "ignored"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"})
    w = worker((DEVS,), kubeconfig_path=path).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: fake_api.phase("alice") == "Ready", "alice's binding")
    token.write_text("second-token\n")
    fake_api.tokens = {"second-token"}
    w.spool.put("bob", ["eng-blue"])
    w.wait_for(lambda: fake_api.phase("bob") == "Ready", "bob's binding")
    # A token that is refused for good waits for an operator; nothing is lost.
    fake_api.tokens = {"third"}
    w.spool.put("carol", ["eng-blue"])
    w.wait_logged("HTTP 401")
    assert not w.spool.names("dead")
    token.write_text("third")
    w.wait_for(lambda: fake_api.phase("carol") == "Ready", "carol's binding")


def test_a_rotated_kubeconfig_is_read_again(worker, fake_api, fake_config):
    w = worker((DEVS,)).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: fake_api.phase("alice") == "Ready", "alice's binding")
    kubeconfig.write(fake_config + ".new", fake_api.url, fake_api.ca, token="second-token")
    os.replace(fake_config + ".new", fake_config)
    fake_api.tokens = {"second-token"}
    w.spool.put("bob", ["eng-blue"])
    w.wait_for(lambda: fake_api.phase("bob") == "Ready", "bob's binding")


def test_a_stranger_at_the_address_learns_nothing(worker, fake_api, tmp_path):
    other = pki.CA(tmp_path / "other", "other-ca")
    path = kubeconfig.write(tmp_path / "kc-other", fake_api.url, other, token="secret-token")
    w = worker((DEVS,), kubeconfig_path=path)
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 1
    assert not fake_api.seen() and not w.spool.empty()


# --- objects of others ---

def test_objects_of_others_are_left_alone(worker, fake_api):
    w = worker((DEVS,))
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 0
    (where,) = fake_api.objects
    mine = fake_api.objects[where]
    # The name is taken by somebody else's, before and while the record knows of ours.
    for notes in ({"portcullis.dev/user": "bob", "portcullis.dev/provider": "ldap:corp"}, {"who": "an admin"}):
        fake_api.remove("rolebindings", where)
        for r in list(fake_api.all["userrecords"]):
            fake_api.remove("userrecords", r)
        theirs = fake_api.put("rolebindings", {
            "metadata": {"name": where[1], "namespace": where[0], "annotations": notes},
            "roleRef": mine["roleRef"], "subjects": []})
        before = json.dumps(theirs)
        w.spool.put("alice", ["eng-blue"])
        assert w.once().returncode == 1
        assert json.dumps(fake_api.objects[where]) == before
        conflict = condition(fake_api, "alice", "Conflict")
        assert conflict["status"] == "True" and fake_api.phase("alice") == "Degraded"
        # Announced, and not made.
        assert not any("uid" in b for b in fake_api.record("alice")["status"].get("bindings", []))


def test_an_object_that_changes_hands_between_look_and_write_is_left_alone(worker, fake_api):
    """The look says ours; a moment later somebody else's stands there."""
    w = worker((DEVS,))
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 0
    (where,) = fake_api.objects
    fake_api.edit("rolebindings", where, lambda o: o.update(subjects=[]))

    def taken():
        def change(o):
            o["metadata"]["annotations"]["portcullis.dev/user"] = "bob"
            o["metadata"]["uid"] = "another"
        fake_api.edit("rolebindings", where, change)

    fake_api.on("PATCH", "rolebindings", taken)
    assert w.once().returncode == 1
    o = fake_api.objects[where]
    assert o["subjects"] == [] and o["metadata"]["annotations"]["portcullis.dev/user"] == "bob"


# --- death, wherever it comes ---

STEPS = [("POST", "/userrecords"), ("PATCH", "/status"), ("GET", "/rolebindings/"), ("PATCH", "/rolebindings/"),
         ("GET", "/clusterrolebindings/"), ("PATCH", "/clusterrolebindings/")]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("method,path", STEPS)
def test_killed_at_any_step_orphans_nothing(worker, fake_api, method, path, before):
    w = worker((DEVS, VIEW))
    name = w.spool.put("alice", ["eng-blue"])
    hold = Hold(before=before)
    fake_api.on(method, path, hold)
    w.start()
    assert hold.reached.wait(60)
    w.process.kill()
    # Each object that stands is announced in the record, or the event is still there.
    record = fake_api.record("alice")
    announced = {b["name"] for b in (record or {}).get("status", {}).get("bindings", [])}
    assert {n for _, n in fake_api.objects} <= announced
    assert record or w.spool.names() == [name]
    hold.release.set()
    versions = {w_: o["metadata"]["resourceVersion"] for w_, o in fake_api.objects.items()}
    assert w.once().returncode == 0
    assert w.spool.empty() and fake_api.phase("alice") == "Ready" and len(fake_api.objects) == 2
    assert {k: fake_api.objects[k]["metadata"]["resourceVersion"] for k in versions} == versions
    assert all(b.get("uid") for b in fake_api.record("alice")["status"]["bindings"])


@pytest.mark.parametrize("path", ["/rolebindings/", "/clusterrolebindings/"])
def test_killed_after_a_write_that_is_no_longer_due(worker, fake_api, path):
    """The object was made, its uid was never noted, and meanwhile the user lost the group: it goes all the same."""
    w = worker((DEVS, {**VIEW, "match": {"groups": ["eng-*"]}}))
    w.spool.put("alice", ["eng-blue"])
    hold = Hold()
    fake_api.on("PATCH", path, hold)
    w.start()
    assert hold.reached.wait(60)
    w.process.kill()
    hold.release.set()
    assert fake_api.objects
    w.spool.put("alice", ["ops"], seen_at=1700000100)
    assert w.once().returncode == 0
    assert not fake_api.objects and fake_api.phase("alice") == "Ready"
    assert fake_api.record("alice")["status"].get("bindings", []) == []


def test_killed_while_it_removes(worker, fake_api):
    w = worker((DEVS, VIEW))
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 0
    w.spool.put("alice", ["ops"], seen_at=1700000100)
    hold = Hold()
    fake_api.on("DELETE", "rolebindings", hold)
    w.start()
    assert hold.reached.wait(60)
    w.process.kill()
    hold.release.set()
    assert w.once().returncode == 0
    assert set(by_role(fake_api)) == {(None, "view")}
    assert len(fake_api.record("alice")["status"]["bindings"]) == 1


def test_sigterm_ends_cleanly_while_the_apiserver_is_silent(worker, fake_api):
    hold = Hold(before=True)
    fake_api.on("PATCH", "rolebindings", hold)
    w = worker((DEVS,)).start()
    w.spool.put("alice", ["eng-blue"])
    assert hold.reached.wait(60)
    assert w.stop() == 0
    assert not fake_api.objects
    hold.release.set()
    assert key("ldap:corp", "alice") in {r["metadata"]["name"] for r in fake_api.records().values()}
