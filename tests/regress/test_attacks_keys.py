"""Rows 47 to 55: what an issuer, or who speaks in its place, may publish."""
import concurrent.futures
import gzip
import json
import random
import ssl
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from support import pki, tokens
from support.attacks import Gate
from support.fakeissuer import DISCOVERY, FakeIssuer, Listener
from support.proc import wait_until
from support.tokens import b64, compact, number, pkcs1, sha256_info, signing_input, unb64


# --- keys that are left out, each beside a good one ---

def odd_prime(bits, residue=0, modulus=1):
    """A prime of BITS that is RESIDUE modulo MODULUS."""
    while True:
        p = random.getrandbits(bits) | 3 << (bits - 2) | 1
        p += (residue - p) % modulus if modulus > 1 else 0
        small = all(p % q for q in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47))
        if p % 2 and p.bit_length() == bits and small and all(pow(a, p - 1, p) == 1 for a in (2, 3, 5, 7)):
            return p


def rsa_of(p, q, kid):
    """A key of these primes."""
    d = pow(65537, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p),
                                    rsa.RSAPublicNumbers(65537, p * q))
    return tokens.Key("RSA", kid, private=numbers.private_key())


def roca_key(kid):
    """CVE-2017-15361: each prime is k M + 65537^a mod M with M a product of small primes."""
    m = 2
    for q in range(3, 168, 2):
        if all(q % x for x in range(3, q, 2)):
            m *= q
    return rsa_of(*(odd_prime(1024, pow(65537, a, m), m) for a in (1234567, 7654321)), kid)


def bad_keys():
    """{what: (key that signs, the JWK as it is published)}"""
    one, p256, p384 = tokens.Key("RSA", "bad"), tokens.Key("P-256", "bad"), tokens.Key("P-384", "bad")
    ed = tokens.Key("Ed25519", "bad")
    small, three = tokens.Key("RSA", "bad", bits=1024), tokens.Key("RSA", "bad", exponent=3)
    x, y = unb64(p256.jwk()["x"]), unb64(p256.jwk()["y"])
    private = one.private.private_numbers()
    secret = b64(b"shared secret")
    out = {
        "47 1024 bits": (small, small.jwk()),
        "47 2046 bits": (k := rsa_of(odd_prime(1023), odd_prime(1023), "bad"), k.jwk()),
        "47 exponent 3": (three, three.jwk()),
        "47 exponent 1": (one, one.jwk(e=number(1))),
        "47 exponent 2": (one, one.jwk(e=number(2))),
        "47 exponent even": (one, one.jwk(e=number(65536))),
        "47 exponent 0": (one, one.jwk(e="AA")),
        "47 exponent long": (one, one.jwk(e=number(2 ** 64 + 1))),
        "47 modulus even": (one, one.jwk(n=number(one.public.public_numbers().n - 1))),
        "47 modulus missing": (one, one.jwk(n=None)),
        "47 modulus padded": (one, one.jwk(n=one.jwk()["n"] + "==")),
        "47 ROCA": (k := roca_key("bad"), k.jwk()),
        "48 off the curve": (p256, p256.jwk(y=b64(y[:-1] + bytes([y[-1] ^ 1])))),
        "48 infinity": (p256, p256.jwk(x=b64(bytes(32)), y=b64(bytes(32)))),
        "48 empty": (p256, p256.jwk(x="", y="")),
        "48 x short": (p256, p256.jwk(x=b64(x[1:]))),
        "48 x long": (p256, p256.jwk(x=b64(b"\0" + x))),
        "48 y long": (p256, p256.jwk(y=b64(y + b"\0"))),
        "48 y missing": (p256, p256.jwk(y=None)),
        "48 x past p": (p256, p256.jwk(x=b64(b"\xff" * 32))),
        "48 other curve": (p256, p256.jwk(crv="P-384")),
        "48 curve we lack": (p256, p256.jwk(crv="secp256k1")),
        "48 curve of 384 bits": (p384, p384.jwk(crv="P-256")),
        "48 compressed": (p256, p256.jwk(x=b64(b"\2" + x), y=None)),
        "48 Ed25519 of small order": (ed, ed.jwk(x=b64(b"\1" + bytes(31)))),
        "48 Ed25519 off the curve": (ed, ed.jwk(x=b64(b"\2" + bytes(31)))),
        "49 type missing": (one, one.jwk(kty=None)),
        "49 type wrong": (one, one.jwk(kty="rsa")),
        "49 type of another": (one, one.jwk(kty="EC")),
        "49 type symmetric": (one, one.jwk(kty="oct", k=secret)),
        "49 secret beside": (one, one.jwk(k=secret)),
        "49 private RSA": (one, one.jwk(d=number(private.d))),
        "49 private prime": (one, one.jwk(p=number(private.p))),
        "49 private EC": (p256, p256.jwk(d=number(p256.private.private_numbers().private_value, 32))),
        "49 purpose": (one, one.jwk(use="enc")),
        "49 algorithm": (one, one.jwk(alg="HS256")),
        "49 no object": (one, "bad"),
        "49 null": (one, None),
        "49 kid a number": (one, one.jwk(kid=5)),
        "50 X25519": (ed, ed.jwk(crv="X25519")),
        "50 new type": (ed, {"kty": "AKP", "kid": "bad", "alg": "ML-DSA-65", "pub": "AAAA"}),
    }
    return out


