"""portcullis-rbac-sync against a scripted apiserver: namespaces, what others do to our objects, limits, leadership."""
import datetime
import json

import pytest

from support.fake_apiserver import Hold, status
from support.https import Client
from support.ports import free_port
from support.rbac_sync import DEVS, VIEW
from support.spool import key

SANDBOX = {"name": "sandbox", "match": {"groups": ["eng-*"]},
           "namespace": {"name": "u-${user.slug}-${user.hash6}", "create": True,
                         "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
           "grants": [{"clusterRole": "edit"}],
           "objects": [{"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "default"},
                        "spec": {"hard": {"pods": "20"}}}]}
NAMESPACE = "u-alice-" + key("ldap:corp", "alice")[:6]


def by_role(api):
    return {(ns, o["roleRef"]["name"]): o for (ns, _), o in api.objects.items()}


def ready(api, *users):
    return all(api.phase(u) == "Ready" for u in users)


def at(seconds):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def alice(worker, fake_api):
    """A running worker, and alice with one binding in blue."""
    w = worker((DEVS,)).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: ready(fake_api, "alice"), "alice's binding")
    return w


# --- namespaces ---

def test_a_namespace_of_ones_own(worker, fake_api):
    w = worker((SANDBOX,)).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: ready(fake_api, "alice"), "alice's sandbox")
    ns = fake_api.all["namespaces"][(None, NAMESPACE)]
    assert ns["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert ns["metadata"]["annotations"]["portcullis.dev/user"] == "alice"
    assert "ownerReferences" not in ns["metadata"]  # onGC: orphan
    assert set(by_role(fake_api)) == {(NAMESPACE, "edit")}
    assert fake_api.all["resourcequotas"][(NAMESPACE, "default")]["spec"]["hard"] == {"pods": "20"}
    # It is created, not merged into what somebody else made a moment before.
    assert [r.method for r in fake_api.seen(path=r"/namespaces(/u-[^/]*)?[?]") if r.method != "GET"] == ["POST", "PATCH"]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_namespace_of_somebody_else_is_not_taken(worker, fake_api, when):
    w = worker((SANDBOX, VIEW))
    if when == "before":
        fake_api.namespace(NAMESPACE, team="theirs")
    else:  # between our look and our write
        fake_api.on("POST", "/namespaces", lambda: fake_api.namespace(NAMESPACE, team="theirs"))
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 1
    ns = fake_api.all["namespaces"][(None, NAMESPACE)]
    assert ns["metadata"]["labels"] == {"team": "theirs"} and "annotations" not in ns["metadata"]
    assert set(by_role(fake_api)) == {(None, "view")} and not fake_api.all["resourcequotas"]
    (c,) = [c for c in fake_api.record("alice")["status"]["conditions"] if c["type"] == "Conflict"]
    assert c["status"] == "True" and NAMESPACE in c["message"]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("method,path", [("POST", "/namespaces"), ("PATCH", "/namespaces/u-[^/]*[?]"),
                                         ("PATCH", "/resourcequotas/"), ("PATCH", "/rolebindings/")])
def test_killed_while_a_namespace_is_made(worker, fake_api, method, path, before):
    w = worker((SANDBOX,))
    w.spool.put("alice", ["eng-blue"])
    hold = Hold(before=before)
    fake_api.on(method, path, hold)
    w.start()
    assert hold.reached.wait(60)
    w.process.kill()
    hold.release.set()
    announced = {b["name"] for b in fake_api.record("alice")["status"]["bindings"]}
    assert announced >= {NAMESPACE, "default"}
    assert w.once().returncode == 0
    assert ready(fake_api, "alice") and (NAMESPACE, "default") in fake_api.all["resourcequotas"]
    assert all(b.get("uid") for b in fake_api.record("alice")["status"]["bindings"])


def test_killed_while_a_binding_is_repaired_that_is_due_no_more_then(worker, fake_api):
    """The inventory still has the uid of the one that somebody deleted."""
    w = worker((DEVS, VIEW))
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 0
    (where,) = [at for at in fake_api.objects if at[0] == "blue"]
    fake_api.remove("rolebindings", where)
    hold = Hold()
    fake_api.on("PATCH", "/rolebindings/", hold)
    w.start()
    assert hold.reached.wait(60)
    w.process.kill()
    hold.release.set()
    assert where in fake_api.objects
    w.spool.put("alice", ["ops"], seen_at=1700000100)
    assert w.once().returncode == 0
    assert set(by_role(fake_api)) == {(None, "view")}


def test_once_removes_within_limits_and_says_when_it_does_not(worker, fake_api):
    w = worker((DEVS, VIEW))
    users = [f"user{i}" for i in range(8)]
    for u in users:
        w.spool.put(u, ["eng-blue"])
    assert w.once().returncode == 0 and len(fake_api.objects) == 16
    w.write_templates([VIEW])
    assert w.once().returncode == 1 and len(fake_api.objects) == 16
    w.write_templates([DEVS, VIEW])
    assert w.once().returncode == 0
    w.spool.put("user0", ["ops"], seen_at=1700000100)
    assert w.once().returncode == 0 and len(fake_api.objects) == 15


def test_no_more_namespaces_than_allowed(worker, fake_api):
    w = worker((SANDBOX,))
    w.write_templates(json.dumps({"apiVersion": "sync.portcullis.dev/v1alpha1", "kind": "SyncConfig",
                                  "limits": {"maxNamespaces": 1}, "templates": [SANDBOX]}))
    for user in ("alice", "bob"):
        w.spool.put(user, ["eng-blue"])
    assert w.once().returncode == 1
    ours = [n for _, n in fake_api.all["namespaces"] if n.startswith("u-")]
    assert len(ours) == 1
    refused = [c["message"] for r in fake_api.records().values() for c in r["status"]["conditions"] if c["type"] == "Refused"]
    assert len(refused) == 1 and "tooManyNamespaces" in refused[0]


# --- what others do ---

def test_what_others_change_is_put_right(alice, fake_api):
    (where,) = fake_api.objects
    before = fake_api.objects[where]["metadata"]["annotations"]
    fake_api.edit("rolebindings", where, lambda o: o["subjects"].append({"kind": "User", "name": "eve"}))
    alice.wait_for(lambda: [s["name"] for s in fake_api.objects[where]["subjects"]] == ["alice"], "the subjects")
    fake_api.edit("rolebindings", where, lambda o: o["metadata"].update(labels={}))
    alice.wait_for(lambda: fake_api.objects[where]["metadata"]["labels"].get("portcullis.dev/record") ==
                   key("ldap:corp", "alice"), "the labels")
    fake_api.remove("rolebindings", where)
    alice.wait_for(lambda: where in fake_api.objects, "the binding")
    assert fake_api.objects[where]["metadata"]["annotations"] == before
    alice.wait_for(lambda: [b["uid"] for b in fake_api.record("alice")["status"]["bindings"]] ==
                   [fake_api.objects[where]["metadata"]["uid"]], "its uid in the record")
    assert alice.stop() == 0
    assert alice.metric("portcullis_sync_drift_repaired_total", '{kind="RoleBinding"}') == 3


def test_labels_and_annotations_of_others_stay(alice, fake_api):
    (where,) = fake_api.objects

    def change(o):
        o["metadata"]["labels"]["team"] = "theirs"
        o["subjects"] = []
    fake_api.edit("rolebindings", where, change)
    alice.wait_for(lambda: fake_api.objects[where]["subjects"], "the repair")
    assert fake_api.objects[where]["metadata"]["labels"]["team"] == "theirs"


def test_a_fight_is_given_up_for_a_while_and_told(alice, fake_api):
    (where,) = fake_api.objects
    for _ in range(5):
        fake_api.edit("rolebindings", where, lambda o: o.update(subjects=[]))
        alice.wait_for(lambda: fake_api.objects[where]["subjects"], "the repair")
    fake_api.edit("rolebindings", where, lambda o: o.update(subjects=[]))
    alice.wait_logged("somebody undoes our repairs")
    assert fake_api.objects[where]["subjects"] == []
    alice.wait_for(lambda: "DriftFight" in {e.get("reason") for e in list(fake_api.all["events"].values())}, "the event")
    assert alice.stop() == 0
    assert alice.metric("portcullis_sync_drift_fights_total") == 1


@pytest.mark.parametrize("mode", ["report", "off"])
def test_drift_that_is_to_be_left(worker, fake_api, mode):
    w = worker(({**DEVS, "drift": mode},)).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: ready(fake_api, "alice"), "alice's binding")
    (where,) = fake_api.objects
    ((kind, name),) = [(s["kind"], s["name"]) for s in fake_api.objects[where]["subjects"]]
    fake_api.forget()
    fake_api.edit("rolebindings", where, lambda o: o.update(subjects=[]))
    w.spool.put("bob", ["eng-blue"])  # somebody after it
    w.wait_for(lambda: ready(fake_api, "bob"), "bob's binding")
    assert fake_api.objects[where]["subjects"] == [] and len(fake_api.wrote()) == 1

    def told():
        condition = {c["type"]: c["message"] for c in fake_api.record("alice")["status"]["conditions"]}.get("Drift", "")
        events = [e for e in list(fake_api.all["events"].values()) if e.get("reason") == "DriftReported"]
        return bool(condition) and w.logged("changed by others and is left") and bool(events)

    if mode == "report":
        w.wait_for(told, "the report")
        message = next(c for c in fake_api.record("alice")["status"]["conditions"] if c["type"] == "Drift")["message"]
        assert message.startswith("RoleBinding/") and message.endswith(": it was changed"), message
        # All is well again: it is told no longer.
        fake_api.edit("rolebindings", where, lambda o: o.update(subjects=[
            {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}]))
        w.wait_for(lambda: not any(c["type"] == "Drift" for c in fake_api.record("alice")["status"]["conditions"]),
                   "the end of it")
    assert not told()


