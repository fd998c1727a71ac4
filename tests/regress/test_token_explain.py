"""portcullis token explain: whose token, which check failed, who it is; and never a byte of the token itself."""
import base64
import json
import os
import pty
import subprocess

import pytest

from support import oidc, tokens, yamlio
from support.fakeissuer import FakeIssuer
from support.paths import program
from support.proc import run, wait_until

URL = "https://idp.example.com"
NOW = 1795000000  # 2026-11-18T11:06:40Z
AT = "2026-11-18T11:06:40Z"
AUDIENCE = "https://kubernetes.default.svc"


def parts_of(token):
    """What must not be told: all of it, its payload, its signature, what it says in base64."""
    parts = [token] + token.split(".")[1:]
    return [p for p in parts if len(p) > 8]


class Site:
    """A configuration with one issuer of fixed keys and a token file."""

    def __init__(self, folder, prefix="a:", **authentication):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.key = tokens.Key("P-256", "k1")
        with open(self.path("jwks.json"), "w", encoding="ascii") as f:
            json.dump(tokens.jwks(self.key), f)
        with open(self.path("tokens.csv"), "w", encoding="ascii") as f:
            f.write('opaque-token-4711,jane,u-1,"dev,system:masters"\n')
        os.chmod(self.path("tokens.csv"), 0o600)
        doc = {
            "apiVersion": "portcullis.dev/v1alpha1", "kind": "PortcullisConfiguration", "stateDir": "state",
            "webhook": {"listen": "127.0.0.1:0", "certificateFile": "none.crt", "keyFile": "none.key",
                        "clientCAFile": "none.crt", "allowedClients": ["kube-apiserver"]},
            "authentication": {
                "audiences": [AUDIENCE],
                "jwt": [{
                    "issuer": {"url": URL, "audiences": ["kubernetes"], "jwksFile": "jwks.json"},
                    "claimMappings": {"username": {"claim": "sub", "prefix": prefix},
                                      "groups": {"claim": "groups", "prefix": ""},
                                      "uid": {"claim": "oid"}}}],
                "tokenFiles": ["tokens.csv"], **authentication},
        }
        self.config = self.path("portcullis.yaml")
        yamlio.write_atomic(self.config, doc)

    def path(self, name):
        return os.path.join(self.folder, name)

    def token(self, key=None, header=None, drop=(), **claims):
        doc = {"iss": URL, "aud": "kubernetes", "sub": "jane", "oid": "17", "exp": NOW + 600,
               "iat": NOW - 60, "groups": ["ops", "dev", "system:masters"], "secretClaim": "hidden-4711",
               **claims}
        return (key or self.key).token({k: v for k, v in doc.items() if k not in drop}, **(header or {}))


def explain(config, token, *argv, code, end="\n"):
    """Runs it, and sees to it that nothing of the token is told."""
    got = run([program("portcullis"), "token", "explain", "--config", config, *argv], stdin=token + end)
    assert got.returncode == code, got
    for part in parts_of(token):
        assert part not in got.stdout and part not in got.stderr, part
    assert "hidden-4711" not in got.stdout + got.stderr
    return got


def as_json(config, token, *argv, code, **kw):
    got = explain(config, token, "--output", "json", *argv, code=code, **kw)
    assert got.stdout.count("\n") == 1 and got.stdout.endswith("}\n")
    return json.loads(got.stdout)


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory):
    return Site(tmp_path_factory.mktemp("site"))


# --- what is told ---

def test_accepted_as_json(site):
    got = as_json(site.config, site.token(), "--now", AT, "--audience", AUDIENCE, code=0)
    checks = got["asked"][-1].pop("checks")
    assert all(c["passed"] for c in checks), checks
    names = [c["name"] for c in checks]
    assert names[:3] == ["issuer", "header", "signature"]
    assert {"tokenKind", "expiry", "audience", "username", "uid", "groups"} <= set(names)
    assert len(names) == len(set(names))
    assert got == {
        "verdict": "accepted", "authenticator": f"jwt:{URL}", "reason": "ok", "form": "jwt",
        "jwt": {"alg": "ES256", "kid": "k1", "iss": URL, "aud": ["kubernetes"], "exp": NOW + 600,
                "iat": NOW - 60,
                "claims": ["aud", "exp", "groups", "iat", "iss", "oid", "secretClaim", "sub"]},
        "asked": [{"authenticator": "tokenFile", "answer": "pass", "checks": []},
                  {"authenticator": f"jwt:{URL}", "answer": "accepted"}],
        "checks": [{"name": "names", "passed": True, "detail": 'left out: "system:masters"'},
                   {"name": "audiencesAsked", "passed": True}],
        "user": {"username": "a:jane", "uid": "17", "groups": ["dev", "ops"], "extra": {}},
        "expires": NOW + 600, "audiences": [AUDIENCE],
    }


