"""Rows 28 to 43 and 46: what a rightly signed token may say, and who it may name."""
import json
import time

import pytest

from support import tokens
from support.attacks import AUDIENCE, STRICT, URL_A, Gate
from support.fakeissuer import FakeIssuer, Listener

MAIL, GOOGLE = "https://mail.example.com", "https://accounts.google.com"
ACCESS, KEYS = "https://access.example.com", "https://keys.example.com"
UAA, SYS, PATHS = "https://uaa.example.com/oauth/token", "https://sys.example.com", "https://paths.example.com"


@pytest.fixture(name="says", scope="module")
def _says(gate, site):
    """says(reason…, claim=value…): the token is refused for that; says(user="x", …): accepted as that."""
    def ask(*reasons, user=None, iss=URL_A, drop=(), header=None, raw=None, **claims):
        doc = site.claims(iss, drop=drop, **claims)
        text = tokens.text_of(doc)
        if raw is not None:  # members as text: what JSON of Python cannot say
            text = "{" + raw + "," + json.dumps({k: v for k, v in doc.items() if f'"{k}"' not in raw})[1:]
        token = site.rsa.token(text, **(header or {}))
        if user is None:
            return gate.refused(token, *reasons)
        got = gate.accepted(token)
        assert got["username"] == user
        return got
    return ask


# --- times ---

@pytest.mark.attack("28")
def test_expiry_must_be_a_whole_number(says):
    says(user="a:jane")
    says("expired", drop=["exp"])
    for exp in (None, "9999999999", "", [], {}, True, False, 1.5, 9999999999.0, 9999999999.5):
        says("badClaim", "expired", exp=exp)
    for exp in (0, -1, -2 ** 63, 1):
        says("expired", "badClaim", exp=exp)
    for exp in (2 ** 53 + 1, 2 ** 62, 2 ** 63 - 1):
        says("badClaim", exp=exp)
    for raw in ("1e300", "1e20", "-1e300", "1E10", "9223372036854775808", "-9223372036854775809",
                "99999999999999999999", "1e999", "NaN", "Infinity", "-Infinity", "0x7fffffff", "+9999999999",
                "09999999999"):
        says("badClaim", "noMatch", raw=f'"exp":{raw}')
    says(user="a:jane", exp=2 ** 53)


@pytest.mark.attack("29")
def test_expiry_is_the_first_moment_too_late(says):
    now = int(time.time())
    for exp in (now, now - 1, now - 59, now - 301, now - 86400):
        says("expired", exp=exp)
    says(user="a:jane", exp=int(time.time()) + 30)
    # With a leeway of 30 s.
    person = {"iss": STRICT, "email": "jane@corp.com", "email_verified": True, "hd": "corp.com"}
    now = int(time.time())
    says(user="strict:jane@corp.com", exp=now, **person)
    for exp in (now - 31, now - 90):
        says("expired", exp=exp, **person)


@pytest.mark.attack("30")
def test_not_before(says):
    now = int(time.time())
    for nbf in (now + 90, now + 301, now + 3600, now * 1000):
        says("notYetValid", nbf=nbf)
    for nbf in ("1", None, [], 1.5, True, {}, 2 ** 53 + 1):
        says("badClaim", nbf=nbf)
    says(user="a:jane", nbf=now + 30)
    says(user="a:jane", nbf=0)


@pytest.mark.attack("31")
def test_issued_in_the_future_or_in_milliseconds(says):
    now = int(time.time())
    for iat in (now + 400, now + 86400, now * 1000):
        says("notYetValid", iat=iat)
    for iat in ("now", None, [], 1.5, True):
        says("badClaim", iat=iat)
    says(user="a:jane", iat=now + 200)
    says(user="a:jane", drop=["iat"])


# --- whose ---

