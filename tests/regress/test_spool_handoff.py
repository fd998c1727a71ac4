"""portcullisd hands identities to the spool: before the answer, once, and never at the cost of an answer."""
import json
import os
import threading

import pytest

from support.https import Client, tls_context
from support.spool import Spool, digest, key

PROVIDER = "tokenFile"


def people(n):
    return {f"token-of-user-{i:03}-x": (f"user{i:03}", str(1000 + i), ["dev", f"team-{i % 7}"]) for i in range(n)}


def told(spool, username):
    """The event of USERNAME in the spool, None when there is none."""
    for part in ("new", "cur"):
        for name in spool.names(part):
            with open(os.path.join(spool.folder, part, name), encoding="utf-8") as f:
                doc = json.load(f)
            if doc["username"] == username:
                assert name == key(doc["provider"], username) and doc["digest"] == digest(doc)
                return doc
    return None


def test_the_event_is_there_when_the_answer_is(daemon):
    tokens = people(3)
    d = daemon(tokens=tokens, spool=True)
    spool = Spool(d.spool_dir)
    for token, (user, uid, groups) in tokens.items():
        assert told(spool, user) is None
        assert d.user_of(token)["username"] == user
        doc = told(spool, user)
        assert doc["groups"] == sorted(groups) and doc["uid"] == uid and doc["provider"].startswith(PROVIDER)
        text = json.dumps(doc)
        assert token not in text
    # Seen again, nothing new: no event comes back.
    for name in spool.names("new"):
        os.unlink(os.path.join(spool.folder, "new", name))
    for token in tokens:
        assert d.user_of(token)
    assert spool.empty()
    assert d.metric("portcullis_spool_written_total") == 3
    # A refused token tells of nobody.
    assert d.user_of("token-of-nobody") is None
    assert spool.empty()


def test_changed_groups_are_told(daemon):
    tokens = people(1)
    d = daemon(tokens=tokens, spool=True)
    spool = Spool(d.spool_dir)
    (token,) = tokens
    assert d.user_of(token)
    path = d.path("tokens.csv")
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(f'{token},user000,1000,"ops"\n')
    os.chmod(path + ".new", 0o600)
    os.replace(path + ".new", path)
    d.reload()
    d.process.wait_for(lambda: d.user_of(token)["groups"] == ["ops"], "the new groups")
    assert told(spool, "user000")["groups"] == ["ops"]


@pytest.mark.parametrize("after", [1, 7, 40])
def test_kill_9_under_load_loses_no_event_of_an_answer(daemon, after):
    tokens = people(120)
    d = daemon(tokens=tokens, spool=True)
    spool = Spool(d.spool_dir)
    context = tls_context(d.server_ca, d.apiserver)
    answered, enough, lock = [], threading.Event(), threading.Lock()
    todo = list(tokens)

    def ask():
        with Client(d.port, context, reopen=False) as c:
            while not enough.is_set():
                with lock:
                    if not todo:
                        return
                    token = todo.pop()
                try:
                    got = d.user_of(token, client=c)
                except (OSError, AssertionError, ValueError):
                    return  # died meanwhile: no answer, no promise
                if got is None:
                    return
                with lock:
                    answered.append(got["username"])
                    if len(answered) >= after:
                        enough.set()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for t in threads:
        t.start()
    assert enough.wait(60)
    d.kill()
    for t in threads:
        t.join()
    assert len(answered) >= after
    for user in answered:
        assert told(spool, user), f"{user} was answered and is lost"
    # After the restart everybody is told again, the others too.
    d.start()
    for token in tokens:
        assert d.user_of(token)
    assert len(spool.names("new")) == len(tokens)


def test_a_full_spool_never_fails_an_answer(daemon):
    tokens = people(2)
    d = daemon(tokens=tokens, spool=True)
    spool = Spool(d.spool_dir)
    for i in range(10000):
        with open(os.path.join(spool.folder, "new", f"filler-{i}"), "wb"):
            pass
    first, second = tokens
    assert d.user_of(first)["username"] == "user000"
    assert all(n.startswith("filler-") for n in spool.names("new"))
    assert d.metric("portcullis_spool_dropped_total", reason="limit") >= 1
    for i in range(10000):
        os.unlink(os.path.join(spool.folder, "new", f"filler-{i}"))
    # What was dropped stays due: the next sightings tell it.
    def seen():
        assert d.user_of(first)
        return told(spool, "user000")
    d.process.wait_for(seen, "the dropped event")
    assert d.user_of(second)
