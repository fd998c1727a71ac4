"""POST /login and the tokens it gives, through the daemon, on a real slapd."""
import base64
import json
import os

import pytest

from support import slapd
from support.portcullisd import API_AUDIENCE
from support.slapd import GROUPS, Slapd

ALICE = "alice-secret-5512"
BOB = "bob-secret-8841"


def part(token, i):
    text = token.split(".")[i]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


@pytest.fixture
def own(tmp_path):
    """A directory of the test's own, which it may change and stop."""
    with Slapd(tmp_path / "slapd") as s:
        yield s


def test_a_login_gives_a_token_that_a_review_accepts(daemon, directory):
    d = daemon(ldap=[directory.config()])
    got = d.login("ALICE", ALICE)
    assert got.status == 200 and set(got.json) == {
        "token", "expirationTimestamp", "refreshToken", "refreshExpirationTimestamp"}
    assert got.headers["cache-control"] == "no-store"
    token = got.json["token"]
    user = d.user_of(token)
    assert user["username"] == "corp:alice"
    assert user["groups"] == ["corp:dev", "corp:ops"]
    claims = part(token, 1)
    assert user["uid"] == claims["uid"]
    assert claims["iss"] == d.config["login"]["issuer"] and claims["aud"] == [API_AUDIENCE]
    assert claims["sub"] == "corp:" + claims["uid"]
    assert claims["exp"] - claims["iat"] == 900
    assert "groups" not in claims
    head = part(token, 0)
    with d.login_client() as c:
        found = c.get("/.well-known/openid-configuration").json
        got = c.get("/jwks")
        keys = got.json["keys"]
    assert got.headers["cache-control"] == "public, max-age=300"
    assert found["issuer"] == claims["iss"] and found["jwks_uri"] == claims["iss"] + "/jwks"
    assert head["alg"] == "ES256" and [k["kid"] for k in keys] == [head["kid"]]
    assert all("d" not in k for k in keys)
    assert d.user_of(token, audiences=["https://other.example.com"]) is None
    assert d.user_of(token[:-6] + "AAAAAA") is None


def test_basic_splits_at_the_first_colon(daemon, own):
    own.add_person("erin", "with:colon:s", ["dev"])
    d = daemon(ldap=[own.config()])
    assert d.user_of(d.login_token("erin", "with:colon:s", basic=True))["username"] == "corp:erin"
    with d.login_client() as c:
        for header in ("Basic", "Basic !!!", "Bearer abc",
                       "Basic " + base64.b64encode(b"no-colon").decode()):
            assert c.post("/login", body=b"", headers={"Authorization": header}).status == 400
        assert c.post("/login", json={"username": "erin"}).status == 400
        assert c.post("/login", body=b"x" * 20000,
                      headers={"Content-Type": "application/json"}).status == 413


def test_refusals_look_alike_and_only_known_names_are_kept(daemon, own):
    d = daemon(ldap=[own.config()])
    replies = [d.login("alice", "wrong-one"), d.login("no-such-person", "wrong-two"), d.login("alice", ""),
               d.login("*", ALICE), d.login("alice\r\n\x1b[31mx", ALICE), d.login("hunter2-typed", "alice"),
               d.login("alice", ALICE, directory="other")]
    assert {r.status for r in replies} == {401}
    assert len({r.text for r in replies}) == 1
    assert all("www-authenticate" in r.headers for r in replies)
    token = d.login_token("bob", BOB)
    assert d.user_of(token)
    d.stop()
    records = d.audit("authn.login")
    assert [r["reason"] for r in records] == [
        "badPassword", "noUser", "emptyPassword", "noUser", "badName", "noUser", "unknownDirectory", "ok"]
    assert [r.get("user", {}).get("name") for r in records] == [
        "corp:alice", None, None, None, None, None, None, "corp:bob"]
    text = json.dumps(d.audit()) + d.process.output()
    for secret in ("no-such-person", "hunter2-typed", "wrong-one", "wrong-two", ALICE, BOB, token,
                   token.split(".")[2], slapd.SERVICE_PASSWORD):
        assert secret not in text, secret
    assert "\x1b" not in text


def test_a_few_failures_stop_a_name_and_nobody_else(daemon, own):
    d = daemon(ldap=[own.config()])
    for i, name in enumerate(("alice", "Alice", " alice", "alice ", "ALICE")):
        assert d.login(name, f"wrong-{i}").status == 401
    got = d.login("alice", ALICE)
    assert got.status == 429 and 1 <= int(got.headers["retry-after"]) <= 30
    assert d.login("bob", BOB).status == 200
    # People who do not exist are stopped alike: the answer tells nothing.
    for i in range(5):
        assert d.login("nobody", f"wrong-{i}").status == 401
    assert d.login("nobody", "wrong-5").status == 429
    assert d.metric("portcullis_logins_total", result="limited") == 2


def test_other_spellings_share_one_count(daemon, own):
    """The directory folds what we do not: full-width letters are its letters."""
    d = daemon(ldap=[own.config()])
    wide = "\uff41lice"
    if d.login(wide, ALICE).status != 200:
        pytest.skip("this slapd does not fold full-width letters")
    for i in range(3):
        assert d.login("alice", f"wrong-{i}").status == 401
    for i, name in enumerate(("\uff41lice", "a\uff4cice")):
        assert d.login(name, f"wrong-w{i}").status == 401
    assert d.login("al\uff49ce", ALICE).status == 429