@pytest.fixture(scope="module")
def sets(tmp_path_factory, site):
    """A daemon with an issuer for each bad key, which stands before a good one in the set."""
    keys = bad_keys()
    folder, entries, urls = tmp_path_factory.mktemp("sets"), [], {}
    for i, (what, (_, jwk)) in enumerate(keys.items()):
        site.write(f"set{i}", {"keys": [jwk, site.b.jwk()]})
        urls[what] = f"https://set{i}.example.com"
        entries.append(site.entry(urls[what], f"set{i}", f"s{i}:"))
    with Gate(folder / "gate", jwt=entries) as gate:
        yield gate, keys, urls
    assert gate.process.popen.returncode == 0, gate.process.tail()


def left_out(sets, site, row):
    gate, keys, urls = sets
    mine = {what: key for what, (key, _) in keys.items() if what.startswith(row)}
    for what, key in mine.items():
        claims = site.claims(urls[what])
        gate.refused(key.token(claims), "unknownKey")
        gate.refused(key.token(claims, drop=["kid"]), "unknownKey")
        assert gate.accepted(site.b.token(claims))["username"].endswith(":jane"), what
    return gate, urls


@pytest.mark.attack("47")
def test_weak_rsa_keys(sets, site):
    gate, urls = left_out(sets, site, "47")
    # With exponent 1 the padded digest is its own signature: anybody can write it.
    header, claims = {"alg": "RS256", "kid": "bad"}, site.claims(urls["47 exponent 1"])
    em = pkcs1(sha256_info(signing_input(header, claims)))
    gate.refused(compact(header, claims, em), "unknownKey")


@pytest.mark.attack("48")
def test_points_that_are_none(sets, site):
    gate, urls = left_out(sets, site, "48")
    # Under a key of order 1 this is a signature of everything.
    claims = site.claims(urls["48 Ed25519 of small order"])
    gate.refused(compact({"alg": "EdDSA", "kid": "bad"}, claims, b"\1" + bytes(63)), "unknownKey")


@pytest.mark.attack("49")
def test_secrets_and_nameless_keys_in_a_set(sets, site):
    gate, urls = left_out(sets, site, "49")
    for what in ("49 type symmetric", "49 secret beside"):
        claims = site.claims(urls[what])
        gate.refused(tokens.hs_token(b"shared secret", claims, kid="bad"), "badHeader")


