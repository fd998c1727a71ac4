"""The table of attacks: its rows, who proves them, the page that lists them, and the door they knock at.

tests/cases/attacks/rows.yaml has the rows. A test of tests/regress/test_attacks_*.py says by
@pytest.mark.attack("1", "23") which rows it proves; other tests are named in the row's `also`.
Run as a program, this prints docs/attack-table.md.
"""
import ast
import functools
import glob
import json
import os
import re
import sys

import yaml

if __package__:
    from . import proc, tokens
    from .paths import TOP
    from .portcullisd import API_AUDIENCE, Portcullisd
else:
    TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    Portcullisd = object

ROWS = os.path.join(TOP, "tests", "cases", "attacks", "rows.yaml")
PAGE = os.path.join(TOP, "docs", "attack-table.md")


# --- the table ---

@functools.lru_cache(None)
def rows():
    """{"87b": {"area": …, "input": …, "must": …, "answer": …, "reasons": […], "also": […]}}"""
    with open(ROWS, encoding="utf-8") as f:
        found = yaml.safe_load(f)
    return {str(r.pop("row")): r for r in found}


def _marks(function):
    for d in function.decorator_list:
        if isinstance(d, ast.Call) and ast.unparse(d.func) == "pytest.mark.attack":
            yield from (a.value for a in d.args)


def marked():
    """{row: ["tests/regress/test_attacks_jwt.py::test_x", …]}"""
    out = {}
    for path in sorted(glob.glob(os.path.join(TOP, "tests", "regress", "test_attacks_*.py"))):
        name = os.path.relpath(path, TOP)
        with open(path, encoding="utf-8") as f:
            tree = ast.parse(f.read())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                for row in _marks(node):
                    out.setdefault(row, []).append(f"{name}::{node.name}")
    return out


def exists(test):
    """FILE::NAME: a Python test, or a C test that its program really runs."""
    path, _, name = test.partition("::")
    path = os.path.join(TOP, path)
    if not name or not os.path.exists(path):
        return False
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if path.endswith(".py"):
        return re.search(rf"^def {re.escape(name)}\(", text, re.MULTILINE) is not None
    used = re.findall(rf"(?<!static void[ \n])\b{re.escape(name)}\b", text)
    return re.search(rf"static void\s{re.escape(name)}\(void", text) is not None and len(used) > 0


def proofs():
    """{row: [test, …]}: all of them."""
    out = marked()
    for row, r in rows().items():
        out.setdefault(row, []).extend(r.get("also", []))
    return out


HEAD = """# The table of attacks

What a hostile token, issuer, directory, peer or file tries, what must come of it, and the tests that try it.
Made from `tests/cases/attacks/rows.yaml` by `python3 tests/support/attacks.py`; a test holds both together, and
another one every row to its tests.

| must | means |
|---|---|
| R | `200`, `authenticated: false`, no `error`: refused, and the apiserver may keep that |
| O | `503`: cannot be decided now, and nobody keeps that |
| K | that key or entry is left out, everything beside it serves on |

The classes of Wycheproof's JOSE vectors (wrong primitives, modified padding and signatures, special r and s,
spellings of base64, serializations, key sets) are in rows 1 to 11, 20, 22 to 24 and 47 to 50, made anew with keys
of each run. The vectors as they stand would say little: their payloads are no claims, which refuses them all.

Words in `code` under *answer* are reasons, as the [audit log](audit-record.md) and the metrics have them
([authentication.md](authentication.md#reasons)).
"""


def _cell(text):
    return " ".join(str(text).split()).replace("|", "\\|")


def _short(test):
    path, _, name = test.partition("::")
    return f"`{os.path.basename(path)}` {name.replace('test_', '', 1).replace('_', ' ')}"


def _line(row, r, tests):
    answer = _cell(r["answer"])
    if r.get("reasons"):
        answer += ": " + ", ".join(f"`{x}`" for x in r["reasons"])
    return f"| {row} | {_cell(r['input'])} | {_cell(r['must'])} | {answer} | {'; '.join(_short(t) for t in tests)} |\n"


def page():
    areas, proof = {}, proofs()
    for row, r in rows().items():
        areas.setdefault(r["area"], []).append(_line(row, r, proof.get(row, [])))
    out = [HEAD]
    for area, lines in areas.items():
        out += [f"\n## {area}\n\n| # | input | must | answer | test |\n|---|---|---|---|---|\n", *lines]
    return "".join(out)


# --- the door ---