@pytest.mark.attack("32")
def test_the_issuer_is_compared_byte_for_byte(says):
    host = "a.example.com"
    for iss in (URL_A + "/", "https://A.example.com", "HTTPS://" + host, "http://" + host, host, URL_A + ":443",
                URL_A + ".evil.example", URL_A[:-1], URL_A + "?x", URL_A + "#", URL_A + "/.", "https://a.example.co",
                "https://a.exampl\u0435.com", "https://\uff41.example.com", "https://a.example.com\u200b",
                " " + URL_A, URL_A + " ", URL_A + "\n", "https://b.example.com@a.example.com", "", "*"):
        says("noMatch", iss=iss)
    for iss in (None, 5, True, [URL_A], {"url": URL_A}, [[URL_A]]):
        says("noMatch", iss=iss)
    says("noMatch", drop=["iss"])
    says(user="a:jane", raw=r'"iss":"https:\/\/a.example.com"')


@pytest.mark.attack("33")
def test_the_audience_is_one_of_ours(says):
    says("badAudience", drop=["aud"])
    for aud in ("", [], [""], "kubernete", "kubernetes2", "Kubernetes", " kubernetes", "kubernetes ", "kubernetes,x",
                "x kubernetes", ["x"], ["KUBERNETES"], "*", ["*"], "https://kubernetes.default.svc"):
        says("badAudience", aud=aud)
    for aud in (None, 5, True, {"kubernetes": 1}, {"aud": AUDIENCE}, [5], [None], [[AUDIENCE]], [AUDIENCE, 5],
                [AUDIENCE, None], [{"a": AUDIENCE}]):
        says("badClaim", "badAudience", aud=aud)
    says(user="a:jane", aud=["x", AUDIENCE])


@pytest.mark.attack("34")
def test_a_token_made_for_another_client(says):
    person = {"iss": STRICT, "email": "jane@corp.com", "email_verified": True, "hd": "corp.com"}
    both = {"aud": [AUDIENCE, "other"], **person}
    says("badParty", azp=None, **both)
    for azp in ("other", "", "KUBERNETES", "kubernetes ", 5, ["kubernetes"], {"kubernetes": 1}, True):
        says("badParty", "badClaim", azp=azp, **both)
        says("badParty", "badClaim", azp=azp, **person)
    says("badParty", **both)  # of two audiences none is told to be the party
    for azp in ("kubernetes", "dashboard"):
        says(user="strict:jane@corp.com", azp=azp, **both)
    says(user="strict:jane@corp.com", **person)
    says(user="a:jane", azp="other")  # nobody asked


@pytest.mark.attack("35")
def test_only_id_tokens(says):
    for typ in ("at+jwt", "application/at+jwt", "AT+JWT", "logout+jwt", "secevent+jwt", "dpop+jwt", "JWS", "JOSE",
                "JWT ", "x"):
        says("tokenKind", header={"typ": typ})
    for typ in (5, None, ["JWT"]):
        says("badHeader", header={"typ": typ})
    for typ in ("Bearer", "Refresh", "Offline", "Logout", "at+jwt", "", 5, None, ["ID"]):
        says("tokenKind", typ=typ)
    for events in ({}, {"http://schemas.openid.net/event/backchannel-logout": {}}, [], None):
        says("tokenKind", events=events)
    # A client of UAA by itself: there is no person in it.
    says("badUsername", iss=UAA, client_id="app", cid="app", azp="app", grant_type="client_credentials")
    says(user="uaa:joe", iss=UAA, user_name="joe")
    # And where access tokens are meant, no ID tokens.
    says("tokenKind", iss=ACCESS)
    for typ in ("JWT", "logout+jwt"):
        says("tokenKind", iss=ACCESS, header={"typ": typ})
    for typ in ("ID", "Refresh"):
        says("tokenKind", iss=ACCESS, header={"typ": "at+jwt"}, typ=typ)
    says(user="access:jane", iss=ACCESS, header={"typ": "at+jwt"}, client_id="app", jti="1")
    for drop in ("jti", "client_id", "iat", "sub"):
        says("tokenKind", iss=ACCESS, header={"typ": "at+jwt"},
             **{k: v for k, v in {"client_id": "app", "jti": "1"}.items() if k != drop}, drop=[drop])
    for typ in ("JWT", "jwt", "application/jwt"):
        says(user="a:jane", header={"typ": typ})
    says(user="a:jane", typ="ID")


