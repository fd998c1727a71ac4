"""Keystone as an authenticator: against Debian's Keystone, and against servers that misbehave."""
import base64
import datetime
import json
import os
import threading

import pytest

from support import pki
from support.fake_keystone import FakeKeystone, fernet_shaped, token_body
from support.keystone import Keystone
from support.paths import BUILD, TOP
from support.proc import run, wait_until

ALICE, BOB, EVE = "alice-secret-7710", "bob-secret-8821", "eve-secret-9932"
EXTRA = "alpha.kubernetes.io/identity/"


class Cloud:
    """A Keystone with people: alice (developer) and bob (reader) of Default in its project team, alice alone in
    other; eve and a second alice of the domain evil, which has a project team too."""

    def __init__(self, folder):
        self.keystone = k = Keystone(folder)
        k.start()
        self.team, self.other = k.project("team"), k.project("other")
        self.developer = k.role("developer")
        reader = next(r["id"] for r in k.api("GET", "/roles").json["roles"] if r["name"] == "reader")
        self.alice, self.bob = k.user("alice", ALICE), k.user("bob", BOB)
        k.assign(self.alice, self.developer, self.team)
        k.assign(self.alice, reader, self.other)
        k.assign(self.bob, reader, self.team)
        k.group("operators", [self.alice])
        self.evil = k.domain("evil")
        self.evil_team = k.project("team", self.evil)
        for name in ("eve", "alice"):
            k.assign(k.user(name, EVE, self.evil), self.developer, self.evil_team)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    c = Cloud(tmp_path_factory.mktemp("keystone"))
    yield c
    c.keystone.stop()


def with_keystone(*entries):
    def edit(doc):
        doc["authentication"]["keystone"] = list(entries)
        doc["webhook"]["deadline"] = "10s"
    return edit


@pytest.fixture
def served(daemon, cloud):
    """Makes a portcullisd that asks the cloud's Keystone."""
    def make(name="portcullisd", tokens=None, **override):
        override = {"cacheTTL": "0s", "timeout": "10s", **override}
        return daemon(name, tokens=tokens, edit=with_keystone(cloud.keystone.config(**override)))
    return make


def reviews(d):
    """Reviews so far by result and reason; counted before the answer is sent."""
    return {k: v for k, v in d.metrics().items() if k.startswith("portcullis_token_reviews_total")}


def told(d, token, result, why):
    """The reply about TOKEN, which must be of RESULT and reason WHY."""
    before = reviews(d)
    got = d.token_review(token)
    grown = [k for k, v in reviews(d).items() if v != before.get(k, 0)]
    assert len(grown) == 1 and f'result="{result}"' in grown[0] and f'reason="{why}"' in grown[0], grown
    return got


def refused(d, token, why):
    got = told(d, token, "refused", why)
    assert got.status == 200 and got.json["status"] == {"authenticated": False}, got


def unavailable(d, token, why="keystoneUnavailable"):
    got = told(d, token, "unavailable", why)
    assert got.status == 503 and got.json["kind"] == "Status", got
    return got.json["message"]


# --- who is who ---

@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_project_token_gives_the_person_project_and_roles(cloud, served, version):
    d = served()
    token = cloud.keystone.token("alice", ALICE, "team")
    got = d.token_review(token, version=version)
    assert got.status == 200 and got.json["apiVersion"] == f"authentication.k8s.io/{version}"
    user = got.json["status"]["user"]
    assert user["username"] == "os:Default/alice" and user["uid"] == cloud.alice
    assert user["groups"] == sorted([f"os:{cloud.team}", "os:Default/team",
                                     "os:Default/team:developer"])
    credential = user["extra"].pop("portcullis.dev/credential-id")
    assert len(credential) == 1 and credential[0].startswith("AUDITID=")
    assert user["extra"] == {
        EXTRA + "roles": ["developer"], EXTRA + "project/id": [cloud.team],
        EXTRA + "project/name": ["team"], EXTRA + "user/domain/id": ["default"],
        EXTRA + "user/domain/name": ["Default"]}
    assert d.metric("portcullis_keystone_requests_total", keystone="cloud", result="ok") == 1
    assert d.wait_audit("authn.review")["authenticator"] == "keystone:cloud"


