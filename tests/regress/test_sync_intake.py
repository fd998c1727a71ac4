"""The intake of portcullis-rbac-sync against a scripted apiserver: from the spool into records, and back as
acknowledgements."""
import json

import pytest

from support.fake_apiserver import Hold, status
from support.rbac_sync import DEVS, HEAD
from support.spool import Acks, digest, event, key

RECORDS = "userrecords"


def ack_of(w, user, groups):
    """Whether USER is settled with just these groups."""
    return Acks(w.spool.folder).get(key("ldap:corp", user)) == digest(event(user, groups))


def alive(w):
    return Acks(w.spool.folder).get("worker") is not None


def test_without_the_definition_the_spool_keeps_everything(worker, fake_api):
    fake_api.on("POST", RECORDS, *[status(404)] * 4)
    w = worker([DEVS], mode="intake", maxAttempts=2)
    w.spool.put("alice", ["eng-blue"])
    w.spool.put("bob", ["eng-blue"])
    w.start()
    w.wait_empty()
    assert set(fake_api.records()) == {"alice", "bob"}
    assert w.spool.names("dead") == []
    assert "cannot be written" in w.process.output()
    # While it could not write it did not call itself alive; now it does.
    w.process.wait_for(lambda: alive(w), "the worker to show itself")
    assert w.stop() == 0
    assert not alive(w)


@pytest.mark.parametrize("trouble", [status(429, {"Retry-After": "1"}), status(503), status(409)], ids=str)
def test_trouble_costs_no_event(worker, fake_api, trouble):
    w = worker([DEVS], mode="intake", maxAttempts=1)
    w.start()
    w.spool.put("alice", ["eng-blue"], iat=100)
    w.wait_empty()
    fake_api.on("PATCH", RECORDS, trouble, trouble)
    w.spool.put("alice", ["eng-red"], iat=200)
    w.wait_empty()
    assert fake_api.record("alice")["spec"]["identity"]["groups"] == ["eng-red"]
    assert w.spool.names("dead") == []


def test_what_is_refused_for_good_becomes_a_dead_letter(worker, fake_api):
    fake_api.on("POST", RECORDS, *[status(422, message="no such thing")] * 3)
    w = worker([DEVS], mode="intake", maxAttempts=3)
    name = w.spool.put("alice", ["eng-blue"])
    w.start()
    w.wait_empty()
    w.process.wait_for(lambda: name in w.spool.names("dead"), "the dead letter")
    assert "no such thing" in w.spool.reason(name)
    assert not fake_api.records()
    w.stop()
    assert w.run("--once", "--requeue-dead").returncode == 0
    assert set(fake_api.records()) == {"alice"} and w.spool.names("dead") == []


def test_killed_between_the_record_and_the_deletion_of_the_event(worker, fake_api):
    hold = Hold()
    fake_api.on("POST", RECORDS, hold)
    w = worker([DEVS], mode="intake")
    name = w.spool.put("alice", ["eng-blue"])
    w.start()
    assert hold.reached.wait(60)
    w.process.kill()
    hold.release.set()
    assert w.spool.names("cur") == [name]
    before = fake_api.record("alice")
    w.start()
    w.wait_empty()
    assert fake_api.record("alice") == before
    assert len(fake_api.seen("POST", RECORDS)) == 1 and not fake_api.seen("PATCH", RECORDS)


def test_what_is_settled_is_acknowledged_until_it_no_longer_is(worker, fake_api):
    w = worker([DEVS])
    w.start()
    w.process.wait_for(lambda: alive(w), "the worker to show itself")
    name = w.spool.put("alice", ["eng-blue"], iat=100)
    w.process.wait_for(lambda: ack_of(w, "alice", ["eng-blue"]), "the acknowledgement")
    assert fake_api.phase("alice") == "Ready" and ("blue" in {ns for ns, _ in fake_api.objects})
    # The same again, of another portcullisd: at once.
    Acks(w.spool.folder).put(name, "0" * 64)
    w.spool.put("alice", ["eng-blue"], iat=100)
    w.process.wait_for(lambda: ack_of(w, "alice", ["eng-blue"]), "the second acknowledgement")
    w.spool.put("alice", ["eng-red"], iat=200)
    w.process.wait_for(lambda: ack_of(w, "alice", ["eng-red"]), "the acknowledgement of other groups")
    # Suspended by an admin; then gone.
    fake_api.edit(RECORDS, (None, name), lambda o: o["spec"].update(state="Suspended"))
    w.process.wait_for(lambda: Acks(w.spool.folder).get(name) is None, "the acknowledgement to go")
    fake_api.edit(RECORDS, (None, name), lambda o: o["spec"].pop("state"))
    w.process.wait_for(lambda: fake_api.phase("alice") == "Ready", "alice to be back")
    w.spool.put("alice", ["eng-red"], iat=300)
    w.process.wait_for(lambda: ack_of(w, "alice", ["eng-red"]), "the acknowledgement to be back")
    fake_api.remove(RECORDS, (None, name))
    w.process.wait_for(lambda: Acks(w.spool.folder).get(name) is None, "the acknowledgement to go again")


def test_a_flood_of_new_users_waits_and_others_pass(worker, fake_api):
    def templates(limit):
        return json.dumps({**HEAD, "limits": {"maxNewUsersPerMinute": limit}, "templates": [DEVS]})
    w = worker([DEVS])
    w.write_templates(templates(1))  # the next one in a minute
    w.start()
    w.spool.put("old", ["eng-blue"], iat=100)
    w.process.wait_for(lambda: ack_of(w, "old", ["eng-blue"]), "the first user")
    for i in range(10):
        w.spool.put(f"u{i}", ["eng-blue"])
    held = 'portcullis_sync_spool_rejected_total{reason="maxNewUsersPerMinute"}'
    w.process.wait_for(lambda: len(fake_api.records()) == 1 and w.metric(held) == 10, "the limit")
    w.spool.put("old", ["eng-red"], iat=200)
    w.process.wait_for(lambda: ack_of(w, "old", ["eng-red"]), "the user who is known")
    assert len(w.spool.names("cur")) == 10
    w.write_templates(templates(1000))
    w.wait_empty()
    assert len(fake_api.records()) == 11