def test_only_what_is_in_the_inventory_and_ours_is_removed(alice, fake_api):
    """A label is nobody's proof: what bears ours and is in no inventory stays, and so does what took our object's place."""
    spoof = {"metadata": {"name": "portcullis:devs:zzzzzzzzzz", "namespace": "blue", "labels": {
        "app.kubernetes.io/managed-by": "portcullis", "portcullis.dev/record": key("ldap:corp", "alice"),
        "portcullis.dev/template": "devs"}, "annotations": {
            "portcullis.dev/user": "alice", "portcullis.dev/provider": "ldap:corp"}},
             "roleRef": {"kind": "ClusterRole", "name": "edit"}, "subjects": []}
    fake_api.put("rolebindings", spoof)
    alice.spool.put("alice", ["eng-red"], seen_at=1700000100)
    alice.wait_for(lambda: {ns for ns, _ in fake_api.objects} == {"blue", "red"} and len(fake_api.objects) == 2,
                   "alice's binding in blue to go")
    assert ("blue", "portcullis:devs:zzzzzzzzzz") in fake_api.objects


KEEP = {"portcullis.dev/keep": "true"}


def test_what_is_kept_is_kept(worker, fake_api):
    """The label on what is the cluster's; in a namespace its admins could write it."""
    wide = {**VIEW, "match": {"groups": ["eng-blue"]}}
    w = worker((DEVS, wide)).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: set(by_role(fake_api)) == {("blue", "edit"), (None, "view")}, "alice's bindings")
    for where, o in list(fake_api.objects.items()):
        resource = "rolebindings" if where[0] else "clusterrolebindings"
        fake_api.edit(resource, where, lambda o: o["metadata"]["labels"].update(KEEP))
    w.spool.put("alice", ["eng-red"], seen_at=1700000100)
    w.wait_for(lambda: set(by_role(fake_api)) == {("red", "edit"), (None, "view")}, "the one in blue to go")
    w.wait_for(lambda: ready(fake_api, "alice"), "the record")
    assert set(by_role(fake_api)) == {("red", "edit"), (None, "view")}