def test_as_k8s_keystone_auth_has_it(cloud, served):
    """Its defaults: the bare name, the project's id and Keystone's groups as groups."""
    d = served(tokens={}, names="plain", domains=["Default"], usernamePrefix="", groupsPrefix="",
               groups=["projectID", "userGroup"])
    user = d.user_of(cloud.keystone.token("alice", ALICE, "team"))
    assert user["username"] == "alice" and user["groups"] == sorted([cloud.team, "operators"])


def test_ids_and_mapped_roles(cloud, served):
    d = served(username="id", groups=["projectID:role", "role", "userGroup"], projects=["Default/team"],
               roleMappings=[{"role": "developer", "groups": ["devs", "everybody"]},
                             {"role": "reader", "groups": ["readers"]},
                             {"role": "developer", "project": cloud.other, "groups": ["others"]}])
    user = d.user_of(cloud.keystone.token("alice", ALICE, "team"))
    assert user["username"] == f"os:{cloud.alice}"
    assert user["groups"] == sorted(["os:devs", "os:everybody", "os:developer",
                                     "os:Default/operators", f"os:{cloud.team}:developer"])
    assert "os:readers" in d.user_of(cloud.keystone.token("bob", BOB, "team"))["groups"]


def test_same_name_in_another_domain_is_another_person(cloud, served):
    d = served()
    user = d.user_of(cloud.keystone.token("alice", EVE, "team", domain="evil"))
    assert user["username"] == "os:evil/alice"
    assert "os:evil/team:developer" in user["groups"] and "os:Default/team" not in user["groups"]


def test_rules_refuse_who_does_not_belong(cloud, served):
    k = cloud.keystone
    d = served(domains=["Default"], projects=["Default/team"], requiredRoles=["developer"])
    assert d.user_of(k.token("alice", ALICE, "team"))["username"] == "os:Default/alice"
    refused(d, k.token("eve", EVE, "team", domain="evil"), "foreignDomain")
    refused(d, k.token("alice", ALICE, "other"), "foreignProject")
    refused(d, k.token("bob", BOB, "team"), "requiredRole")
    refused(d, k.token("alice", ALICE), "badScope")
    open_to_all = served("unscoped", scopes=["project", "unscoped", "system"])
    user = open_to_all.user_of(k.token("alice", ALICE))
    assert user["username"] == "os:Default/alice" and "groups" not in user
    system = k.token("admin", "admin-secret-4b19", scope={"system": {"all": True}})
    assert open_to_all.user_of(system)["username"] == "os:Default/admin"
    refused(d, system, "badScope")


def test_trust_is_refused_unless_wanted(cloud, served):
    k = cloud.keystone

    def token(impersonation):
        trust = k.api("POST", "/OS-TRUST/trusts", {"trust": {
            "trustor_user_id": cloud.alice, "trustee_user_id": cloud.bob, "project_id": cloud.team,
            "impersonation": impersonation, "roles": [{"id": cloud.developer}]}},
            token=k.token("alice", ALICE, "team")).json["trust"]["id"]
        return k.token("bob", BOB, scope={"OS-TRUST:trust": {"id": trust}})

    plain = token(False)
    refused(served(), plain, "delegated")
    d = served("wanted", delegated=True)
    user = d.user_of(plain)
    assert user["username"] == "os:Default/bob" and "os:Default/team:developer" in user["groups"]
    # Keystone's own policy: such a token may not be asked about by its bearer.
    refused(d, token(True), "forbidden")


# --- ends ---

def test_revoked_token_ends(cloud, served):
    d = served(cacheTTL="1s")
    token = cloud.keystone.token("alice", ALICE, "team")
    assert d.user_of(token)
    cloud.keystone.revoke(token)
    wait_until(lambda: d.user_of(token) is None, "the revoked token to be refused")
    refused(d, token, "badToken")


def test_disabled_person_ends(cloud, served):
    k, d = cloud.keystone, served()
    user = k.user("dora", "dora-secret-1234")
    k.assign(user, cloud.developer, cloud.team)
    token = k.token("dora", "dora-secret-1234", "team")
    assert d.user_of(token)["username"] == "os:Default/dora"
    k.update_user(user, enabled=False)
    refused(d, token, "badToken")


