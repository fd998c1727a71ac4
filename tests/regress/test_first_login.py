"""newUsers.firstLogin.waitMs: an answer that tells of somebody waits for their grants, and for nothing else."""
import base64
import json
import os
import threading
import time

import pytest

from support.proc import run
from support.spool import Acks, Spool, digest

WAITS = "portcullis_first_login_waits_total"
SECONDS = "portcullis_first_login_wait_seconds_count"
TOKENS = {f"token-of-user-{i}-xxx": (f"user{i}", str(i), ["dev"]) for i in range(12)}
TOKEN = [*TOKENS]


def waiting(ms, **more):
    def edit(doc):
        doc["newUsers"].update({"firstLogin": {"waitMs": ms}, **more})
    return edit


def event(spool, username):
    """What was told of USERNAME, or None."""
    for part in ("new", "cur"):
        for name in spool.names(part):
            with open(os.path.join(spool.folder, part, name), encoding="utf-8") as f:
                doc = json.load(f)
            if doc["username"] == username:
                return name, doc
    return None


class Asking(threading.Thread):
    """Somebody's first request, on the way."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.got = ask, None
        self.start()

    def run(self):
        self.got = self.ask()

    def answer(self):
        self.join(60)
        assert not self.is_alive()
        return self.got


class Slow(Exception):
    """This machine stood still for longer than anybody waits: it proved nothing."""


class InTime:
    """What happens within LIMIT seconds must be right; what took longer is to be tried anew."""

    def __init__(self, limit=2.0):
        self.limit = limit

    def __enter__(self):
        self.end = time.monotonic() + self.limit

    def __exit__(self, kind, error, trace):
        if time.monotonic() > self.end and (kind is None or issubclass(kind, AssertionError)):
            raise Slow from error


def tried(attempt):
    """ATTEMPT(name of a new daemon) until it was in time."""
    for n in range(5):
        try:
            attempt(f"try{n}")
            return
        except Slow:
            pass
    raise AssertionError("never in time")


def counts(d):
    have = {r: d.metric(WAITS, result=r) for r in ("ready", "timeout", "skipped")}
    assert d.metrics()[SECONDS] == have["ready"] + have["timeout"]
    return have


def test_the_answer_comes_after_the_acknowledgement(daemon):
    plain = daemon(name="plain", tokens=TOKENS, spool=True)
    want = plain.token_review(TOKEN[0]).json["status"]
    assert counts(plain) == {"ready": 0, "timeout": 0, "skipped": 0}

    def attempt(name):
        d = daemon(name=name, tokens=TOKENS, spool=True, edit=waiting(2000))
        spool, acks = Spool(d.spool_dir), Acks(d.spool_dir)
        acks.alive()
        with InTime():
            asking = Asking(lambda: d.token_review(TOKEN[0]).json["status"])
            name, ev = d.process.wait_for(lambda: event(spool, "user0"), "the event")
            # Of somebody else, and of what this person was: neither is it.
            acks.put("a" * 26, ev["digest"])
            acks.put(name, "0" * 64)
            assert asking.got is None
            acks.put(name, digest(ev))
            assert asking.answer() == want
        assert counts(d) == {"ready": 1, "timeout": 0, "skipped": 0}
        # Told once: from now on nobody waits.
        assert d.token_review(TOKEN[0]).json["status"] == want
        assert counts(d) == {"ready": 1, "timeout": 0, "skipped": 0}
    tried(attempt)


def test_who_is_settled_already_does_not_wait(daemon):
    d = daemon(tokens=TOKENS, spool=True, edit=waiting(2000))
    spool, acks = Spool(d.spool_dir), Acks(d.spool_dir)
    assert d.user_of(TOKEN[0])
    assert counts(d) == {"ready": 0, "timeout": 0, "skipped": 1}
    name, ev = event(spool, "user0")
    d.stop()
    acks.put(name, ev["digest"])
    d.start()
    assert d.user_of(TOKEN[0])
    assert counts(d) == {"ready": 1, "timeout": 0, "skipped": 0}


def test_without_a_worker_nobody_waits(daemon):
    d = daemon(tokens=TOKENS, spool=True, edit=waiting(2000))
    acks = Acks(d.spool_dir)
    assert d.user_of(TOKEN[0])["username"] == "user0"
    acks.alive()
    acks.down()
    assert d.user_of(TOKEN[1])["username"] == "user1"
    assert counts(d) == {"ready": 0, "timeout": 0, "skipped": 2}


def test_a_vain_wait_ends_with_the_same_answer_and_is_given_up(daemon):
    d = daemon(tokens=TOKENS, spool=True, edit=waiting(20))
    spool, acks = Spool(d.spool_dir), Acks(d.spool_dir)
    for i in range(3):
        acks.alive()
        assert d.user_of(TOKEN[i])["username"] == f"user{i}"
        assert event(spool, f"user{i}")
    assert counts(d) == {"ready": 0, "timeout": 3, "skipped": 0}
    acks.alive()
    assert d.user_of(TOKEN[3])["username"] == "user3"
    assert counts(d) == {"ready": 0, "timeout": 3, "skipped": 1}
    assert d.user_of("token-of-nobody") is None


def test_few_wait_and_the_others_pass(daemon):
    def attempt(name):
        d = daemon(name=name, tokens=TOKENS, spool=True, edit=waiting(2000))
        spool, acks = Spool(d.spool_dir), Acks(d.spool_dir)
        acks.alive()
        with InTime():
            asking = [Asking(lambda t=t: d.user_of(t)) for t in TOKEN[:8]]
            d.process.wait_for(lambda: sum(a.got is not None for a in asking) >= 4, "four answers")
            assert sum(a.got is not None for a in asking) == 4
            for i in range(8):
                name, ev = event(spool, f"user{i}")
                acks.put(name, ev["digest"])
            assert [a.answer()["username"] for a in asking] == [f"user{i}" for i in range(8)]
        assert counts(d) == {"ready": 4, "timeout": 0, "skipped": 4}
    tried(attempt)


def test_a_login_waits_too(daemon, directory):
    person, (password, *_) = next(iter(directory.people.items()))

    def attempt(name):
        d = daemon(name=name, ldap=[directory.config()], login={}, spool=True, edit=waiting(2000))
        spool, acks = Spool(d.spool_dir), Acks(d.spool_dir)
        acks.alive()
        with InTime():
            asking = Asking(lambda: d.login_token(person, password))
            (name,) = d.process.wait_for(lambda: spool.names("new"), "the event")
            with open(os.path.join(spool.folder, "new", name), encoding="utf-8") as f:
                ev = json.load(f)
            assert asking.got is None and ev["iat"] >= ev["seenAt"] - 1
            acks.put(name, ev["digest"])
            token = asking.answer()
        assert counts(d) == {"ready": 1, "timeout": 0, "skipped": 0}
        # The token tells the same of the person: nothing to wait for.
        assert d.user_of(token)["username"] == ev["username"]
        assert counts(d) == {"ready": 1, "timeout": 0, "skipped": 0}
    tried(attempt)


def test_a_token_tells_when_it_was_issued(daemon, issuer):
    d = daemon(jwt=[issuer.config()], tokens=TOKENS, spool=True)
    spool = Spool(d.spool_dir)
    token = issuer.id_token("alice")
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert d.user_of(token)
    (name,) = spool.names("new")
    with open(os.path.join(spool.folder, "new", name), encoding="utf-8") as f:
        assert json.load(f)["iat"] == claims["iat"]
    os.unlink(os.path.join(spool.folder, "new", name))
    assert d.user_of(TOKEN[0])
    assert "iat" not in event(spool, "user0")[1]


@pytest.mark.parametrize("more,ok", [({"durability": "sync"}, True), ({}, True), ({"durability": "async"}, False)])
def test_waiting_needs_durable_events(daemon, more, ok):
    d = daemon(start=False, tokens=TOKENS, spool=True, edit=waiting(500, **more))
    got = run([d.process.argv[0], "--config", d.config_path, "--check"])
    assert (got.returncode == 0) == ok, got
    if not ok:
        assert "firstLogin.waitMs" in got.stderr and "durability" in got.stderr


@pytest.mark.parametrize("ms", [-1, 2001, "1s"])
def test_nobody_waits_longer_than_two_seconds(daemon, ms):
    d = daemon(start=False, tokens=TOKENS, spool=True, edit=waiting(ms))
    got = run([d.process.argv[0], "--config", d.config_path, "--check"])
    assert got.returncode != 0 and "waitMs" in got.stderr, got