# --- groups ---

TEAMS = {"name": "teams", "match": {"groups": ["eng-*"]}, "grants": [
    {"clusterRole": "view", "scope": "cluster", "subject": {"kind": "Group", "name": "${group}"}}]}


def test_a_groups_binding_goes_with_its_last_member(worker, fake_api):
    w = worker((TEAMS,)).start()
    for user in ("alice", "bob"):
        w.spool.put(user, ["eng-blue"])
    w.wait_for(lambda: ready(fake_api, "alice", "bob"), "the group's binding")
    w.spool.put("alice", ["ops"], seen_at=1700000100)
    w.wait_for(lambda: not fake_api.record("alice")["status"].get("bindings"), "alice to leave")
    assert len(fake_api.objects) == 1
    assert w.stop() == 0
    # Also when the last one leaves while nobody works.
    w.spool.put("bob", ["ops"], seen_at=1700000100)
    w.start()
    w.wait_for(lambda: not fake_api.objects, "the group's binding to go")


def test_a_groups_binding_that_was_deleted_is_known_to_all_members(worker, fake_api):
    w = worker((TEAMS,)).start()
    for user in ("alice", "bob"):
        w.spool.put(user, ["eng-blue"])
    w.wait_for(lambda: ready(fake_api, "alice", "bob"), "the group's binding")
    (where,) = fake_api.objects
    old = fake_api.objects[where]["metadata"]["uid"]
    fake_api.remove("clusterrolebindings", where)

    def known():
        uids = {b["uid"] for u in ("alice", "bob") for b in fake_api.record(u)["status"]["bindings"]}
        return where in fake_api.objects and uids == {fake_api.objects[where]["metadata"]["uid"]} - {old}
    w.wait_for(known, "the new one in both inventories")