def test_role_that_is_taken_away_ends(cloud, served):
    k, d = cloud.keystone, served()
    user = k.user("emil", "emil-secret-1234")
    k.assign(user, cloud.developer, cloud.team)
    token = k.token("emil", "emil-secret-1234", "team")
    assert d.user_of(token)
    k.api("DELETE", f"/projects/{cloud.team}/users/{user}/roles/{cloud.developer}")
    refused(d, token, "badToken")


def test_answers_are_kept_for_cache_ttl(tmp_path, daemon):
    with FakeKeystone(tmp_path / "fake") as fake:
        d = daemon(edit=with_keystone(fake.config(cacheTTL="60s")))
        for _ in range(3):
            assert d.user_of(fernet_shaped(1))["username"] == "os:Default/alice"
        assert len(fake.asked) == 1
        fake.answer = lambda *a: (404, {"error": {"code": 404}})
        for _ in range(3):
            refused(d, fernet_shaped(2), "badToken")
        assert len(fake.asked) == 2
        assert d.user_of(fernet_shaped(1)), "kept, though Keystone knows it no more"


# --- application credentials ---

def test_application_credential_as_token_and_directly(cloud, served):
    k = cloud.keystone
    ident, secret = k.application_credential(cloud.alice, k.token("alice", ALICE, "team"), "ci")
    d = served(applicationCredentials=True, groups=["projectName:role", "userGroup"])
    for token in (k.credential_token(ident, secret), f"v3applicationcredential:cloud:{ident}:{secret}"):
        user = d.user_of(token)
        assert user["username"] == "os:Default/alice"
        assert user["groups"] == ["os:Default/operators", "os:Default/team:developer"]
        assert user["extra"]["portcullis.dev/application-credential"] == [ident]
    with open(d.process.log_path, encoding="utf-8") as log, \
            open(d.audit_path, encoding="utf-8") as audit:
        assert secret not in log.read() + audit.read()
    asked = len(k.requests())
    off = served("off")
    refused(off, f"v3applicationcredential:cloud:{ident}:{secret}", "noMatch")
    refused(d, f"v3applicationcredential:other:{ident}:{secret}", "noMatch")
    assert len(k.requests()) == asked
    k.api("DELETE", f"/users/{cloud.alice}/application_credentials/{ident}",
          token=k.token("alice", ALICE, "team"))
    refused(d, f"v3applicationcredential:cloud:{ident}:{secret}", "badCredential")


def test_application_credential_ends_when_it_expires(cloud, served):
    k, d = cloud.keystone, served(applicationCredentials=True)
    # Seen before its end, however slow this machine is.
    for ahead in (15, 60, 240):
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=ahead)
        alice = k.token("alice", ALICE, "team")
        ident, secret = k.application_credential(
            cloud.alice, alice, f"for-{ahead}", expires_at=soon.strftime("%Y-%m-%dT%H:%M:%S.000000"))
        token = k.credential_token(ident, secret)
        user = d.user_of(token)
        if user:
            break
    assert user["username"] == "os:Default/alice"
    wait_until(lambda: d.user_of(token) is None, "the token to end with its credential")
    wait_until(lambda: d.user_of(f"v3applicationcredential:cloud:{ident}:{secret}") is None,
               "the credential to end")


def test_guesses_at_a_secret_are_slow(cloud, served):
    k = cloud.keystone
    ident, secret = k.application_credential(cloud.bob, k.token("bob", BOB, "team"), "ci")
    d = served(applicationCredentials=True)
    for i in range(5):
        refused(d, f"v3applicationcredential:cloud:{ident}:guess-{i}", "badCredential")
    asked = len(k.requests())
    for guess in ("guess-6", secret):
        unavailable(d, f"v3applicationcredential:cloud:{ident}:{guess}", "limited")
    assert len(k.requests()) == asked
    assert d.user_of(k.credential_token(ident, secret)), "what was given goes on"


def test_application_credential_with_access_rules_is_refused(cloud, served):
    """It is for some requests to OpenStack: a cluster is not among them."""
    k = cloud.keystone
    ident, secret = k.application_credential(
        cloud.alice, k.token("alice", ALICE, "team"), "narrow",
        access_rules=[{"path": "/v2.1/servers", "method": "GET", "service": "compute"}])
    d = served(applicationCredentials=True)
    refused(d, f"v3applicationcredential:cloud:{ident}:{secret}", "accessRules")
    refused(d, k.credential_token(ident, secret), "badToken")


