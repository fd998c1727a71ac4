"""Rows 77 to 93: the review as a peer may send it, verdicts that are kept, and what is written down."""
import json
import os
import re
import time

import pytest

from support import tokens
from support.attacks import URL_A, URL_B, Gate
from support.portcullisd import API_AUDIENCE
from support.proc import wait_until

KIND = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}


def post(gate, body, content_type="application/json", **kw):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return gate.raw("/authenticate", body, headers={"Content-Type": content_type}, **kw)


@pytest.mark.attack("77")
def test_other_methods(gate):
    with gate.client() as c:
        for method in ("GET", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE"):
            got = c.request(method, "/authenticate", body=b"{}" if method == "PUT" else None)
            assert got.status == 405, method
            assert got.headers["Allow"] == "POST"


@pytest.mark.attack("78")
def test_media_types(gate, site):
    body = {**KIND, "spec": {"token": site.rsa.token(site.claims())}}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/json-patch+json",
                 "application/vnd.kubernetes.protobuf", "multipart/form-data", "*/*", ""):
        assert post(gate, body, kind).status == 415, kind
    n = 0
    for kind in ("application/json", "Application/JSON", "application/json;charset=utf-8",
                 "application/json ; charset=UTF-8"):
        assert post(gate, body, kind).json["status"]["authenticated"], kind
        n += 1
    for _ in range(n):
        gate._next_record("authn.review")


@pytest.mark.attack("79", "81")
def test_what_is_no_review(gate):
    good = json.dumps({**KIND, "spec": {"token": "x"}})
    for bad in ("", "{", "[]", "null", "5", '"x"', good[:-1], good + "}", good + good, "{}", json.dumps(KIND),
                *(json.dumps({**KIND, "spec": spec}) for spec in (
                    [], "x", 5, None, True, {"token": 5}, {"token": ["x"]}, {"token": {}}, {"token": True},
                    {"token": "x", "audiences": "x"}, {"token": "x", "audiences": [5]},
                    {"token": "x", "audiences": {"a": 1}})),
                json.dumps({**KIND, "kind": "tokenreview", "spec": {"token": "x"}}),
                json.dumps({**KIND, "kind": "SubjectAccessReview", "spec": {"token": "x"}}),
                json.dumps({**KIND, "kind": ["TokenReview"], "spec": {"token": "x"}}),
                *(json.dumps({**KIND, "apiVersion": v, "spec": {"token": "x"}}) for v in (
                    "authentication.k8s.io/v2", "authentication.k8s.io/v1alpha1", "v1", "", 1, None,
                    "authorization.k8s.io/v1", "authentication.k8s.io/v1 ")),
                '{"kind":"TokenReview","spec":{"token":"x"}}',
                # The same twice, so that two readers may see two reviews.
                good[:-2] + ',"token":"y"}}', good[:-1] + ',"spec":{"token":"y"}}',
                good[:-1] + ',"kind":"TokenReview"}',
                good[:-2] + r',"\u0074oken":"y"}}', good[:-1] + ',"apiVersion":"authentication.k8s.io/v1"}',
                good.replace('"x"', r'"a\u0000"'), good.replace('"x"', r'"\ud800"')):
        got = post(gate, bad.encode())
        assert got.status == 400, bad
        assert got.text.count("\n") <= 1 and isinstance(got.json, dict)
    assert post(gate, good.encode().replace(b'"x"', b'"\xff"')).status == 400
    assert post(gate, b"[" * 100000).status == 400
    assert gate.ask("still there")[0] == {"authenticated": False}


@pytest.mark.attack("83", "84")
def test_no_token_and_a_filled_in_answer(gate):
    for spec in ({"token": ""}, {}):
        status = {"authenticated": True, "user": {"username": "root", "groups": ["system:masters"]},
                  "audiences": [API_AUDIENCE]}
        for more in ({}, {"status": status}):
            got = post(gate, {**KIND, "spec": spec, **more})
            assert (got.status, got.json["status"]) == (200, {"authenticated": False})
            assert gate._next_record("authn.review")["reason"] == "empty"
            Gate.reasons.add("empty")
    got = post(gate, {**KIND, "spec": {"token": "x"}, "status": status, "metadata": {"name": "echo-me"}})
    assert got.json["status"] == {"authenticated": False} and "echo-me" not in got.text and "root" not in got.text
    gate._next_record("authn.review")


