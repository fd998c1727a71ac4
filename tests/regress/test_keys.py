"""Issuers' keys over time: rotated under load, asked for by floods, kept through outages and restarts."""
import base64
import glob
import json
import os
import secrets
import threading
import time

import pytest

from support import oidc
from support.portcullisd import Load
from support.proc import wait_until

WINDOW = 10  # seconds: unknown keys cause at most one fetch an issuer in this time


@pytest.fixture
def own_issuer(tmp_path):
    with oidc.Issuer(tmp_path / "issuer") as i:
        yield i


def b64(data):
    if not isinstance(data, bytes):
        data = json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def random_kid_token(issuer):
    """Right in everything but its key."""
    now = int(time.time())
    claims = {"iss": issuer.url, "aud": oidc.CLIENT_ID, "sub": "bob", "email": "bob@example.com",
              "exp": now + 3600, "iat": now - 60}
    return ".".join([b64({"alg": "RS256", "kid": secrets.token_hex(8)}), b64(claims),
                     b64(secrets.token_bytes(256))])


@pytest.mark.parametrize("cached", [True, False])
def test_rotation_under_constant_load(daemon, own_issuer, cached):
    """Tokens of all keys that are published are accepted at any time: no refusal, no 503."""
    def edit(doc):
        if not cached:
            doc["authentication"]["cache"] = {"ttl": "0s", "refusedTTL": "0s"}

    d = daemon(jwt=[own_issuer.config()], edit=edit)
    tokens = [own_issuer.id_token("bob")]

    def ask(i):
        for token in list(tokens):
            assert d.user_of(token)["username"] == "oidc:bob@example.com", i

    with Load(ask) as load:
        load.wait_more(100)
        for _ in range(2):
            own_issuer.rotate(keep=True)
            rotated = time.monotonic()
            tokens.append(own_issuer.id_token("bob"))
            load.wait_more(100)
            wait_until(lambda t=rotated: time.monotonic() > t + WINDOW + 1, "the window's end",
                       deadline=60)
    assert not load.errors, load.errors[:3]
    url = own_issuer.url
    verified = d.metric("portcullis_jwt_verifications_total", issuer=url, result="accepted")
    assert 3 <= verified < load.done if cached else verified >= 300
    assert d.metric("portcullis_jwt_verifications_total", issuer=url, result="refused") == 0
    assert d.metric("portcullis_jwt_verifications_total", issuer=url, result="unavailable") == 0
    assert d.metric("portcullis_jwks_keys", issuer=url) == 3
    assert own_issuer.fetches()["jwks"] == 3


def test_ten_thousand_random_kids(daemon, own_issuer):
    """At most one fetch a window, each token refused, and good tokens go on."""
    d = daemon(jwt=[own_issuer.config()])
    good = own_issuer.id_token("bob")
    before, start = own_issuer.fetches()["jwks"], time.monotonic()
    wrong = []

    def flood():
        for _ in range(2500):
            got = d.token_review(random_kid_token(own_issuer))
            if got.status != 200 or got.json["status"].get("authenticated"):
                wrong.append(got)

    threads = [threading.Thread(target=flood, daemon=True) for _ in range(4)]
    for t in threads:
        t.start()
    goods = 0
    while goods < 100 or any(t.is_alive() for t in threads):
        assert d.user_of(good)["username"] == "oidc:bob@example.com"
        goods += 1
    for t in threads:
        t.join()
    assert not wrong, wrong[:3]
    windows = (time.monotonic() - start) // WINDOW + 1
    assert 1 <= own_issuer.fetches()["jwks"] - before <= windows
    assert d.metric("portcullis_jwt_verifications_total", issuer=own_issuer.url, result="refused") == 10000


def copies(d):
    return glob.glob(os.path.join(d.state, "keyset-*"))


def test_restart_during_an_outage(daemon, own_issuer):
    """Known keys verify as before, unknown ones cannot be decided, and a copy that was touched is not used."""
    d = daemon(jwt=[own_issuer.config()])
    token = own_issuer.id_token("bob")
    own_issuer.rotate()
    unknown = own_issuer.id_token("bob")
    assert d.user_of(token)["username"] == "oidc:bob@example.com"
    wait_until(lambda: copies(d), "the copy of the key set")
    d.stop()
    own_issuer.stop()
    d.start()
    assert d.user_of(token)["username"] == "oidc:bob@example.com"
    assert d.token_review(unknown).status == 503
    with d.ops() as c:
        text = c.get("/readyz?verbose").text
    assert f"[-]issuer degraded: {own_issuer.url}: 1 keys, read " in text
    assert d.metric("portcullis_jwks_keys", issuer=own_issuer.url) == 1
    d.stop()
    (copy,) = copies(d)
    assert os.stat(copy).st_mode & 0o7777 == 0o600
    with open(copy, "r+b") as f:
        f.seek(100)
        f.write(b"#")
    d.start()
    d.wait_log("the key set kept on disk is not used: .*damaged")
    assert d.token_review(token).status == 503
    own_issuer.start()  # with a key of its own: the provider keeps none
    wait_until(lambda: d.token_review(own_issuer.id_token("bob")).status == 200, "the issuer to be seen")
    assert d.user_of(token) is None
