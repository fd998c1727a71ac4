"""Sessions: refresh handles, their end, and what must not pass for what; on a real slapd."""
import base64
import json
import os
import re
import time

import pytest

from support import slapd
from support.crypto_jws import new_es256, sign_es256
from support.fakeldap import FakeLdap, bind_result, entry, search_done
from support.portcullisd import API_AUDIENCE, Load
from support.proc import wait_until
from support.slapd import GROUPS, Slapd

ALICE = "alice-secret-5512"
BOB = "bob-secret-8841"


def part(token, i):
    text = token.split(".")[i]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


@pytest.fixture
def own(tmp_path):
    with Slapd(tmp_path / "slapd") as s:
        yield s


class Session:
    """What one login gave."""

    def __init__(self, daemon, user="alice", password=ALICE):
        got = daemon.login(user, password)
        assert got.status == 200, got
        self.daemon, self.token, self.handle = daemon, got.json["token"], got.json["refreshToken"]

    def refresh(self, handle=None):
        with self.daemon.login_client() as c:
            return c.post("/refresh", json={"refreshToken": handle or self.handle})

    def revoke(self, token=None):
        with self.daemon.login_client() as c:
            return c.post("/revoke", body=f"token={token or self.handle}&token_type_hint=refresh_token".encode(),
                          headers={"Content-Type": "application/x-www-form-urlencoded"})


def test_a_handle_gives_tokens_until_the_session_is_over(daemon, own):
    d = daemon(ldap=[own.config(cacheTTL="0s")])
    s = Session(d)
    first, handle = part(s.token, 1), part(s.handle, 1)
    assert handle["exp"] - handle["iat"] == 12 * 3600 and handle["aud"] == [first["iss"]]
    assert part(s.handle, 0)["typ"] == "refresh+jwt" and handle["sid"] == first["sid"]
    got = s.refresh()
    assert got.status == 200 and set(got.json) == {"token", "expirationTimestamp"}
    assert got.headers["cache-control"] == "no-store"
    again = part(got.json["token"], 1)
    assert (again["sub"], again["sid"], again["auth_time"]) == (first["sub"], first["sid"], handle["iat"])
    assert again["jti"] != first["jti"] and "groups" not in again
    assert d.user_of(got.json["token"])["groups"] == ["corp:dev", "corp:ops"]
    # The account is read anew.
    own.change(f"dn: cn=dev,{GROUPS}\nchangetype: modify\ndelete: member\n"
               f"member: {slapd.person_dn('alice')}\n")
    assert d.user_of(s.refresh().json["token"])["groups"] == ["corp:ops"]
    own.stop()
    assert s.refresh().status == 503
    own.start()
    own.delete_person("alice")
    assert s.refresh().status == 401
    own.change(slapd.person_ldif("alice", ALICE), add=True)
    assert s.refresh().status == 401
    d.wait_audit("authn.refresh", after=4)
    assert [r["reason"] for r in d.audit("authn.refresh")] == [
        "ok", "ok", "directoryDown", "noUser", "accountChanged"]
    assert d.metric("portcullis_login_refreshes_total", result="accepted") == 2
    d.stop()
    text = json.dumps(d.audit()) + d.process.output()
    assert s.handle not in text and s.handle.split(".")[2] not in text


def test_neither_passes_for_the_other(daemon, directory):
    d = daemon(ldap=[directory.config()])
    s = Session(d)
    assert d.user_of(s.handle) is None
    d.wait_audit("authn.review", lambda r: r["reason"] == "tokenKind")
    assert s.refresh(s.token).status == 401
    assert s.refresh("x").status == 401
    assert s.refresh(s.handle[:-6] + "AAAAAA").status == 401
    # By our own key, with the other's type or audience, without a session, from the past.
    with open(os.path.join(d.state, "login-keys"), encoding="ascii") as f:
        key = json.loads(f.readline())
    handle, token = part(s.handle, 1), part(s.token, 1)
    for head, claims in (
            ("JWT", handle), ("refresh+jwt", token), ("refresh+jwt", {**handle, "aud": [API_AUDIENCE]}),
            ("refresh+jwt", {**handle, "aud": handle["aud"] + [API_AUDIENCE]}),
            ("refresh+jwt", {**handle, "sid": "x"}), ("at+jwt", handle),
            ("refresh+jwt", {**handle, "iss": "https://other.example.com"}),
            ("refresh+jwt", {**handle, "directory": "other"}), ("refresh+jwt", {**handle, "account": "bob"}),
            ("refresh+jwt", {**handle, "iat": handle["iat"] - 50000}),
            ("refresh+jwt", {**handle, "exp": handle["iat"]})):
        forged = sign_es256(key, claims, typ=head)
        assert s.refresh(forged).status == 401, (head, claims)
        assert d.user_of(forged) is None, (head, claims)
    for head in ("refresh+jwt", "at+jwt", "logout+jwt"):
        assert d.user_of(sign_es256(key, token, typ=head)) is None
    assert d.user_of(sign_es256(key, token, typ="JWT"))
    assert s.refresh(sign_es256(key, handle, typ="refresh+jwt")).status == 200