@pytest.mark.attack("36")
def test_tokens_of_service_accounts_reach_no_issuer(tmp_path, ca, site):
    with FakeIssuer(ca, keys=tokens.jwks(site.rsa)) as issuer:
        with Gate(tmp_path / "gate", jwt=[issuer.config()]) as gate:
            assert gate.accepted(site.rsa.token(site.claims(issuer.url)))
            seen = len(issuer.seen)
            for iss in ("https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local",
                        "kubernetes/serviceaccount"):
                for kid in ("rsa", "another"):
                    gate.refused(site.b.token(site.claims(
                        iss, sub="system:serviceaccount:a:b",
                        **{"kubernetes.io": {"namespace": "a", "serviceaccount": {"name": "b", "uid": "1"}}}),
                        header={"alg": "RS256", "kid": kid}), "noMatch")
            assert len(issuer.seen) == seen


@pytest.mark.attack("37")
def test_a_retired_key_is_gone_with_the_next_read(tmp_path, ca, site):
    new = tokens.Key("RSA", "new")
    with FakeIssuer(ca, keys=tokens.jwks(site.rsa)) as issuer:
        with Gate(tmp_path / "gate", jwt=[issuer.config()]) as gate:
            claims = site.claims(issuer.url, iat=int(time.time()) - 60)
            assert gate.accepted(site.rsa.token(claims))
            issuer.pages["/jwks"] = tokens.jwks(new)
            assert gate.accepted(new.token(claims))  # unknown: read at once
            gate.refused(site.rsa.token(claims), "unknownKey")


# --- who ---

@pytest.mark.attack("38")
def test_an_address_counts_when_it_is_verified(says):
    address = {"iss": MAIL, "email": "jane@example.com"}
    says(user="mail:jane@example.com", email_verified=True, **address)
    for value in (False, "true", "false", 1, 0, None, "", [], [True], {}, "True"):
        says("emailNotVerified", email_verified=value, **address)
    for email in ("", None, 5, ["jane@example.com"], {"a": "jane@example.com"}):
        says("badUsername", iss=MAIL, email=email, email_verified=True)
    says("badUsername", iss=MAIL, email_verified=True)
    # Where it is asked for, it must be there.
    person = {"iss": STRICT, "email": "jane@corp.com", "hd": "corp.com"}
    says("emailNotVerified", **person)
    for value in (False, "true", 1, None):
        says("emailNotVerified", email_verified=value, **person)
    says(user="strict:jane@corp.com", email_verified=True, **person)


@pytest.mark.attack("39")
def test_google_addresses_count_with_their_hosted_domain(says):
    person = {"iss": GOOGLE, "email": "jane@corp.com", "email_verified": True}
    says(user="google:jane@corp.com", hd="corp.com", **person)
    says("requiredClaim", **person)
    for hd in ("other.com", "", "CORP.COM", "corp.com.evil.example", "evil-corp.com", " corp.com", None, 5,
               ["corp.com"], {"corp.com": True}, True):
        says("requiredClaim", hd=hd, **person)
    strict = {"iss": STRICT, "email": "jane@corp.com", "email_verified": True}
    says(user="strict:jane@corp.com", hd="corp.com", **strict)
    says("hostedDomain", **strict)
    for hd in ("other.com", "", "CORP.COM", "evil-corp.com", None, 5, ["corp.com"], True):
        says("hostedDomain", hd=hd, **strict)
    # Google's second name for itself is the only one that any issuer has.
    person.pop("iss")
    says(user="google:jane@corp.com", iss="accounts.google.com", hd="corp.com", **person)
    for iss in ("http://accounts.google.com", "accounts.google.com/", "Accounts.google.com", "https://google.com",
                "a.example.com", URL_A + "/", "accounts.google.com.evil.example"):
        says("noMatch", iss=iss, hd="corp.com", **person)