def test_accepted_as_text(site):
    got = explain(site.config, site.token(jti="id-1"), "--now", AT, code=0)
    lines = got.stdout.splitlines()
    assert lines[0].startswith("token: JWT (nothing of it is verified yet), ")
    for line in ('  alg "ES256"', '  kid "k1"', f'  iss "{URL}"', '  aud "kubernetes"', "  exp in 10m0s",
                 "  iat 1m0s ago", "tokenFile: not its token", f"jwt:{URL}: accepted",
                 '  ok     names: left out: "system:masters"', f"verdict: accepted by jwt:{URL}",
                 '  username "a:jane"', '  uid "17"', '  group "dev"', '  group "ops"',
                 '  extra "portcullis.dev/credential-id": "JTI=id-1"', "  expires in 10m0s"):
        assert line in lines, (line, got.stdout)
    assert "error" not in got.stderr  # the token file is warned of


@pytest.mark.parametrize("reason,failed,claims", [
    ("expired", "expiry", {"exp": NOW}),
    ("badAudience", "audience", {"aud": "another"}),
    ("badClaim", "expiry", {"exp": "soon"}),
    ("reservedName", "names", None),
])
def test_refused_for_its_claims(site, tmp_path, reason, failed, claims):
    if reason == "reservedName":
        site = Site(tmp_path, prefix="", tokenFiles=[])
        claims = {"sub": "system:admin"}
    token = site.token(**claims)
    got = as_json(site.config, token, "--now", AT, code=1)
    assert (got["verdict"], got["reason"], got["authenticator"]) == ("refused", reason, f"jwt:{URL}")
    assert "user" not in got and "audiences" not in got
    checks = [c for c in got["asked"][-1]["checks"] + got["checks"] if not c["passed"]]
    assert [c["name"] for c in checks] == [failed]
    text = explain(site.config, token, "--now", AT, code=1).stdout
    assert f"verdict: refused by jwt:{URL}: {reason} (" in text
    assert '\n  username "' not in text


def test_refused_for_its_key(site):
    other = tokens.Key("P-256", "k2")
    got = as_json(site.config, site.token(key=other), "--now", AT, code=1)
    assert (got["verdict"], got["reason"]) == ("refused", "unknownKey")
    other.kid = "k1"
    got = as_json(site.config, site.token(key=other), "--now", AT, code=1)
    assert (got["verdict"], got["reason"]) == ("refused", "badSignature")
    none = tokens.compact({"alg": "none"}, {"iss": URL, "sub": "jane", "exp": NOW + 600})
    got = as_json(site.config, none, "--now", AT, code=1)
    assert (got["verdict"], got["reason"]) == ("refused", "badHeader")
    assert got["formWhy"] and got["jwt"]["alg"] == ""


def test_audience_that_is_not_ours(site):
    got = as_json(site.config, site.token(), "--now", AT, "--audience", "vault", code=1)
    assert (got["verdict"], got["reason"]) == ("refused", "foreignAudience")
    assert got["checks"][-1] == {"name": "audiencesAsked", "passed": False, "detail": "none of them is ours"}


@pytest.mark.parametrize("token,form", [
    ("garbage-of-some-length", "opaque"),
    ("eyJhbGciOiJub25lIn0.e30=.AAAA", "opaque"),
    ("Bearer eyJhbGciOiJub25lIn0.e30.AAAA", "opaque"),
    (base64.b64encode(b"jane:not-a-password").decode(), "basic"),
    ("x" * 70000, "opaque"),
])
def test_nobodys_token(site, token, form):
    got = as_json(site.config, token, code=1)
    assert got["verdict"] == "refused"
    assert got["reason"] == ("tooLong" if len(token) > 65536 else "noMatch")
    assert got["form"] == form and "authenticator" not in got
    assert all(a["answer"] == "pass" for a in got["asked"])
    assert "jane:not-a-password" not in explain(site.config, token, code=1).stdout


def test_another_issuers_token(site):
    got = as_json(site.config, site.token(iss=URL + "/"), "--now", AT, code=1)
    assert (got["reason"], got["jwt"]["iss"]) == ("noMatch", URL + "/")


def test_token_of_a_file(site):
    for end in ("\n", "", "\r\n"):
        got = as_json(site.config, "opaque-token-4711", code=0, end=end)
        assert got["authenticator"] == "tokenFile"
        assert got["user"] == {"username": "jane", "uid": "u-1", "groups": ["dev"], "extra": {}}
    assert as_json(site.config, "opaque-token-4711", code=1, end="\n\n")["reason"] == "noMatch"


def test_token_that_the_denylist_names(tmp_path):
    site = Site(tmp_path, denylistFile="deny.yaml")
    with open(site.path("deny.yaml"), "w", encoding="ascii") as f:
        f.write("apiVersion: portcullis.dev/v1alpha1\nkind: Denylist\n"
                'entries: [{user: "a:jane", reason: "left"}]\n')
    got = as_json(site.config, site.token(), "--now", AT, code=1)
    assert (got["verdict"], got["reason"]) == ("refused", "revoked")
    assert [c["passed"] for c in got["checks"] if c["name"] == "denylist"] == [False]
    got = as_json(site.config, site.token(sub="bob"), "--now", AT, code=0)
    assert [c["passed"] for c in got["checks"] if c["name"] == "denylist"] == [True]