def test_a_record_that_cannot_be_read_holds_up_nobody(worker, fake_api):
    """Its name is not the key: an admin's slip. What its inventory names stays all the same."""
    spec = {"identity": {"provider": "ldap:corp", "username": "carol", "groups": ["eng-blue"]}}
    slip = {"apiVersion": "portcullis.dev/v1alpha1", "kind": "UserRecord", "metadata": {"name": "carol"}, "spec": spec}
    fake_api.put("userrecords", slip)
    w = worker((TEAMS,)).start()
    for user, group in (("alice", "eng-blue"), ("bob", "eng-red")):
        w.spool.put(user, [group])
    w.wait_for(lambda: ready(fake_api, "alice", "bob"), "both bindings")
    (name,) = {b["name"] for b in fake_api.record("bob")["status"]["bindings"]}
    fake_api.put("userrecords", {**slip, "status": {"bindings": [{"kind": "ClusterRoleBinding", "name": name}]}})
    w.wait_for(lambda: '"objects":1' in w.process.output(), "the claim to be seen")
    for user in ("bob", "alice"):
        w.spool.put(user, ["ops"], seen_at=1700000100)
    w.wait_for(lambda: not any(fake_api.record(u)["status"].get("bindings") for u in ("alice", "bob")), "both to leave")
    assert [n for _, n in fake_api.objects] == [name]


# --- time ---

def test_an_end_that_comes_while_it_runs(worker, fake_api):
    """Grants end a minute late, so that clocks may differ."""
    def templates(seconds):
        return ({**DEVS, "grants": [{**DEVS["grants"][0], "endTime": at(seconds)}]}, VIEW)
    w = worker(templates(3600)).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: ready(fake_api, "alice") and len(fake_api.objects) == 2, "both grants")
    w.write_templates(list(templates(-57)))
    w.wait_for(lambda: set(by_role(fake_api)) == {(None, "view")}, "the end of one")
    w.wait_for(lambda: "GrantExpired" in {e.get("reason") for e in list(fake_api.all["events"].values())}, "the event")