@pytest.mark.attack("40")
def test_user_names_are_short_printable_strings(says):
    says("badUsername", drop=["sub"])
    for sub in ("", None, 5, 5.5, True, [], ["jane"], {"name": "jane"}, "x" * 1025, "x" * 40000, "jane\n", "ja\rne",
                "ja\tne", "\x1b[31mjane", "ja\u202ene", "ja\u2066ne", "jane\u200f", "jane\x7f", "ja\u0085ne",
                "jane\u2028", "ja\u200bne", "\ufeffjane"):
        says("badUsername", sub=sub)
    says(user="a:" + "x" * 1022, sub="x" * 1022)
    says(user="a:J\u00f6rg / \u4e2d", sub="J\u00f6rg / \u4e2d")


@pytest.mark.attack("41")
def test_reserved_user_names(tmp_path, says, site):
    # Put together from a prefix and a name.
    for sub in ("tem:admin", "tem:serviceaccount:kube-system:x", "tem:masters", "tem:", "TEM:admin"):
        says("reservedName", iss=SYS, sub=sub)
    says(user="systematic", iss=SYS, sub="tematic")
    with Gate(tmp_path / "bare", tokens={}, jwt=[site.entry(URL_A, "a", "")]) as gate:
        for sub in ("system:admin", "system:serviceaccount:kube-system:x", "system:node:n", "SYSTEM:admin",
                    "System:masters", "system:", "system:anonymous", "system:kube-controller-manager", "kubeadm:x",
                    "kubernetes-admin", "KUBERNETES-ADMIN", "portcullis-rbac-sync", "portcullis-intake:node-1"):
            gate.refused(site.rsa.token(site.claims(sub=sub)), "reservedName")
        assert gate.accepted(site.rsa.token(site.claims(sub="xsystem:admin")))["username"] == "xsystem:admin"
        assert gate.metric("portcullis_reserved_names_total", kind="user") >= 11


@pytest.mark.attack("42")
def test_reserved_and_strange_groups(tmp_path, says, site):
    with Gate(tmp_path / "bare", tokens={}, jwt=[site.entry(URL_A, "a", "")]) as gate:
        got = gate.accepted(site.rsa.token(site.claims(groups=[
            "dev", "system:masters", "system:nodes", "SYSTEM:Masters", "kubeadm:cluster-admins", "dev", "", "ops",
            "system:", "portcullis-intake"])))
        assert got["groups"] == ["dev", "ops"]
        assert gate.metric("portcullis_reserved_names_total", kind="group") == 6
    assert says(user="a:jane", groups=["b", "a", "b", ""])["groups"] == ["a:a", "a:b"]
    for groups in (["dev", 5], ["dev", None], [["dev"]], [{"name": "dev"}], 5, True, {"dev": True}, [True]):
        says("badGroups", groups=groups)
    for group in ("a\nb", "x" * 1100, "a\u202eb", "\x1b[0m"):
        says("badGroup", groups=["dev", group])
    says("tooManyGroups", groups=["a"] * 10001)
    says("tooLong", groups=["a"] * 100000)
    says(user="a:jane", groups=["a"] * 10000)


@pytest.mark.attack("43")
def test_a_claims_name_and_a_group_are_taken_as_they_are(says):
    assert says(user="a:jane", groups="dev,ops")["groups"] == ["a:dev,ops"]
    assert says(user="a:jane", groups="dev ops")["groups"] == ["a:dev ops"]
    says("badGroups", groups={"dev": {}})
    says("badGroups", groups=[["dev"], ["ops"]])
    got = says(user="keys:jane", iss=KEYS, realm_access={"roles": {"dev": {}, "system:masters": 1, "a,b": True}})
    assert got["groups"] == ["keys:a,b", "keys:dev", "keys:system:masters"]
    for claims in ({"realm_access.roles": {"dev": 1}}, {"realm_access": {"roles.x": {"dev": 1}}},
                   {"roles": {"dev": 1}}):
        assert "groups" not in says(user="keys:jane", iss=KEYS, **claims)
    for roles in (["dev"], "dev", 5, True, {"dev": False}, {"dev": None, "ops": 1}):
        says("badGroups", iss=KEYS, realm_access={"roles": roles})
    assert says(user="paths:jane", iss=PATHS, **{"https://ex.com/groups": ["dev"]})["groups"] == ["paths:dev"]
    for claims in ({"https://ex": {"com/groups": ["dev"]}}, {"groups": ["dev"]},
                   {"https://ex.com": {"groups": ["dev"]}}, {"https:": {"": {"ex.com": {"groups": ["dev"]}}}}):
        assert "groups" not in says(user="paths:jane", iss=PATHS, **claims)


