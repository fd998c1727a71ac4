"""What reviews share in the running server: kept verdicts, one look-up for all who wait for the same, and a denylist
that holds from the next review on."""
import base64
import json
import os
import threading

import pytest

from support import pki
from support.fakeldap import FakeLdap, Hangup, bind_result, entry, search_done
from support.paths import program
from support.proc import DEADLINE, run, wait_until

PEOPLE = "ou=people,dc=example,dc=org"
ALICE = f"uid=alice,{PEOPLE}"
BOB = "token-bob-41d0"
HITS, MISSES = "portcullis_verdict_cache_hits_total", "portcullis_verdict_cache_misses_total"
WAITING = "portcullis_verifications_waiting"


class Gate(FakeLdap):
    """A directory that knows alice and answers her binds only when it is told to."""

    def __init__(self, pair):
        self.go, self.search_go = threading.Event(), threading.Event()
        self.search_go.set()
        self.hangs_up = False
        super().__init__(pair, on_bind=self._bind, on_search=self._search)

    def _bind(self, dn, _):
        if dn == ALICE and (not self.go.wait(30) or self.hangs_up):
            raise Hangup
        return [bind_result(0)]

    def _search(self, base):
        if not self.search_go.wait(30):
            return []
        return [entry(ALICE, uid="alice"), search_done()] if base == PEOPLE else [search_done()]

    def searches(self):
        return [s for s in self.seen if s == ("search", PEOPLE)]

    def people(self):
        return [dn for dn in self.binds() if dn == ALICE]


@pytest.fixture
def gate(tmp_path):
    ca = pki.CA(tmp_path / "ldap-ca")
    with Gate(ca.server()) as g:
        g.config = {"name": "corp", "urls": [g.url], "certificateAuthority": ca.pem, "basic": True,
                    "userSearch": {"baseDN": PEOPLE, "username": "uid"}, "usernamePrefix": "corp:",
                    "timeout": "10s"}
        yield g
        g.go.set()
        g.search_go.set()