@pytest.mark.attack("85", "86")
def test_audiences_are_what_was_asked_and_is_ours(gate, site):
    token = site.rsa.token(site.claims())
    for asked in (["vault"], ["kubernetes"], [API_AUDIENCE + "/"], [API_AUDIENCE.upper()], [""], ["vault", "other"]):
        gate.refused(token, "foreignAudience", audiences=asked)
    for asked in ([API_AUDIENCE, "vault"], ["vault", API_AUDIENCE, API_AUDIENCE]):
        status, _ = gate.ask(token, audiences=asked)
        assert status["authenticated"] and status["audiences"] == [API_AUDIENCE]
    for body in ({"token": token}, {"token": token, "audiences": []}):
        got = post(gate, {**KIND, "spec": body})
        assert got.json["status"]["authenticated"] and "audiences" not in got.json["status"]
        gate._next_record("authn.review")


@pytest.mark.attack("87")
def test_a_kept_verdict_is_that_of_one_token_and_its_audiences(gate, site):
    """Asked again and again in turns, so that what is kept has every chance to be mistaken."""
    claims = site.claims()
    good = site.rsa.token(claims)
    head, payload, sig = good.split(".")
    raw = tokens.unb64(sig)
    same_start = f"{head}.{payload}.{tokens.b64(raw[:-1] + bytes([raw[-1] ^ 1]))}"
    other_header = f"{tokens.b64(json.dumps({'kid': 'rsa', 'alg': 'RS256'}))}.{payload}.{sig}"
    for _ in range(3):
        assert gate.accepted(good)["username"] == "a:jane"
        gate.refused(same_start, "badSignature")
        gate.refused(other_header, "badSignature")
        gate.refused(good, "foreignAudience", audiences=["vault"])
        gate.refused(good[:-4], "badSignature", "noMatch")
        gate.refused(good.swapcase(), "noMatch")
        assert gate.accepted(site.rsa.token({**claims, "sub": "joe"}))["username"] == "a:joe"