def test_bytes_from_outside_are_escaped(site):
    token = site.token(iss="https://e\x1b[31mvil\u202e\n", header={"kid": "\x1b]0;x\x07"})
    for output in ("text", "json"):
        got = explain(site.config, token, "--output", output, code=1)
        assert not set(got.stdout) & {"\x1b", "\x07", "\u202e", "\r"}


# --- keys and directories ---

def listing(folder):
    return sorted((e.name, e.stat().st_mtime_ns, e.stat().st_size) for e in os.scandir(folder))


def test_keys_are_fetched_or_those_that_the_daemon_keeps(daemon, ca):
    key = tokens.Key("RSA", "k1")
    with FakeIssuer(ca, keys=tokens.jwks(key)) as issuer, FakeIssuer(ca) as other:
        d = daemon(jwt=[issuer.config(), other.config(prefix="other:")])
        token = key.token({"iss": issuer.url, "aud": "kubernetes", "sub": "jane", **tokens.in_force()})
        wait_until(lambda: [n for n in os.listdir(d.state) if n.startswith("keyset-")], "the kept key set")
        d.stop()
        before = listing(d.state)
        seen = len(issuer.seen), len(other.seen)
        got = as_json(d.config_path, token, "--offline", code=0)
        assert got["user"]["username"] == "fake:jane" and got["keys"].startswith("1 keys, read ")
        assert (len(issuer.seen), len(other.seen)) == seen
        got = as_json(d.config_path, token, code=0)
        assert got["keys"] == "1 keys, read 0s ago"
        assert len(issuer.seen) == seen[0] + 2 and len(other.seen) == seen[1]  # only whom it concerns
        unknown = tokens.Key("RSA", "k2").token(
            {"iss": issuer.url, "aud": "kubernetes", "sub": "jane", **tokens.in_force()})
        assert as_json(d.config_path, unknown, code=1)["reason"] == "unknownKey"
        got = as_json(d.config_path, unknown, "--offline", code=1)
        assert (got["verdict"], got["reason"]) == ("undecided", "offline")
        assert listing(d.state) == before  # nothing was written
    got = as_json(d.config_path, token, code=1)
    assert (got["verdict"], got["reason"]) == ("undecided", "issuerUnavailable")
    assert "last fetch failed: " in got["keys"]


def test_login_and_basic_tokens(daemon, directory):
    password = directory.people["bob"][0]
    d = daemon(ldap=[directory.config(basic=True)])
    token = d.login_token("bob", password)
    before = listing(d.state)
    got = as_json(d.config_path, token, code=0)
    assert got["user"]["username"] == "corp:bob" and got["form"] == "jwt"
    checks = got["asked"][-1]["checks"]
    assert [c["name"] for c in checks] == ["signature", "tokenKind", "expiry", "audience", "session", "account"]
    assert all(c["passed"] for c in checks)
    basic = base64.b64encode(f"bob:{password}".encode()).decode()
    got = as_json(d.config_path, basic, code=0)
    assert (got["form"], got["user"]["username"]) == ("basic", "corp:bob")
    assert as_json(d.config_path, basic, "--offline", code=1)["reason"] == "offline"
    wrong = base64.b64encode(b"bob:hidden-4711").decode()
    got = as_json(d.config_path, wrong, code=1)
    assert got["reason"] == "badPassword"
    assert [(c["name"], c["passed"]) for c in got["asked"][-1]["checks"]] == [("password", False)]
    assert listing(d.state) == before


def test_real_provider(daemon, issuer):
    d = daemon(jwt=[issuer.config()], start=False)
    got = as_json(d.config_path, issuer.id_token("alice"), code=0)
    assert got["user"]["username"] == "oidc:alice@example.com"
    assert got["user"]["groups"] == ["oidc:dev", "oidc:ops"]
    assert got["jwt"]["aud"] == [oidc.CLIENT_ID]


# --- usage ---

def test_wrong_input(site):
    def fails(*argv, stdin="", config=site.config):
        got = run([program("portcullis"), "token", "explain", "--config", config, *argv], stdin=stdin)
        assert got.returncode == 2 and not got.stdout, got
        return got.stderr
    assert "standard input is empty" in fails()
    assert "standard input is empty" in fails(stdin="\n")
    assert "more than" in fails(stdin="x" * ((1 << 20) + 1))
    assert "from standard input" in fails("tok-4711")
    assert "tok-4711" not in fails("tok-4711")
    assert "--output" in fails("--output", "yaml", stdin="x")
    assert "--now" in fails("--now", "soon", stdin="x")
    assert "none.yaml" in fails(stdin="x", config=site.path("none.yaml"))


def test_terminal_as_input(site):
    """It says what it waits for instead of waiting."""
    master, slave = pty.openpty()
    try:
        got = subprocess.run([program("portcullis"), "token", "explain", "--config", site.config], stdin=slave,
                             capture_output=True, text=True, timeout=60, check=False)
    finally:
        os.close(master)
        os.close(slave)
    assert got.returncode == 2
    assert "expected the token on standard input" in got.stderr