def basic(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def patient(doc):
    doc["webhook"]["deadline"] = "10s"


class Askers:
    """N reviews of one token at once, each on a connection of its own."""

    def __init__(self, d, token, n):
        self.replies = []
        self.open = threading.Barrier(n)  # handshakes take long: the first review would end before the last begins
        self.threads = [threading.Thread(target=self._ask, args=(d, token), daemon=True) for _ in range(n)]
        for t in self.threads:
            t.start()

    def _ask(self, d, token):
        with d.client() as c:
            c._open()  # pylint: disable=protected-access
            self.open.wait(DEADLINE)
            self.replies.append(d.token_review(token, client=c))

    def ended(self):
        for t in self.threads:
            t.join(40)
        return self.replies


@pytest.mark.load
def test_reviews_of_one_token_cause_one_bind_and_hold_no_worker(daemon, gate):
    """More of them wait than there are workers, and everybody else is served meanwhile."""
    d = daemon(ldap=[gate.config], edit=patient)
    askers = Askers(d, basic("alice", "secret-1"), 60)
    wait_until(lambda: d.metric(WAITING) == 59, "59 to wait")
    other = Askers(d, basic("alice", "secret-2"), 1)
    wait_until(lambda: len(gate.people()) == 2, "another token's bind")
    assert d.user_of(BOB)["username"] == "bob"
    assert d.user_of("garbage") is None
    assert d.verdict("bob", groups=["dev"], namespace="team-a") == "allow"
    gate.go.set()
    replies = askers.ended() + other.ended()
    assert len(replies) == 61
    for r in replies:
        assert r.status == 200 and r.json["status"]["user"]["username"] == "corp:alice", r
    assert len(gate.people()) == 2
    assert d.metric(WAITING) == 0
    assert d.metric("portcullis_verifications_shared_total") == 59


@pytest.mark.load
def test_an_outage_is_shared_and_not_kept(daemon, gate):
    d = daemon(ldap=[gate.config], edit=patient)
    token = basic("alice", "secret-1")
    askers = Askers(d, token, 10)
    wait_until(lambda: d.metric(WAITING) == 9, "9 to wait")
    wait_until(lambda: len(gate.people()) == 1, "the bind")
    gate.hangs_up = True
    gate.go.set()
    replies = askers.ended()
    assert [r.status for r in replies] == [503] * 10
    assert d.metric("portcullis_token_reviews_total", result="unavailable") == 10


@pytest.mark.load
def test_who_waits_is_answered_when_the_daemon_ends(daemon, gate):
    d = daemon(ldap=[gate.config], edit=patient)
    askers = Askers(d, basic("alice", "secret-1"), 10)
    wait_until(lambda: d.metric(WAITING) == 9, "9 to wait")
    ender = threading.Thread(target=d.stop)
    ender.start()
    d.process.wait_for(lambda: "draining" in d.process.output(), "the drain")
    gate.go.set()
    assert [r.status for r in askers.ended()] == [200] * 10
    ender.join(40)
    assert d.process.popen.returncode == 0


@pytest.mark.load
def test_tokens_of_one_account_cause_one_look_up(daemon, gate):
    gate.go.set()
    d = daemon(ldap=[gate.config], edit=patient)
    tokens = [d.login_token("alice", "secret-1") for _ in range(3)]
    assert len(set(tokens)) == 3
    # A new configuration knows no account yet.
    before = len(d.audit("config.loaded"))
    d.config["authentication"]["cache"] = {"ttl": "2m"}
    d.write_config()
    d.reload()
    d.wait_audit("config.loaded", after=before)
    gate.search_go.clear()
    searches = len(gate.searches())
    askers = [Askers(d, t, 5) for t in tokens]
    wait_until(lambda: d.metric(WAITING) == 14, "14 to wait")
    gate.search_go.set()
    for a in askers:
        assert [r.json["status"]["user"]["username"] for r in a.ended()] == ["corp:alice"] * 5
    assert len(gate.searches()) == searches + 1


@pytest.mark.load
def test_who_waits_for_a_snapshot_that_is_gone_is_answered(daemon, gate):
    d = daemon(ldap=[gate.config], edit=patient)
    token = basic("alice", "secret-1")
    askers = Askers(d, token, 10)
    wait_until(lambda: d.metric(WAITING) == 9, "9 to wait")
    before = len(d.audit("config.loaded"))
    d.config["authentication"]["cache"] = {"ttl": "2m"}
    d.write_config()
    d.reload()
    d.wait_audit("config.loaded", after=before)
    gate.go.set()
    assert [r.status for r in askers.ended()] == [200] * 10
    binds = len(gate.people())
    assert d.user_of(token)["username"] == "corp:alice"
    assert len(gate.people()) == binds + 1, "the new configuration did not ask for itself"


def test_a_verdict_is_kept_and_foreign_tokens_are_not_looked_up(daemon, issuer):
    d = daemon(jwt=[issuer.config()])
    token = issuer.id_token("bob")
    first = d.user_of(token)
    assert first and d.metric(HITS) == 0
    assert d.metric(MISSES) == 1
    for _ in range(5):
        assert d.user_of(token) == first
    assert d.metric(HITS, kind="accepted") == 5
    assert d.user_of(token, audiences=["vault"]) is None
    assert d.user_of(token[:-8] + "AAAAAAAA") is None
    assert d.user_of(token[:-8] + "AAAAAAAA") is None
    assert d.metric(HITS, kind="refused") == 1
    misses = d.metric(MISSES)
    for i in range(50):
        assert d.user_of(f"opaque-{i}") is None
    assert d.metric(MISSES) == misses
    assert d.metric("portcullis_verdict_cache_entries", kind="accepted") <= 2


def test_row89_a_reload_forgets(daemon, issuer):
    d = daemon(jwt=[issuer.config()])
    token = issuer.id_token("bob")
    assert d.user_of(token) and d.user_of(token)
    before = len(d.audit("config.loaded"))
    d.config["authentication"]["jwt"][0]["issuer"]["audiences"] = ["another-client"]
    d.write_config()
    d.wait_audit("config.loaded", after=before)
    assert d.user_of(token) is None


# --- denylist ---

def write_list(d, *entries):
    """In place, as an editor does that does not rename."""
    with open(d.path("denylist.yaml"), "w", encoding="utf-8") as f:
        f.write("apiVersion: portcullis.dev/v1alpha1\nkind: Denylist\nentries:\n" if entries else
                "apiVersion: portcullis.dev/v1alpha1\nkind: Denylist\nentries: []\n")
        for e in entries:
            f.write(f"- {e}\n")


def with_list(d):
    write_list(d)
    d.config["authentication"]["denylistFile"] = "denylist.yaml"
    d.write_config()
    return d.start()


def test_what_the_denylist_names_is_refused_by_the_next_review(daemon, issuer):
    d = with_list(daemon(jwt=[issuer.config()], start=False))
    token = issuer.id_token("bob")
    user = d.user_of(token)
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    entries = [f"{{subject: {claims['sub']!r}, issuer: {claims['iss']!r}, reason: \"left\"}}",
               f"{{user: {user['username']!r}}}",
               f"{{issuer: {claims['iss']!r}, issuedBefore: {claims['iat'] + 1}}}"]
    for e in entries:
        write_list(d)
        wait_until(lambda: d.user_of(token), "the entry to be gone")
        write_list(d, e)
        assert d.user_of(token) is None, e
        assert d.user_of(BOB)["username"] == "bob"
    assert d.metric("portcullis_token_reviews_total", result="refused", reason="revoked") >= 3
    d.wait_audit("authn.review", lambda r: r["reason"] == "revoked")
    write_list(d, f"{{issuer: {claims['iss']!r}, issuedBefore: {claims['iat']}}}")
    wait_until(lambda: d.user_of(token), "what was issued later to be accepted")


def test_whom_the_denylist_names_gets_no_token_either(daemon, gate):
    gate.go.set()
    d = with_list(daemon(ldap=[gate.config], edit=patient, start=False))
    assert d.login("alice", "secret-1").status == 200
    write_list(d, "{user: \"corp:alice\", reason: \"left\"}")
    assert d.login("alice", "secret-1").status == 401
    record = d.wait_audit("authn.login", lambda r: r["reason"] == "revoked")
    assert record["decision"] == "refused" and record["user"]["name"] == "corp:alice", record
    # Tokens of before some time are refused, new ones given.
    write_list(d, "{user: \"corp:alice\", issuedBefore: 2026-01-01T00:00:00Z}")
    wait_until(lambda: d.login("alice", "secret-1").status == 200, "the old entry to be gone")


def test_row96_a_denylist_that_breaks_stays_in_force(daemon):
    d = with_list(daemon(start=False))
    write_list(d, "{user: bob}")
    assert d.user_of(BOB) is None
    path = d.path("denylist.yaml")
    good = open(path, encoding="utf-8").read()
    for text in ("", "entries: [", good.replace("Denylist", "AccessPolicy"), good.rstrip("\n")):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        assert d.user_of(BOB) is None, text
        assert d.metric("portcullis_denylist_stale") == 1
    os.unlink(path)
    assert d.user_of(BOB) is None
    with d.ops() as c:
        got = c.get("/readyz?verbose")
    assert got.status == 200
    assert f"[-]denylist degraded: {path}: 1 entries; the file cannot be used: {path}: No such" in got.text, got.text
    d.process.wait_for(lambda: "denylist cannot be used, the old entries stay" in d.process.output(), "the log")
    # A reload meanwhile keeps them too.
    before = len(d.audit("config.loaded"))
    d.config["authentication"]["cache"] = {"ttl": "0s"}
    d.write_config()
    d.wait_audit("config.loaded", after=before)
    assert d.user_of(BOB) is None
    write_list(d)
    wait_until(lambda: d.user_of(BOB), "the list to be read again")
    with d.ops() as c:
        assert "[+]denylist ok: " in c.get("/readyz?verbose").text


def test_a_change_is_noticed_though_nobody_asks(daemon):
    d = with_list(daemon(start=False))
    write_list(d, "{user: bob}")
    wait_until(lambda: d.metric("portcullis_denylist_entries") == 1, "the change to be seen")


@pytest.mark.parametrize("text, says", [(None, "denylistFile: {}: No such"), ("", "{}:1:1: error: the file is empty"),
                                        ("kind: Denylist\n", "{}:1:1: error: not a denylist")])
def test_no_start_with_a_bad_denylist(daemon, text, says):
    d = daemon(start=False)
    path = d.path("denylist.yaml")
    d.config["authentication"]["denylistFile"] = "denylist.yaml"
    d.write_config()
    if text is not None:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    got = run([program("portcullis"), "check", "-c", d.config_path])
    assert got.returncode == 1 and says.format(path) in got.stderr, got.stderr
    got = run([program("portcullisd"), "--config", d.config_path])
    assert got.returncode == 1 and path in got.stderr, got.stderr