def test_malformed_requests(daemon, directory):
    d = daemon(ldap=[directory.config()])
    with d.login_client() as c:
        for body in ({}, {"refreshToken": ""}, {"refreshToken": 1}, {"refreshToken": "x", "more": 1}, []):
            assert c.post("/refresh", json=body).status == 400, body
            assert c.post("/revoke", json=body).status == 400, body
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for body in (b"", b"token=", b"tokn=x", b"token=x&token=y", b"token=%", b"token=%4", b"token=%zz"):
            assert c.post("/revoke", body=body, headers=form).status == 400, body
        assert c.post("/refresh", body=b"refresh_token=x", headers=form).status == 415
        assert c.post("/revoke", body=b"x", headers={"Content-Type": "text/plain"}).status == 415
        assert c.post("/revoke", body=b"token=" + b"x" * 200000, headers=form).status == 413
        assert c.get("/revoke").status == 405


def test_a_session_that_is_ended_stays_ended(daemon, own):
    d = daemon(ldap=[own.config()])
    s, other, third = Session(d), Session(d), Session(d, "bob", BOB)
    later = s.refresh().json["token"]
    assert d.user_of(s.token) and d.user_of(later)
    assert s.revoke().status == 200
    for token in (s.token, later):
        assert d.user_of(token) is None
    assert s.refresh().status == 401
    assert d.user_of(other.token) and other.refresh().status == 200
    # By a token of it, too; as JSON; twice; a stranger's word ends nothing.
    with d.login_client() as c:
        assert c.post("/revoke", json={"token": third.token}).status == 200
    assert third.refresh().status == 401
    assert s.revoke().status == 200
    for text in ("garbage", other.handle[:-6] + "AAAAAA", s.token.replace(".", "%2E")):
        assert other.revoke(text).status == 200
    assert other.refresh().status == 200
    d.wait_audit("authn.revoke", after=5)
    assert [r["reason"] for r in d.audit("authn.revoke")] == [
        "ok", "ok", "ok", "noMatch", "badSignature", "ok"]
    assert d.metric("portcullis_login_ended_sessions") == 2
    d.kill()
    d.start()
    assert d.user_of(s.token, client=d.client()) is None and s.refresh().status == 401
    assert d.user_of(other.token, client=d.client()) and other.refresh().status == 200
    path = os.path.join(d.state, "ended-sessions")
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path, encoding="ascii") as f:
        assert re.fullmatch(r"([0-9A-Z]{26} [0-9]{10}\n){2}", f.read())


def test_what_cannot_be_recorded_is_said(daemon, directory):
    d = daemon(ldap=[directory.config()])
    s = Session(d)
    # A folder in the file's place: even root cannot write it.
    os.mkdir(os.path.join(d.state, "ended-sessions"))
    got = s.revoke()
    assert got.status == 503 and "could not be recorded" in got.text
    # It holds for as long as the process lives.
    assert d.user_of(s.token) is None and s.refresh().status == 401
    assert s.revoke().status == 503
    os.rmdir(os.path.join(d.state, "ended-sessions"))
    assert s.revoke().status == 200
    d.stop()
    d.start()
    assert d.user_of(s.token, client=d.client()) is None


def test_another_process_of_the_same_state_takes_it_up(daemon, directory):
    d = daemon(ldap=[directory.config()])
    other = daemon("other", ldap=[directory.config()], start=False,
                   edit=lambda c: c.update(stateDir=d.state, login={**d.config["login"],
                                                                  "listen": c["login"]["listen"]}))
    other.start()
    s = Session(d)
    assert other.user_of(s.token)
    assert s.revoke().status == 200
    wait_until(lambda: other.user_of(s.token) is None, "the other process to see it")
    s.daemon = other
    assert s.refresh().status == 401


def test_a_damaged_file_does_not_let_anybody_back_in(daemon, directory):
    d = daemon(ldap=[directory.config()])
    s = Session(d)
    assert s.revoke().status == 200
    path = os.path.join(d.state, "ended-sessions")
    with open(path, "a", encoding="ascii") as f:
        f.write("half a li")
    d.wait_log("login state.*ended-sessions")
    with d.ops() as c:
        assert re.search(r"\[\+\]login ok: stale since .*ended-sessions: line 2", c.get("/readyz?verbose").text)
    assert d.user_of(s.token) is None
    d.stop()
    d.process.start()
    d.process.wait_line("ended-sessions: line 2")
    assert d.process.wait() == 1
    with open(path, encoding="ascii") as f:
        whole = f.readline()
    with open(path, "w", encoding="ascii") as f:
        f.write(whole)
    d.start()
    assert d.user_of(s.token, client=d.client()) is None