@pytest.mark.plain_only  # measures memory
@pytest.mark.attack("87b")
def test_a_flood_pushes_nobody_out(gate, site):
    """Random tokens, tokens of an issuer of ours with random claims, and one good one among them."""
    good = site.rsa.token(site.claims())
    head, _, sig = good.split(".")
    assert gate.accepted(good)

    def rss():
        with open(f"/proc/{gate.process.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    before = 0
    for n in range(1200):
        gate.refused(f"garbage-{n}-" + "x" * 2000, "noMatch")
        gate.refused(f"{head}.{tokens.b64(json.dumps(site.claims(n=n, pad='x' * 1500)))}.{sig}", "badSignature")
        if n % 100 == 0:
            assert gate.accepted(good)
        if n == 400:
            before = rss()
    assert gate.accepted(good)
    assert rss() - before < 64 << 20


@pytest.mark.attack("88")
def test_a_kept_verdict_ends_with_its_token(gate, site):
    exp = int(time.time()) + 2
    token = site.rsa.token(site.claims(exp=exp))
    while True:
        asked = time.time()
        status, record = gate.ask(token)
        if not status["authenticated"]:
            assert record["reason"] == "expired"
            assert time.time() >= exp
            break
        assert asked < exp
    Gate.reasons.add("expired")


@pytest.mark.attack("89")
def test_who_is_taken_out_of_the_configuration_is_out(tmp_path, site):
    with Gate(tmp_path / "gate", jwt=[site.entry(URL_A, "a", "a:"), site.entry(URL_B, "b", "b:")]) as gate:
        one, two = site.rsa.token(site.claims()), site.b.token(site.claims(URL_B))
        assert gate.accepted(one) and gate.accepted(two)
        alice = next(iter(gate.tokens))
        assert gate.accepted(alice)["username"] == "alice"
        before = len(gate.audit("config.loaded"))
        gate.config["authentication"]["jwt"].pop(0)
        gate.config["authentication"].pop("tokenFiles")
        gate.write_config()
        gate.wait_audit("config.loaded", after=before)
        gate.refused(one, "noMatch")
        gate.refused(alice, "noMatch")
        assert gate.accepted(two)["username"] == "b:jane"


@pytest.mark.attack("91", "92", "93")
def test_nothing_secret_or_raw_is_written_down(tmp_path, site, directory):
    """Tokens, passwords, also one typed as a name, and control characters, on every way in."""
    secret = "hunter2-of-alice-5512"
    with Gate(tmp_path / "gate", jwt=[site.entry(URL_A, "a", "a:")], ldap=[directory.config(basic=True)]) as gate:
        good = site.rsa.token(site.claims(sub="jane"))
        bad = good[:-8] + "AAAAAAAA"
        rude = ["jane\r\nlevel=info msg=forged", "\x1b[2J\x1b[31mjane", "ja\u202ene", "\x9b31mjane", '{"seq":1}',
                'x","decision":"authenticated']
        gate.accepted(good)
        gate.refused(bad, "badSignature")
        for name in rude:
            gate.ask(site.rsa.token(site.claims(sub=name)))
            gate.ask(site.rsa.token(site.claims(iss=URL_A, aud=name)))
            gate.ask(site.rsa.token(site.claims(iss=name)))
            gate.ask(name, audiences=[API_AUDIENCE, name])
            gate.login(name, secret)
        with gate.login_client() as c:
            for user, password in ((secret, "x"), ("alice", secret), (secret, ""), ("", secret)):
                c.post("/login", json={"username": user, "password": password})
                c.post("/login", json={"username": user, "password": password, "extra": secret})
            c.post("/login", body=b'{"username":"alice","password":"' + secret.encode() + b'"')
            c.post("/login", body=b"", headers={"Authorization": "Basic " + secret})
            c.get("/login?password=" + secret)
        gate.token_review(secret)
        with gate.ops() as c:
            pages = c.get("/metrics").text + c.get("/readyz?verbose").text
        gate.stop()
        with open(gate.audit_path, "rb") as f:
            audit = f.read()
        log = gate.process.output().encode()
    for text in (audit, log):
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]", text)
        for line in text.splitlines():
            if b"portcullis.yaml:" not in line:  # what the configuration is warned of
                json.loads(line)
    everything = audit + log + pages.encode()
    for word in (secret, good, bad, *good.split(".")[1:], "hunter2"):
        assert word.encode() not in everything, word
    assert b'"decision":"authenticated"' in audit and audit.count(b'"level=info') == 0


@pytest.mark.attack("90")
def test_who_is_there_costs_what_nobody_costs(tmp_path, directory):
    """Not measured but counted: the same operations reach a directory for a stranger as for a wrong password."""
    from support.fakeldap import FakeLdap, bind_result, entry, search_done
    from support.slapd import PEOPLE
    from support import pki
    user, ca = f"uid=alice,{PEOPLE}", pki.CA(tmp_path / "ca")
    found = [entry(user, uid="alice", entryUUID="u1")]

    def bind(dn, _):
        return [bind_result(0 if dn.startswith("cn=portcullis") else 49)]
    shapes = []
    for people in (found, []):
        with FakeLdap(ca.server(), on_bind=bind, on_search=lambda base, p=people: [*p, search_done()]) as fake:
            config = directory.config(basic=True, certificateAuthority=ca.pem, urls=[fake.url])
            with Gate(tmp_path / f"gate{len(people)}", ldap=[config]) as gate:
                assert gate.login("alice", "wrong").status == 401
            shapes.append([s[0] for s in fake.seen])
    assert shapes[0] == shapes[1] and shapes[0].count("bind") == 2