# --- the filter ---

def foreign_tokens():
    def part(doc):
        return base64.urlsafe_b64encode(json.dumps(doc).encode()).rstrip(b"=").decode()
    head = part({"alg": "RS256", "kid": "k"})
    good = fernet_shaped("")
    return [
        "garbage", "x" * 183, "g" * 183, "0123456789abcdef" * 2,
        f"{head}.{part({'iss': 'https://kubernetes.default.svc', 'sub': 'system:serviceaccount:a:b'})}.AAAA",
        f"{head}.{part({'sub': 'no-issuer'})}.AAAA",
        f"{head}.{part({'iss': 'x', 'openstack_audit_ids': ['a']})}.AAAA",
        f"{head}.{part({'iss': '', 'openstack_audit_ids': ['a']})}.AAAA",
        good[:-1], good + "x", good + "=", good[:-1] + "=", good[:-1] + ".", good[:-1] + " ",
        good[:-1] + "\n", " " + good, good[:97], "gAAAAA", "hAAAAA" + good[6:],
        "gAAAAAB" + "x" * 6400, "v3applicationcredential:cloud:id:secret",
    ]


def test_foreign_tokens_never_reach_keystone(cloud, served):
    d = served()
    before = len(cloud.keystone.requests())
    for token in foreign_tokens():
        refused(d, token, "noMatch")
    assert d.metric("portcullis_keystone_requests_total") == 0
    assert len(cloud.keystone.requests()) == before
    refused(d, fernet_shaped(""), "badToken")
    assert len(cloud.keystone.requests()) == before + 1


def test_formats_are_those_configured(tmp_path, daemon):
    def part(doc):
        return base64.urlsafe_b64encode(json.dumps(doc).encode()).rstrip(b"=").decode()
    jws = f"{part({'alg': 'ES256', 'typ': 'JWT'})}.{part({'sub': 'u', 'openstack_audit_ids': ['a']})}.AAAA"
    uuid = "0123456789abcdef" * 2
    with FakeKeystone(tmp_path / "fake") as fake:
        every = daemon("every", edit=with_keystone(
            fake.config(tokenFormats=["fernet", "jws", "uuid"])))
        for token in (jws, uuid, fernet_shaped(1)):
            assert every.user_of(token)["username"] == "os:Default/alice"
            headers = fake.asked[-1][2]
            assert headers["X-Auth-Token"] == headers["X-Subject-Token"] == token
        fernet = daemon("fernet", edit=with_keystone(fake.config(tokenFormats=["fernet"])))
        refused(fernet, jws, "noMatch")
        refused(fernet, uuid, "noMatch")


# --- trouble ---

def test_keystone_down_is_503_and_over_when_it_is_back(tmp_path, daemon):
    fake = FakeKeystone(tmp_path / "fake")
    d = daemon(edit=with_keystone(fake.config()))
    for i in range(5):
        assert "Keystone fake" in unavailable(d, fernet_shaped(i))
    assert d.metric("portcullis_keystone_requests_total", result="error") < 5, "it is left alone"
    with d.ops() as c:
        assert "keystone fake: last request failed" in c.get("/readyz?verbose").text
    assert d.user_of("token-alice-9f2c")["username"] == "alice", "others go on"
    with fake:
        wait_until(lambda: d.token_review(fernet_shaped(9)).status == 200, "Keystone to be asked again")
        with d.ops() as c:
            assert "keystone fake: " not in c.get("/readyz?verbose").text


@pytest.mark.parametrize("status", [400, 413, 414, 431, 502])
def test_a_token_that_no_web_server_takes_closes_keystone_to_nobody(tmp_path, daemon, status):
    """Two tokens of the longest shape, each twice in a request's header, are more than many servers read: their refusal
    says nothing about other tokens."""
    monster = "gAAAAABrA" + "x" * 5955

    def answer(method, path, headers, body):
        return (status, b"too much") if len(headers["X-Auth-Token"]) > 4000 else (200, token_body())

    with FakeKeystone(tmp_path / "fake", answer) as fake:
        d = daemon(edit=with_keystone(fake.config()))
        for i in range(3):
            unavailable(d, monster[:-1] + str(i))
        assert len(fake.asked) == 3
        assert d.user_of(fernet_shaped(1))["username"] == "os:Default/alice"