def test_who_is_disabled_by_time_comes_back_when_seen(worker, fake_api):
    w = worker((DEVS,), gc={"staleAfter": "0s", "disableAfter": "1h"}).start()
    w.spool.put("alice", ["eng-blue"], seen_at=1700000000)
    w.wait_for(lambda: fake_api.phase("alice") == "Disabled", "the phase")
    assert not fake_api.objects
    w.spool.put("alice", ["eng-blue"], seen_at=int(datetime.datetime.now().timestamp()))
    w.wait_for(lambda: ready(fake_api, "alice"), "alice's return")
    assert len(fake_api.objects) == 1 and fake_api.record("alice")["status"]["disableAfter"]


# --- limits and leadership ---

def test_too_many_removals_are_blocked_as_a_whole(worker, fake_api):
    w = worker((DEVS,)).start()
    users = [f"user{i}" for i in range(8)]
    for u in users:
        w.spool.put(u, ["eng-blue"])
    w.wait_for(lambda: ready(fake_api, *users), "the bindings")
    w.write_templates([VIEW])
    w.wait_for(lambda: all(any(c["type"] == "GCBlocked" for c in r["status"]["conditions"])
                           for r in fake_api.records().values()), "the block")
    # What is new is given; nothing is taken.
    assert len(by_role(fake_api)) == 2 and len(fake_api.objects) == 16
    # The cause is repaired: the block ends by itself, and nothing was lost.
    w.write_templates([DEVS, VIEW])
    w.wait_for(lambda: not any(c["type"] == "GCBlocked" for r in fake_api.records().values()
                               for c in r["status"]["conditions"]), "the end of the block")
    assert len(fake_api.objects) == 16 and not fake_api.seen("DELETE")


def test_only_the_leader_acts_and_another_takes_over(worker, fake_api, tmp_path):
    election = {"enabled": True, "namespace": "ops", "leaseDuration": "3s", "renewDeadline": "2s", "retryPeriod": "1s"}
    first = worker((DEVS,), leaderElection=election).start()
    first.wait_logged("acting")
    second = worker((DEVS,), leaderElection=election, spool=tmp_path / "spool2").start()
    second.spool.put("alice", ["eng-blue"])  # told to the standby, given by the leader
    first.wait_for(lambda: ready(fake_api, "alice"), "alice's binding")
    assert not second.logged("object applied") and not second.logged("acting")
    assert first.stop() == 0
    second.wait_logged("acting")
    second.spool.put("bob", ["eng-blue"])
    second.wait_for(lambda: ready(fake_api, "bob"), "bob's binding")
    assert second.stop() == 0


def test_a_worker_without_rights_says_which(worker, fake_api):
    deny = {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "status": {"allowed": False}}
    fake_api.on("POST", "selfsubjectaccessreviews", ("answer", 201, {}, deny))
    w = worker((DEVS,)).start()
    w.wait_for(lambda: "SelfCheckFailed" in {e.get("reason") for e in list(fake_api.all["events"].values())}, "the event")
    assert w.process.running


def test_readiness_tells_what_is_wrong(worker, fake_api):
    port = free_port()
    fake_api.on("GET", "/userrecords[?]", status(503))
    w = worker((DEVS,), ops={"listen": f"127.0.0.1:{port}"}).start()

    def look():
        with Client(port) as c:
            return c.get("/readyz?verbose")

    def well():
        got = look()
        return got.text if got.status == 200 and "leading" in got.text else None
    text = w.wait_for(well, "readiness")
    for check in ("userrecords", "rolebindings", "namespaces", "spool", "leading", "templates"):
        assert f"[+]{check} ok" in text, text
    with Client(port) as c:
        assert "portcullis_sync_watch_restarts_total" in c.get("/metrics").body.decode()
