"""How many binds of people a directory sees when passwords are guessed, sprayed or repeated, by POST /login
and by basic tokens; counted in the log of a real slapd."""
import base64
import os
import re
import socket
import time

import pytest

from support import pki, slapd
from support.fakeldap import FakeLdap, bind_result, entry, search_done
from support.https import tls_context
from support.proc import wait_until
from support.slapd import Slapd

ALICE = "alice-secret-5512"
BOB = "bob-secret-8841"


def basic(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


class Counted(Slapd):
    """A slapd that tells of each operation."""

    def __init__(self, folder, **kw):
        super().__init__(folder, log="stats", **kw)

    def binds(self, uid=None):
        """Binds as UID, or as any person who exists."""
        with open(os.path.join(self.folder, "slapd.log"), encoding="utf-8", errors="replace") as f:
            names = re.findall(r' BIND dn="uid=([^,"]*),' + re.escape(slapd.PEOPLE) + '" method=128', f.read())
        return len([n for n in names if uid is None or n == uid])


@pytest.fixture
def own(tmp_path):
    with Counted(tmp_path / "slapd") as s:
        yield s


def without_login(config):
    del config["login"]


def reasons(d, kind, n):
    """Those of the first N records."""
    d.wait_audit(kind, after=n - 1)
    return [r["reason"] for r in d.audit(kind)[:n]]


def test_basic_tokens_work_without_a_login_listener(daemon, own):
    d = daemon(ldap=[own.config(basic=True)], edit=without_login)
    user = d.user_of(basic("ALICE", ALICE))
    assert user["username"] == "corp:alice" and user["groups"] == ["corp:dev", "corp:ops"] and user["uid"]
    own.add_person("erin", "with:colon:s", ["dev"])
    assert d.user_of(basic("erin", "with:colon:s"))["username"] == "corp:erin"
    assert d.user_of(basic("alice", ALICE), audiences=["https://other.example.com"]) is None
    for token in (basic("alice", "wrong"), basic("alice", ""), basic("", ALICE), basic("alice", "\0x"),
                  basic("*", ALICE), basic("no-such", "x"), base64.b64encode(b"alice").decode(),
                  basic("alice", ALICE).rstrip("=") + "\n"):
        assert d.user_of(token) is None, token
    assert "warning: basic: passwords" in d.process.output()
    d.stop()
    text = str(d.audit()) + d.process.output()
    for secret in (ALICE, basic("alice", ALICE), "no-such", "with:colon"):
        assert secret not in text
    own.stop()


def test_basic_only_where_it_is_asked_for(daemon, own, tmp_path):
    d = daemon(ldap=[own.config()])
    before = own.binds()
    assert d.user_of(basic("alice", ALICE)) is None
    assert own.binds() == before
    with Slapd(tmp_path / "second", people={"zoe": ("zoe-secret", ["dev"])}) as second:
        d = daemon("two", ldap=[own.config(), second.config(name="lab", usernamePrefix="lab:", basic=True)])
        assert d.user_of(basic("zoe", "zoe-secret"))["username"] == "lab:zoe"
        assert d.user_of(basic("alice", ALICE)) is None
        own.stop()
        assert d.user_of(basic("zoe", "zoe-secret"))["username"] == "lab:zoe"
        second.stop()
        assert d.token_review(basic("zoe", "zoe-secret2")).status == 503


def test_a_thousand_wrong_passwords_of_one_user(daemon, own):
    d = daemon(ldap=[own.config(basic=True)])
    start = time.monotonic()
    with d.login_client() as c:
        for i in range(500):
            got = c.post("/login", json={"username": "alice", "password": f"wrong-{i}"})
            assert got.status in (401, 429)
    for i in range(500):
        assert d.user_of(basic("Alice" if i % 2 else "alice", f"guess-{i}")) is None
    most = 5 + (time.monotonic() - start) / 30 + 1
    assert 5 <= own.binds("alice") <= most
    assert d.login("bob", BOB).status == 200


@pytest.mark.parametrize("per_address", [True, False])
def test_a_thousand_wrong_passwords_of_many_users(daemon, tmp_path, per_address):
    people = {f"p{i}": (f"secret-{i}", []) for i in range(250)}
    with Counted(tmp_path / "slapd", people=people) as own:
        d = daemon(ldap=[own.config()], login={"limitAddresses": per_address})
        start = time.monotonic()
        with d.login_client() as c:
            for i in range(1000):
                got = c.post("/login", json={"username": f"p{i % 250}", "password": f"wrong-{i}"})
                assert got.status in (401, 429)
        took = time.monotonic() - start
        least, rate = (100, 2) if per_address else (300, 10)
        assert least <= own.binds() <= least + rate * took + 1


def test_a_stale_password_never_locks_its_account(daemon, own):
    """A client that repeats itself costs one bind, and its owner no try."""
    d = daemon(ldap=[own.config(basic=True)])
    for _ in range(30):
        assert d.login("alice", "last-months").status == 401
    assert own.binds("alice") == 1
    assert d.login(" ALICE", "last-months").status == 401
    # Another way in, and another spelling: found to be the same account before its bind.
    assert d.user_of(basic("alice", "last-months")) is None
    assert d.login("alice", "last-months", directory="corp").status == 401
    assert own.binds("alice") == 1
    assert d.login("alice", ALICE).status == 200
    assert own.binds("alice") == 2
    # Nobody learns from it who exists.
    for _ in range(30):
        assert d.login("nobody", "last-months").status == 401
    assert d.login("nobody", "other").status == 401
    assert d.metric("portcullis_logins_total", reason="repeated") == 60
    assert d.metric("portcullis_logins_total", reason="limited") == 0


def test_endless_spellings_of_one_name_are_no_endless_searches(daemon, tmp_path):
    """A directory may take any number of texts for one name: a wrong password that is known is no guess, but the
    search that found so counts."""
    def search(base):
        return [entry("uid=alice," + base, uid="alice"), search_done(0)]

    ca = pki.CA(tmp_path / "ca")
    with FakeLdap(ca.server(), on_search=search, on_bind=lambda *a: [bind_result(49)]) as f:
        d = daemon(ldap=[{"name": "one", "urls": [f.url], "certificateAuthority": ca.pem, "timeout": "10s",
                          "userSearch": {"baseDN": "ou=people", "username": "uid"}, "usernamePrefix": "one:"}])
        start = time.monotonic()
        with d.login_client() as c:
            got = [c.post("/login", json={"username": f"alice{i}", "password": "stale"}).status for i in range(180)]
        took = time.monotonic() - start
        assert got[0] == 401 and len([s for s in f.seen if s[0] == "search"]) <= 100 + 2 * took + 1
        assert f.binds().count("uid=alice,ou=people") == 1


def test_a_password_that_was_sent_goes_to_no_second_directory(daemon, tmp_path):
    """A bind answered by "no such user" (a replica that lags) is that of an entry that was found all the same."""
    text = "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data 525, v3839"

    def search(base):
        return [entry("uid=alice," + base, uid="alice"), search_done(0)]

    def bind(dn, password):
        return [bind_result(49, text=text) if "alice" in dn else bind_result(0)]

    ca = pki.CA(tmp_path / "ca")
    pair = ca.server()
    with FakeLdap(pair, on_search=search, on_bind=bind) as first, FakeLdap(pair, on_search=search) as second:
        d = daemon(ldap=[{"name": name, "urls": [f.url], "certificateAuthority": ca.pem,
                          "userSearch": {"baseDN": "ou=people", "username": "uid"}, "usernamePrefix": name + ":",
                          "timeout": "10s"}
                         for name, f in (("one", first), ("two", second))])
        assert d.login("alice", ALICE).status == 401
        assert len(first.binds()) == 1
        assert second.seen == []


def test_an_outage_is_not_a_wrong_password(daemon, own):
    d = daemon(ldap=[own.config(basic=True)])
    own.stop()
    for _ in range(8):
        assert d.login("alice", ALICE).status == 503
        assert d.token_review(basic("alice", ALICE)).status == 503
    own.start()
    # A server that failed is not asked again at once.
    wait_until(lambda: d.login("alice", ALICE).status == 200, "the directory to be asked again")
    assert d.user_of(basic("alice", ALICE))["username"] == "corp:alice"
    assert d.metric("portcullis_logins_total", result="limited") == 0


def test_limits_outlive_a_reload(daemon, own):
    d = daemon(ldap=[own.config()])
    for i in range(5):
        assert d.login("alice", f"wrong-{i}").status == 401
    before = len(d.audit("config.loaded"))
    d.config["authentication"]["ldap"][0]["cacheTTL"] = "29s"
    d.write_config()
    d.wait_audit("config.loaded", after=before)
    assert d.login("alice", "wrong-0").status == 401
    assert d.login("alice", ALICE).status == 429
    assert reasons(d, "authn.login", 7) == ["badPassword"] * 5 + ["repeated", "limited"]


def test_one_address_does_not_get_all_connections(daemon, directory):
    d = daemon(ldap=[directory.config()])
    mine = [socket.create_connection(("127.0.0.1", d.login_port), timeout=10) for _ in range(80)]
    try:
        # Those past the limit are closed at once.
        for s in mine[64:]:
            try:
                assert s.recv(1) == b""
            except ConnectionResetError:
                pass
        with socket.create_connection(("127.0.0.1", d.login_port), timeout=10,
                                      source_address=("127.0.0.2", 0)) as other:
            with tls_context(d.server_ca).wrap_socket(other, server_hostname="127.0.0.1") as tls:
                assert tls.version()
    finally:
        for s in mine:
            s.close()
