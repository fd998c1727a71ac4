"""Kubernetes' own OIDC cases, on the daemon: each case that has a counterpart is an issuer of its own."""
import os

import pytest

from support import attacks, oidc_parity, tokens
from support.attacks import Gate
from support.fakeissuer import FakeIssuer
from support.paths import program
from support.ports import free_port
from support.proc import Process

CASES = oidc_parity.cases()
RUN = [c for c in CASES if "expect" in c and "start" not in c["expect"]]
START = [c for c in CASES if "start" in c.get("expect", {})]


class Bench:
    """Keys, the server of endpoints, and for each case its entry of jwt[]."""

    def __init__(self, folder, fake):
        self.folder, self.fake = str(folder), fake
        self.keys = {"rsa": tokens.Key("RSA", "rsa"), "other": tokens.Key("P-521", "other"),
                     "p521": tokens.Key("P-521", "p521"), "stranger": tokens.Key("RSA", "stranger")}
        self.path = os.path.join(self.folder, "keys.json")
        doc = tokens.jwks(*(k for name, k in self.keys.items() if name != "stranger"))
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(tokens.text_of(doc))
        fake.pages["/jwks"] = doc

    def url(self, case):
        fetch = case.get("fetch", {})
        return case.get("issuer", {}).get("url") or f"https://case{CASES.index(case)}.test" + fetch.get("path", "")

    def prefix(self, case):
        """Of its own, where the case is not about prefixes: no two may meet."""
        return case.get("username", {}).get("prefix", f"c{CASES.index(case)}:")

    def place(self, text, case):
        return text.replace("$FAKE", f"{self.fake.url}/{CASES.index(case)}").replace("$URL", self.url(case))

    def entry(self, case):
        issuer = {"url": self.url(case), "audiences": ["client"], "jwksFile": self.path}
        fetch = case.get("fetch")
        if fetch:
            del issuer["jwksFile"]
            issuer["certificateAuthority"] = self.fake.ca.pem
            issuer["discoveryURL"] = self.discovery(case)
        issuer.update(case.get("issuer", {}))
        username = {"claim": "username", **case.get("username", {}), "prefix": self.prefix(case)}
        mappings = {"username": {k: v for k, v in username.items() if v is not None}}
        if "groups" in case:
            mappings["groups"] = {"prefix": "", **case["groups"]}
        if "distributed" in case:
            mappings["groups"]["distributed"] = {"endpoints": [self.place("$FAKE/", case)],
                                                 "certificateAuthority": self.fake.ca.pem}
        mappings.update({k: case[k] for k in ("uid", "extra") if k in case})
        out = {"issuer": issuer, "claimMappings": mappings}
        if "rules" in case:
            out["claimValidationRules"] = case["rules"]
        return out

    def discovery(self, case):
        """Serves the document, too."""
        if "closed" in case["fetch"]:
            return f"https://localhost:{free_port()}/conf"
        path = f"/{CASES.index(case)}{case['fetch']['discovery']}"
        self.fake.pages[path] = {"issuer": self.url(case), "jwks_uri": self.fake.url + "/jwks"}
        return self.fake.url + path

    def sign(self, case, claims, key="rsa", alg=None):
        whole = {"iss": self.url(case), "aud": "client", **tokens.in_force(), **claims}
        return self.keys[key].token(self.place(tokens.text_of(whole), case), alg)

    def serve(self, case):
        """The endpoint of distributed claims: only for who brings the access token."""
        answer = case.get("distributed")

        def page(handler):
            good = handler.headers["Authorization"] == "Bearer secret"
            status = 401 if not good else answer if isinstance(answer, int) else 200
            body = self.sign(case, answer).encode() if status == 200 else b""
            handler.send_response(status)
            handler.send_header("Content-Type", "application/jwt")
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
        self.fake.pages[f"/{CASES.index(case)}/groups"] = page


@pytest.fixture(scope="module")
def bench(tmp_path_factory, ca):
    with FakeIssuer(ca) as fake:
        yield Bench(tmp_path_factory.mktemp("bench"), fake)


@pytest.fixture(scope="module")
def doors(tmp_path_factory, bench):
    """Daemons with the cases' issuers: at most 64 in each."""
    gates = {}
    made = []
    for i in range(0, len(RUN), 40):
        part = RUN[i:i + 40]
        gate = Gate(tmp_path_factory.mktemp("door") / "gate", jwt=[bench.entry(c) for c in part])
        made.append(gate)
        gate.start()
        gates.update({c["name"]: gate for c in part})
    yield gates
    for gate in made:
        assert gate.stop() == 0, gate.process.tail()


@pytest.mark.parametrize("case", RUN, ids=[c["name"] for c in RUN])
def test_case(case, bench, doors):
    gate, expect = doors[case["name"]], case["expect"]
    bench.serve(case)
    token = bench.sign(case, case["token"], case.get("key", "rsa"), case.get("alg"))
    if "refused" in expect:
        gate.refused(token, expect["refused"])
        return
    if "unavailable" in expect:
        gate.unavailable(token, expect["unavailable"])
        with gate.ops() as c:
            assert expect.get("readyz", "") in c.get("/readyz?verbose").text
        return
    want = {"groups": [], "uid": "", "extra": {}, **expect["user"]}
    got = gate.accepted(token)
    prefix = "" if "prefix" in case.get("username", {}) else bench.prefix(case)
    assert got["username"] == prefix + want["name"]
    assert (got.get("groups", []), got.get("uid", "")) == (want["groups"], want["uid"])
    assert got.get("extra", {}) == want["extra"]


@pytest.mark.parametrize("case", START, ids=[c["name"] for c in START])
def test_case_at_start(case, bench, tmp_path):
    gate = Gate(tmp_path / "gate", jwt=[bench.entry(case)])
    with Process([program("portcullisd"), "--config", gate.config_path], gate.path("refused.log")) as p:
        assert p.wait() == 1, p.output()
        assert case["expect"]["start"] in p.output() and "portcullis.yaml:" in p.output(), p.output()


def test_every_case_is_run_proven_or_out():
    names = [c["name"] for c in CASES]
    assert len(set(names)) == len(names)
    for c in CASES:
        assert len({"expect", "proof", "out"} & set(c)) == 1, c["name"]
        assert "proof" not in c or attacks.exists(c["proof"]), c["name"]


def test_the_page_is_made_from_the_cases():
    with open(oidc_parity.PAGE, encoding="utf-8") as f:
        assert f.read() == oidc_parity.page(), "run: python3 tests/support/oidc_parity.py > docs/oidc-parity.md"