def test_a_changed_password_ends_the_session(daemon, ca):
    account = {"pwdLastSet": "133000000000000000", "userAccountControl": "512",
               "msDS-User-Account-Control-Computed": "0", "accountExpires": "0"}
    right = [b"first-secret"]

    def search(_):
        return [entry("uid=jane,ou=people", uid="jane", **account), search_done()]

    def bind(dn, password):
        return [bind_result(0 if password in right or not dn.startswith("uid=jane") else 49)]

    with FakeLdap(ca.server("fake-ad"), on_search=search, on_bind=bind) as fake:
        d = daemon(ldap=[{"name": "ad", "urls": [fake.url], "certificateAuthority": ca.pem,
                          "userSearch": {"baseDN": "ou=people", "username": "uid"},
                          "usernamePrefix": "ad:", "accountState": "activeDirectory"}])
        s = Session(d, "jane", "first-secret")
        assert s.refresh().status == 200
        assert d.login("jane", "second-secret").status == 401
        account["pwdLastSet"] = "133000000000000001"
        right[0] = b"second-secret"
        assert s.refresh().status == 401
        assert d.wait_audit("authn.refresh", after=1)["reason"] == "passwordChanged"
        # What was wrong for the old version of the account is a new try for the new one.
        assert d.login("jane", "second-secret", directory="ad").status == 200
        s = Session(d, "jane2", "second-secret")
        account["userAccountControl"] = "514"
        assert s.refresh().status == 401
        assert d.wait_audit("authn.refresh", after=2)["reason"] == "accountDisabled"


def test_refresh_off_and_shorter(daemon, directory):
    d = daemon(ldap=[directory.config()], login={"refreshLifetime": "0s"})
    got = d.login("alice", ALICE)
    assert set(got.json) == {"token", "expirationTimestamp"}
    with d.login_client() as c:
        assert c.post("/revoke", json={"token": got.json["token"]}).status == 200
    assert d.user_of(got.json["token"]) is None
    d = daemon("short", ldap=[directory.config()], login={"refreshLifetime": "1m", "tokenLifetime": "5m"})
    s = Session(d)
    claims = part(s.handle, 1)
    assert claims["exp"] - claims["iat"] == 300
    assert part(s.token, 1)["exp"] <= claims["exp"]


def test_a_session_does_not_ask_without_end(daemon, directory):
    d = daemon(ldap=[directory.config()])
    s = Session(d)
    codes = [s.refresh().status for _ in range(30)]
    assert codes[:20] == [200] * 20 and codes[-1] == 429
    assert Session(d).refresh().status == 200


def test_the_denylist_holds_for_refreshes(daemon, directory):
    def denied(config):
        config["authentication"]["denylistFile"] = "denylist.yaml"
    d = daemon(ldap=[directory.config()], edit=denied, start=False)
    path = d.path("denylist.yaml")
    with open(path, "w", encoding="ascii") as f:
        f.write("apiVersion: portcullis.dev/v1alpha1\nkind: Denylist\nentries: []\n")
    d.start()
    s = Session(d)
    assert s.refresh().status == 200
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write("apiVersion: portcullis.dev/v1alpha1\nkind: Denylist\nentries:\n- {user: \"corp:alice\"}\n")
    os.replace(path + ".new", path)
    assert s.refresh().status == 401 and d.user_of(s.token) is None
    assert Session(d, "bob", BOB).refresh().status == 200


@pytest.mark.load
def test_keys_change_under_logins_and_reviews(daemon, directory):
    """An operator's new key, published at once and signing seconds later: nobody is refused."""
    d = daemon(ldap=[directory.config()], login={"limitAddresses": False})
    path = os.path.join(d.state, "login-keys")
    old = Session(d)
    with d.login_client() as c:
        before = {k["kid"] for k in c.get("/jwks").json["keys"]}

    def use(_):
        s = Session(d, "bob", BOB)
        assert d.user_of(s.token) and d.user_of(old.token)

    with Load(use) as load:
        load.wait_more(20)
        with open(path, encoding="ascii") as f:
            text = f.read()
        with open(path + ".new", "w", encoding="ascii") as f:
            f.write(text + json.dumps({**new_es256(), "nbf": int(time.time()) + 4}) + "\n")
        os.chmod(path + ".new", 0o600)
        os.replace(path + ".new", path)
        d.wait_audit("server.event", lambda r: r.get("event") == "login.keys")
        with d.login_client() as c:
            now = {k["kid"] for k in c.get("/jwks").json["keys"]}
        assert before < now
        load.wait_more(20)
        wait_until(lambda: part(Session(d).token, 0)["kid"] in now - before, "the new key to sign")
        load.wait_more(20)
    assert not load.errors, load.errors[:3]
    assert d.user_of(old.token) and old.refresh().status == 200