class Gate(Portcullisd):
    """A daemon that is asked one thing after the other, and the audit record of each."""

    reasons = set()  # of all refusals since somebody cleared it
    _read = 0

    def _next_record(self, kind):
        def look():
            try:
                with open(self.audit_path, "rb") as f:
                    f.seek(self._read)
                    data = f.read()
            except FileNotFoundError:
                return None
            for line in data.splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    return None
                self._read += len(line)
                record = json.loads(line)
                if record["type"] == kind:
                    return record
            return None
        return proc.wait_until(look, f"an audit record {kind}", interval=0.001)

    def ask(self, token, **kw):
        """(status of the review, its audit record)"""
        got = self.token_review(token, **kw)
        assert got.status == 200, (got, token[:200])
        return got.json["status"], self._next_record("authn.review")

    def refused(self, token, *reasons, **kw):
        """R: and the reason, which nobody but the audit log learns."""
        status, record = self.ask(token, **kw)
        assert status == {"authenticated": False}, (status, token[:400])
        assert record["decision"] == "refused", record
        assert not reasons or record["reason"] in reasons, (record, token[:400])
        Gate.reasons.add(record["reason"])
        return record

    def accepted(self, token, **kw):
        """status.user"""
        status, record = self.ask(token, **kw)
        assert status["authenticated"] is True and "error" not in status, (record, token[:400])
        return status["user"]

    def unavailable(self, token, *reasons):
        """O"""
        got = self.token_review(token)
        assert got.status == 503 and got.json["kind"] == "Status", got
        assert "Retry-After" not in got.headers
        record = self._next_record("authn.review")
        assert record["decision"] == "error" and record["reason"] in reasons, record
        Gate.reasons.add(record["reason"])
        return record


URL_A, URL_B = "https://a.example.com", "https://b.example.com"
STRICT = "https://strict.example.com"
AUDIENCE = "kubernetes"


class Site:
    """The keys and issuers that most rows knock at; all sets come from files."""

    def __init__(self, folder):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.rsa = tokens.Key("RSA", "rsa")
        self.p256 = tokens.Key("P-256", "p256")
        self.p384 = tokens.Key("P-384", "p384")
        self.p521 = tokens.Key("P-521", "p521")
        self.ed = tokens.Key("Ed25519", "ed")
        self.only = tokens.Key("RSA", "rs256-only")
        self.enc = tokens.Key("RSA", "enc")
        self.ops = tokens.Key("P-256", "sign-only")
        self.b = tokens.Key("RSA", "b1")
        a = tokens.jwks(self.rsa, self.p256, self.p384, self.p521, self.ed,
                        self.only.jwk(alg="RS256"), self.enc.jwk(use="enc"),
                        self.ops.jwk(key_ops=["sign"]))
        self.write("a", a)
        self.write("b", tokens.jwks(self.b))

    def write(self, name, doc):
        path = os.path.join(self.folder, f"{name}.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(doc, f)
        return path

    def entry(self, url, name, prefix, username="sub", rules=(), issuer=None, claim_rule=None, **mappings):
        """A jwt[] entry of the key set file NAME; ISSUER: more members of its issuer."""
        out = {"issuer": {"url": url, "audiences": [AUDIENCE],
                          "jwksFile": os.path.join(self.folder, name + ".json"), **(issuer or {})},
               "claimMappings": {"username": {"claim": username, "prefix": prefix, **(claim_rule or {})},
                                 "groups": {"claim": "groups", "prefix": prefix}, **mappings}}
        if rules:
            out["claimValidationRules"] = [{"claim": k, "requiredValue": v} for k, v in rules]
        return out

    def entries(self):
        return [
            self.entry(URL_A, "a", "a:", uid={"claim": "uid"}),
            self.entry(URL_B, "b", "b:"),
            self.entry("https://mail.example.com", "a", "mail:", username="email"),
            self.entry("https://accounts.google.com", "a", "google:", username="email", rules=[("hd", "corp.com")]),
            self.entry("https://uaa.example.com/oauth/token", "a", "uaa:", username="user_name"),
            # What is put together may be reserved though neither half is.
            self.entry("https://sys.example.com", "a", "sys"),
            self.entry(STRICT, "a", "strict:", username="email", issuer={
                "signingAlgorithms": ["RS256", "ES256"], "authorizedParties": [AUDIENCE, "dashboard"],
                "hostedDomains": ["corp.com"], "clockSkew": "30s"},
                       claim_rule={"emailVerified": "required"}),
            self.entry("https://access.example.com", "a", "access:", issuer={"tokenTypes": ["accessToken"]}),
            self.entry("https://keys.example.com", "a", "keys:",
                       groups={"claim": ["realm_access", "roles"], "prefix": "keys:", "from": "keys"}),
            self.entry("https://paths.example.com", "a", "paths:",
                       groups={"claim": "https://ex.com/groups", "prefix": "paths:"}),
        ]

    @staticmethod
    def claims(iss=URL_A, drop=(), **more):
        """Of a token that is good but for MORE and DROP."""
        out = {"iss": iss, "aud": AUDIENCE, "sub": "jane", "uid": "u-1", **tokens.in_force(), **more}
        return {k: v for k, v in out.items() if k not in drop}


if __name__ == "__main__":
    sys.stdout.write(page())