def test_a_token_that_no_web_server_takes_prolongs_no_outage(tmp_path, daemon):
    """After a rest one request tries Keystone: that it was such a token keeps nobody from being the next."""
    monster = "gAAAAABrA" + "x" * 5955
    with FakeKeystone(tmp_path / "fake", lambda *a: (502, b"")) as fake:
        d = daemon(edit=with_keystone(fake.config()))
        for i in range(2):
            unavailable(d, fernet_shaped(i))
        asked = len(fake.asked)

        def tried():
            unavailable(d, monster)
            return len(fake.asked) > asked
        wait_until(tried, "the rest to end")
        fake.answer = lambda *a: (200, token_body())
        assert d.user_of(fernet_shaped(1))["username"] == "os:Default/alice"


def test_silent_keystone_is_503_within_the_deadline(tmp_path, daemon):
    with FakeKeystone(tmp_path / "fake", lambda *a: None) as fake:
        d = daemon(edit=with_keystone(fake.config(timeout="2s")))
        unavailable(d, fernet_shaped(1))
        assert len(fake.asked) == 1


def test_a_silent_keystone_leaves_workers_to_others(tmp_path, daemon, directory):
    """More reviews hang than may: directories are still asked."""
    with FakeKeystone(tmp_path / "fake", lambda *a: None) as fake:
        d = daemon(ldap=[directory.config()], edit=with_keystone(fake.config(timeout="10s")))
        person = d.login_token("bob", "bob-secret-8841")

        def review(i):
            with d.client() as c:
                d.token_review(fernet_shaped(i), client=c)

        threads = [threading.Thread(target=review, args=(i,), daemon=True) for i in range(24)]
        for t in threads:
            t.start()
        wait_until(lambda: len(fake.asked) >= 8, "eight requests to hang")
        assert d.user_of(person)["username"] == "corp:bob"
        assert len(fake.asked) <= 8
        fake.over.set()
        for t in threads:
            t.join(60)


ODD = {
    "html": (200, b"<html>login</html>"),
    "empty": (200, b""),
    "no token": (200, {"user": {}}),
    "500": (500, {"error": {"code": 500, "message": "x"}}),
    "503": (503, b""),
    "429": (429, {"error": {"code": 429}}),
    "redirect": (302, b"", {"Location": "https://localhost/"}),
    "a proxy's 404": (404, b"<html>not found</html>"),
    "a proxy's 401": (401, {"message": "who are you?"}),
    "another code": (404, {"error": {"code": 401}}),
    "too long": (200, b"x" * (1 << 21)),
    "created": (201, token_body()),
    "no user": (200, token_body(user=None)),
    "no expiry": (200, token_body(expires_at=None)),
}


@pytest.mark.parametrize("what", ODD)
def test_answers_that_tell_nothing_are_503(tmp_path, daemon, what):
    with FakeKeystone(tmp_path / "fake", lambda *a: ODD[what]) as fake:
        d = daemon(edit=with_keystone(fake.config()))
        unavailable(d, fernet_shaped(1))


def test_answers_that_refuse(tmp_path, daemon):
    with FakeKeystone(tmp_path / "fake") as fake:
        d = daemon(edit=with_keystone(fake.config(groups=["userGroup"])))
        for answer, why in [
                ((404, {"error": {"code": 404}}), "badToken"),
                ((401, {"error": {"code": 401}}), "badToken"),
                ((403, {"error": {"code": 403}}), "forbidden"),
                ((200, token_body(expires_at="2020-01-01T00:00:00.000000Z")), "expired"),
                ((200, token_body(oauth2_credential={"x5t#S256": "x"})), "boundToken"),
                ((200, token_body(**{"OS-OAUTH1": {}})), "delegated"),
                ((200, token_body(application_credential={"id": "x", "access_rules": []})),
                 "accessRules"),
        ]:
            fake.answer = lambda method, path, *a, answer=answer: (
                (200, {"groups": []}) if path.endswith("/groups") else answer)
            refused(d, fernet_shaped(1), why)
        fake.answer = lambda method, path, *a: (
            (200, {"groups": [], "truncated": True}) if path.endswith("/groups")
            else (200, token_body()))
        refused(d, fernet_shaped(2), "tooManyGroups")
        fake.answer = lambda method, path, *a: (
            (200, {"groups": [], "links": {"next": "https://x/v3/users/u/groups?marker=g&limit=1"}})
            if path.endswith("/groups") else (200, token_body()))
        refused(d, fernet_shaped(3), "tooManyGroups")