@pytest.mark.attack("49")
def test_two_keys_of_one_kid_serve_both(tmp_path, site):
    twins = [tokens.Key("RSA", "same"), tokens.Key("RSA", "same"), tokens.Key("P-256", "same")]
    site.write("twins", tokens.jwks(*twins))
    url = "https://twins.example.com"
    with Gate(tmp_path / "gate", jwt=[site.entry(url, "twins", "t:")]) as gate:
        for key in twins:
            assert gate.accepted(key.token(site.claims(url)))["username"] == "t:jane"
        gate.refused(tokens.Key("RSA", "same").token(site.claims(url)), "badSignature")


@pytest.mark.attack("50")
def test_keys_of_new_kinds(sets, site):
    left_out(sets, site, "50")


# --- answers ---

BOMB = gzip.compress(bytes(100 << 20), 1)


def answer(status, body, **headers):
    return (status, headers, body)


def endless(handler):
    """100 MiB, or until somebody hangs up."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(100 << 20))
    handler.end_headers()
    for _ in range(1600):
        handler.wfile.write(b" " * (64 << 10))


def drip(issuer):
    def page(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not issuer.stopping.wait(1):
            handler.wfile.write(b" ")
            handler.wfile.flush()
    return page


def silent(issuer):
    return lambda handler: issuer.stopping.wait()


def broken_sets(issuer, keys):
    """{what: what /jwks answers}"""
    good = json.dumps(keys).encode()
    return {
        "HTML": answer(200, b"<html><body>Sign in</body></html>", **{"Content-Type": "text/html"}),
        "404": answer(404, good),
        "500": answer(500, good),
        "204": answer(204, b""),
        "302 to http": answer(302, good, Location=f"http://127.0.0.1:{issuer.evil.port}/jwks"),
        "302 to https": answer(302, good, Location=f"https://localhost:{issuer.evil.port}/jwks"),
        "empty": answer(200, b""),
        "no keys": {"keys": []},
        "no list": {"keys": keys["keys"][0]},
        "none usable": {"keys": [{"kty": "oct", "k": "AAAA", "kid": "x"}]},
        "an array": keys["keys"],
        "cut": answer(200, good[:-5]),
        "doubled name": answer(200, good[:-1] + b',"keys":[]}'),
        "too many": {"keys": keys["keys"] * 101},
        "gzip bomb": answer(200, BOMB, **{"Content-Encoding": "gzip"}),
        "gzip": answer(200, gzip.compress(good), **{"Content-Encoding": "gzip"}),
        "length that lies": answer(200, good, **{"Content-Length": str(len(good) + 100), "Connection": "close"}),
        "100 MiB": endless,
        "a byte a second": drip(issuer),
        "silence": silent(issuer),
    }


def each(work, things):
    """WORK(thing) for all at once."""
    with concurrent.futures.ThreadPoolExecutor(len(things)) as pool:
        return list(pool.map(work, things))


def review(gate, token):
    with gate.client() as c:
        return gate.token_review(token, client=c)


def is_unavailable(got):
    return got.status == 503 and got.json["kind"] == "Status" and "Retry-After" not in got.headers


def short_deadline(doc):
    doc["webhook"]["deadline"] = "2s"


@pytest.fixture
def issuers(ca):
    """Makes issuers; all share a certificate."""
    made, cert = [], ca.server("issuers")
    with Listener() as evil:
        def make(pair=None, **kw):
            i = FakeIssuer(ca, pair or cert, **kw)
            i.evil = evil
            made.append(i)
            return i
        make.evil = evil
        yield make
        for i in made:
            i.stop()


@pytest.mark.attack("51")
def test_a_broken_set_replaces_no_good_one_and_is_none(issuers, tmp_path, site):
    """Each issuer answers well once and then badly; a twin answers badly from the start."""
    keys, new = tokens.jwks(site.rsa), tokens.Key("RSA", "new")
    kinds = list(broken_sets(issuers(), keys))
    once, never = [issuers(keys=keys) for _ in kinds], [issuers() for _ in kinds]
    for kind, i in zip(kinds, never):
        i.pages["/jwks"] = broken_sets(i, keys)[kind]
    entries = [i.config(f"i{n}:") for n, i in enumerate(once + never)]
    with Gate(tmp_path / "gate", jwt=entries, edit=short_deadline) as gate:
        # Twenty handshakes at once may take a slow machine more than the deadline.
        each(lambda i: wait_until(lambda: review(gate, site.rsa.token(site.claims(i.url))).status == 200, i.url), once)
        got = each(lambda i: review(gate, site.rsa.token(site.claims(i.url))), once)
        assert all(g.status == 200 and g.json["status"]["authenticated"] for g in got), got
        got = each(lambda i: review(gate, site.rsa.token(site.claims(i.url))), never)
        assert [kind for kind, g in zip(kinds, got) if not is_unavailable(g)] == []
        for kind, i in zip(kinds, once):
            i.pages["/jwks"] = broken_sets(i, tokens.jwks(new))[kind]
        # An unknown key has the set read again: it cannot be, and the old keys serve on.
        got = each(lambda i: review(gate, new.token(site.claims(i.url))), once)
        assert [kind for kind, g in zip(kinds, got) if not is_unavailable(g)] == []
        assert all("/jwks" in i.seen[2:] or i.seen.count(DISCOVERY) > 1 for i in once)
        got = each(lambda i: review(gate, site.rsa.token(site.claims(i.url))), once)
        assert all(g.json["status"].get("authenticated") for g in got), got
        assert issuers.evil.calls == 0


@pytest.mark.attack("52")
def test_a_flood_of_unknown_keys_is_one_fetch(issuers, tmp_path, site):
    """The issuer is asked once in ten seconds at most; who has a known key notices nothing."""
    issuer = issuers(keys=tokens.jwks(site.rsa, site.p256))
    with Gate(tmp_path / "gate", jwt=[issuer.config()]) as gate:
        claims = site.claims(issuer.url, iat=int(time.time()) - 60)
        good = site.rsa.token(claims)
        assert gate.accepted(good)
        before, start = issuer.seen.count("/jwks"), time.monotonic()
        head, payload, sig = good.split(".")
        for n in range(1000):
            flood = b64(json.dumps({"alg": "RS256", "kid": f"random-{n}"}))
            gate.refused(f"{flood}.{payload}.{sig}", "unknownKey")
            if n % 100 == 0:
                assert gate.accepted(good)
        windows = 1 + int((time.monotonic() - start) / 10)
        assert issuer.seen.count("/jwks") - before <= windows


@pytest.mark.attack("53", "54")
def test_a_discovery_document_leads_nowhere_else(issuers, tmp_path, site):
    keys = tokens.jwks(site.rsa)
    elsewhere = issuers(keys=keys)
    port = issuers.evil.port

    def discovery(**change):
        return lambda i: {"issuer": i.url, "jwks_uri": i.url + "/jwks", **change}

    broken = {
        "issuer of another": discovery(issuer=elsewhere.url),
        "issuer with a slash": lambda i: {"issuer": i.url + "/", "jwks_uri": i.url + "/jwks"},
        "issuer in capitals": lambda i: {"issuer": i.url.replace("localhost", "LOCALHOST"),
                                          "jwks_uri": i.url + "/jwks"},
        "issuer a list": lambda i: {"issuer": [i.url], "jwks_uri": i.url + "/jwks"},
        "no issuer": lambda i: {"jwks_uri": i.url + "/jwks"},
        "no jwks_uri": lambda i: {"issuer": i.url},
        "jwks_uri a number": discovery(jwks_uri=5),
        "http": discovery(jwks_uri=f"http://127.0.0.1:{port}/jwks"),
        "gopher": discovery(jwks_uri=f"gopher://127.0.0.1:{port}/jwks"),
        "ldap": discovery(jwks_uri=f"ldap://127.0.0.1:{port}/jwks"),
        "ftp": discovery(jwks_uri=f"ftp://127.0.0.1:{port}/jwks"),
        "file": discovery(jwks_uri="file:///etc/hostname"),
        "data": discovery(jwks_uri="data:application/json," + json.dumps(keys)),
        "relative": discovery(jwks_uri="/jwks"),
        "no scheme": lambda i: {"issuer": i.url, "jwks_uri": i.url[len("https:"):] + "/jwks"},
        "user": lambda i: {"issuer": i.url, "jwks_uri": i.url.replace("://", "://me:pw@") + "/jwks"},
        "space": lambda i: {"issuer": i.url, "jwks_uri": i.url + "/jwks /jwks"},
        "doubled": lambda i: answer(200, json.dumps({"issuer": i.url, "jwks_uri": i.url + "/jwks"}).encode()[:-1]
                                    + b',"jwks_uri":"https://x/"}'),
        "HTML": lambda i: answer(200, b"<html>"),
        "404": lambda i: answer(404, json.dumps({"issuer": i.url, "jwks_uri": i.url + "/jwks"}).encode()),
        "301 to another host": lambda i: answer(301, b"", Location=elsewhere.url + DISCOVERY),
        "302 to http": lambda i: answer(302, b"", Location=f"http://127.0.0.1:{port}/"),
        "307 to itself": lambda i: answer(307, b"", Location=i.url + DISCOVERY),
        "308 to a path of its own": lambda i: answer(308, b"", Location="/other"),
        "refresh": lambda i: answer(200, b"{}", Refresh="0; url=" + elsewhere.url),
    }
    made = []
    for make in broken.values():
        i = issuers(keys=keys)
        i.pages["/other"] = i.pages[DISCOVERY]
        i.pages[DISCOVERY] = make(i)
        made.append(i)
    entries = [i.config(f"i{n}:") for n, i in enumerate(made)]
    with Gate(tmp_path / "gate", jwt=entries, edit=short_deadline) as gate:
        got = each(lambda i: review(gate, site.rsa.token(site.claims(i.url))), made)
        assert [kind for kind, g in zip(broken, got) if not is_unavailable(g)] == []
        assert all(i.seen and set(i.seen) == {DISCOVERY} for i in made), [i.seen for i in made]
        assert elsewhere.seen == [] and issuers.evil.calls == 0


@pytest.mark.attack("55")
@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_who_is_not_the_issuer_is_not_believed(issuers, tmp_path, ca, site):
    keys = tokens.jwks(site.rsa)
    other = pki.CA(tmp_path / "other", "other-ca")
    good = issuers(keys=keys)
    bad = {
        "authority of another": issuers(other.server("foreign"), keys=keys),
        "self-signed": issuers(pki.CA(tmp_path / "self", "localhost"), keys=keys),
        "another host": issuers(ca.server("elsewhere", sans=("DNS:elsewhere.example.com",)), keys=keys),
        "a wildcard that is not meant": issuers(ca.server("wild", sans=("DNS:*.localhost",)), keys=keys),
        "a common name alone": issuers(ca.server("cn-only", sans=()), keys=keys),
        "expired": issuers(ca.expired("old"), keys=keys),
        "TLS 1.1": issuers(keys=keys, newest=ssl.TLSVersion.TLSv1_1),
    }
    entries = [i.config(f"i{n}:") for n, i in enumerate([*bad.values(), good])]
    with Gate(tmp_path / "gate", jwt=entries, edit=short_deadline) as gate:
        assert gate.accepted(site.rsa.token(site.claims(good.url)))
        got = each(lambda i: review(gate, site.rsa.token(site.claims(i.url))), list(bad.values()))
        assert [kind for kind, g in zip(bad, got) if not is_unavailable(g)] == []
        # That the name is nowhere but in the subject is found out last: the document is asked for and not read.
        assert {kind: i.seen for kind, i in bad.items() if i.seen} in ({}, {"a common name alone": [DISCOVERY]})