@pytest.mark.attack("46")
def test_only_listed_endpoints_are_asked(tmp_path, ca, site):
    """Where groups may be fetched, a token cannot make us fetch them from somewhere else."""
    url = "https://far.example.com"
    with FakeIssuer(ca) as mine, FakeIssuer(ca) as other, Listener() as evil:
        mine.pages["/groups/jane"] = (200, {"Content-Type": "application/jwt"}, site.rsa.token(
            site.claims(url, groups=["dev"])).encode())
        entry = site.entry(url, "a", "far:", groups={
            "claim": "groups", "prefix": "far:", "distributed": {
                "endpoints": [mine.url + "/groups/"], "certificateAuthority": ca.pem}})
        with Gate(tmp_path / "gate", jwt=[entry]) as gate:
            def token(endpoint):
                return site.rsa.token(site.claims(url, _claim_names={"groups": "s"}, _claim_sources={
                    "s": {"endpoint": endpoint, "access_token": "x"}}))
            assert gate.accepted(token(mine.url + "/groups/jane"))["groups"] == ["far:dev"]
            host = mine.url[len("https://"):]
            for endpoint in (
                    other.url + "/groups/jane", f"https://127.0.0.1:{evil.port}/groups/jane", mine.url + "/groups",
                    f"http://{host}/groups/jane", mine.url + "/other", mine.url + "/groups/../jwks",
                    mine.url + "/groups/%2e%2e/jwks", mine.url + "/groups/./../jwks", mine.url + "/groups/\\..\\jwks",
                    f"https://{host}@127.0.0.1:{evil.port}/groups/jane", f"https://x@{host}/groups/jane",
                    mine.url.upper() + "/groups/jane", mine.url + "/groups/a b", mine.url + "/groups/jane\n",
                    mine.url + f"/groups/\r\nHost: 127.0.0.1:{evil.port}", mine.url + "//groups/jane",
                    f"https://127.0.0.1:{evil.port}/?x={mine.url}/groups/", "", "groups/jane"):
                gate.refused(token(endpoint), "distributedClaims")
            # From a listed one nothing leads on.
            mine.pages["/groups/away"] = (302, {"Location": f"https://127.0.0.1:{evil.port}/"}, b"")
            gate.unavailable(token(mine.url + "/groups/away"), "claimsUnavailable")
            assert other.seen == [] and evil.calls == 0
            assert set(mine.seen) == {"/groups/jane", "/groups/away"}


@pytest.mark.attack("46")
def test_endpoints_in_a_token_are_not_asked(says):
    with Listener() as evil:
        for endpoint in (f"http://127.0.0.1:{evil.port}/x", f"https://127.0.0.1:{evil.port}/x",
                         "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd",
                         f"gopher://127.0.0.1:{evil.port}/"):
            says("distributedClaims", _claim_names={"groups": "src1"},
                 _claim_sources={"src1": {"endpoint": endpoint, "access_token": "x"}})
            # For a claim that is not asked for, or that is there: no harm.
            says(user="a:jane", _claim_names={"address": "src1"}, _claim_sources={"src1": {"endpoint": endpoint}})
            says(user="a:jane", groups=["dev"], _claim_names={"groups": "src1"},
                 _claim_sources={"src1": {"endpoint": endpoint}})
        says("distributedClaims", _claim_names={"groups": "src1"})
        assert evil.calls == 0