def test_reserved_names_never_leave(tmp_path, daemon):
    def person(name):
        return lambda method, path, *a: (200, token_body(
            user={"id": "u", "name": name, "domain": {"id": "d", "name": "Default"}},
            roles=[{"name": "system:masters"}, {"name": "fine"}]))
    with FakeKeystone(tmp_path / "fake", person("system:admin")) as fake:
        d = daemon(tokens={}, edit=with_keystone(fake.config(
            names="plain", domains=["Default"], usernamePrefix="", groupsPrefix="", groups=["role"],
            projects=["Default/team"])))
        refused(d, fernet_shaped(1), "reservedName")
        fake.answer = person("jane")
        user = d.user_of(fernet_shaped(2))
        assert user["username"] == "jane" and user["groups"] == ["fine"]


def test_wrong_authority_gets_no_token(tmp_path, daemon):
    with FakeKeystone(tmp_path / "fake") as fake:
        other = pki.CA(tmp_path / "other", "other-ca")
        d = daemon(edit=with_keystone(fake.config(certificateAuthority=other.pem)))
        unavailable(d, fernet_shaped(1))
        assert fake.asked == []


def test_second_keystone_is_asked_about_what_the_first_does_not_know(tmp_path, daemon):
    unknown = (404, {"error": {"code": 404}})
    with FakeKeystone(tmp_path / "one", lambda *a: unknown) as one, \
            FakeKeystone(tmp_path / "two") as two:
        d = daemon(edit=with_keystone(one.config(name="one", usernamePrefix="one:"),
                                      two.config(name="two", usernamePrefix="two:")))
        assert d.user_of(fernet_shaped(1))["username"] == "two:Default/alice"
        assert len(one.asked) == len(two.asked) == 1
        two.answer = lambda *a: unknown
        refused(d, fernet_shaped(2), "badToken")


def test_explain_tells_each_check(tmp_path, daemon):
    with FakeKeystone(tmp_path / "fake") as fake:
        d = daemon(edit=with_keystone(fake.config(domains=["Default"], projects=["Default/team"])),
                   start=False)

        def explain():
            got = run([os.path.join(BUILD, "portcullis"), "token", "explain", "--config", d.config_path],
                      stdin=fernet_shaped(1))
            assert fernet_shaped(1) not in got.stdout + got.stderr
            return got
        assert explain().returncode == 0
        for answer, check in [
                ((200, token_body(project=None, roles=None)), "scope"),
                ((200, token_body(roles=[])), None),
                ((200, token_body(user={"id": "11" * 16, "name": "alice", "domain": {"id": "x", "name": "Other"}})),
                 "domain"),
                ((200, token_body(project={"id": "22" * 16, "name": "other",
                                           "domain": {"id": "default", "name": "Default"}})), "project"),
                ((401, {"error": {"code": 401}}), "keystone"), ((502, b""), "keystone")]:
            fake.answer = lambda *a, answer=answer: answer
            got = explain()
            assert got.returncode == (1 if check else 0), got
            assert check is None or f"FAILED {check}" in got.stdout, got.stdout


def test_example_passes_the_check(tmp_path):
    """deploy/examples/keystone.yaml, with the certificates an admin puts beside it."""
    with open(os.path.join(TOP, "deploy", "examples", "keystone.yaml"), encoding="utf-8") as f:
        text = f.read()
    ca = pki.CA(tmp_path / "pki", "client-ca")
    ca.server("server")
    pki.CA(tmp_path / "pki", "openstack-ca")
    config = tmp_path / "portcullis.yaml"
    config.write_text(text, encoding="utf-8")
    got = run([os.path.join(BUILD, "portcullis"), "check", "--config", config])
    assert got.returncode == 0, got.stdout + got.stderr