def test_a_token_follows_its_account(daemon, own):
    d = daemon(ldap=[own.config(cacheTTL="0s")])
    token = d.login_token("alice", ALICE)
    assert d.user_of(token)["groups"] == ["corp:dev", "corp:ops"]
    own.change(f"dn: cn=dev,{GROUPS}\nchangetype: modify\ndelete: member\n"
               f"member: {slapd.person_dn('alice')}\n")
    assert d.user_of(token)["groups"] == ["corp:ops"]
    own.delete_person("alice")
    assert d.user_of(token) is None
    own.change(slapd.person_ldif("alice", ALICE), add=True)
    assert d.user_of(token) is None
    assert d.user_of(d.login_token("alice", ALICE))["username"] == "corp:alice"


def test_an_answer_is_kept_for_its_time(daemon, own):
    d = daemon(ldap=[own.config(cacheTTL="5m")])
    token = d.login_token("alice", ALICE)
    own.stop()
    assert d.user_of(token)["groups"] == ["corp:dev", "corp:ops"]
    # Another's is not known yet.
    own.start()
    other = d.login_token("bob", BOB)
    own.stop()
    assert d.user_of(other)["username"] == "corp:bob"
    # A reload forgets.
    d.config["authentication"]["ldap"][0]["cacheTTL"] = "4m"
    before = len(d.audit("config.loaded"))
    d.write_config()
    d.wait_audit("config.loaded", after=before)
    assert d.token_review(token).status == 503


def test_directory_down_is_an_outage_and_only_its_own(daemon, own):
    d = daemon(ldap=[own.config(cacheTTL="0s")])
    token = d.login_token("alice", ALICE)
    own.stop()
    got = d.token_review(token)
    assert got.status == 503 and got.json["kind"] == "Status"
    assert d.login("alice", ALICE).status == 503
    assert d.user_of("token-bob-41d0")["username"] == "bob"
    assert d.verdict("bob", groups=["dev"], namespace="team-a") == "allow"
    own.start()
    assert d.user_of(token)["username"] == "corp:alice"
    assert d.login("alice", ALICE).status == 200


def test_tokens_outlive_a_restart(daemon, directory):
    d = daemon(ldap=[directory.config()])
    token = d.login_token("alice", ALICE)
    path = os.path.join(d.state, "login-keys")
    assert os.stat(path).st_mode & 0o777 == 0o600
    d.stop()
    d.start()
    assert d.user_of(token, client=d.client())["username"] == "corp:alice"
    # A removed directory takes its tokens along.
    d.stop()
    d.config["authentication"]["ldap"][0]["name"] = "renamed"
    d.write_config()
    d.start()
    assert d.user_of(token, client=d.client()) is None


def test_reserved_names_do_not_come_out_of_a_directory(daemon, own):
    own.change(f"dn: cn=system:masters,{GROUPS}\nobjectClass: groupOfNames\ncn: system:masters\n"
               f"member: {slapd.person_dn('alice')}\n", add=True)
    own.add_person("system:admin", "pw-admin-1", ["dev"])
    own.add_person("kubernetes-admin", "pw-admin-2", ["dev"])
    d = daemon(tokens={}, ldap=[own.config(usernamePrefix="", groupsPrefix="")])
    assert d.user_of(d.login_token("alice", ALICE))["groups"] == ["dev", "ops"]
    assert d.login("system:admin", "pw-admin-1").status == 401
    assert d.login("kubernetes-admin", "pw-admin-2").status == 401


def test_several_directories(daemon, own, tmp_path):
    with Slapd(tmp_path / "second", people={"zoe": ("zoe-secret", ["dev"]),
                                            "alice": ("second-alice", [])}) as second:
        d = daemon(ldap=[own.config(), second.config(name="lab", usernamePrefix="lab:", groupsPrefix="lab:")])
        assert d.user_of(d.login_token("zoe", "zoe-secret"))["groups"] == ["lab:dev"]
        # The first that knows the name decides.
        assert d.login("alice", "second-alice").status == 401
        assert d.user_of(d.login_token("alice", "second-alice", directory="lab"))["username"] == "lab:alice"
        own.stop()
        assert d.login("zoe", "zoe-secret").status == 503
        assert d.login("zoe", "zoe-secret", directory="lab").status == 200


def test_new_bind_password_and_trust_are_taken_up(daemon, own):
    config = own.config(cacheTTL="0s")
    ca = os.path.join(own.folder, "anchors.crt")
    with open(ca, "w", encoding="ascii") as f:
        f.write(own.ca.pem)
    del config["certificateAuthority"]
    config["certificateAuthorityFile"] = ca
    d = daemon(ldap=[config])
    token = d.login_token("alice", ALICE)
    before = len(d.audit("config.loaded"))
    own.change(f"dn: {slapd.SERVICE_DN}\nchangetype: modify\nreplace: userPassword\n"
               "userPassword: changed-secret\n")
    with open(config["bindPasswordFile"] + ".new", "w", encoding="ascii") as f:
        f.write("changed-secret\n")
    os.replace(config["bindPasswordFile"] + ".new", config["bindPasswordFile"])
    d.wait_audit("config.loaded", after=before)
    assert d.user_of(token)["username"] == "corp:alice"
