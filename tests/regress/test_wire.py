"""The ten behaviours at the wire that the apiserver and its users rely on, one section each."""
import json
import os
import ssl

import pytest

from support import pki
from support.https import Client, tls_context
from support.portcullisd import API_AUDIENCE, POLICY
from support.proc import wait_until

ALICE, BOB = "token-alice-9f2c", "token-bob-41d0"


@pytest.fixture(scope="module")
def d(tmp_path_factory, issuer):
    """One daemon for the tests that change nothing."""
    from support.portcullisd import Portcullisd
    with Portcullisd(tmp_path_factory.mktemp("wire"), jwt=[issuer.config()]) as made:
        yield made
    assert made.process.popen.returncode == 0, made.process.tail()


def status_of(got):
    assert got.status == 200, got
    return got.json["status"]


# --- 1: both versions, echoed; group and groups; the query is ignored ---

@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_1_token_review_in_both_versions(d, version):
    got = d.token_review(BOB, version=version)
    doc = got.json
    assert (doc["apiVersion"], doc["kind"]) == (f"authentication.k8s.io/{version}", "TokenReview")
    assert doc["status"]["user"] == {"username": "bob", "uid": "1002", "groups": ["dev"]}
    assert got.headers["Content-Type"].split(";")[0] == "application/json"


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_1_access_review_in_both_versions(d, version):
    got = d.access_review("bob", groups=["dev"], namespace="team-a", version=version)
    doc = got.json
    assert (doc["apiVersion"], doc["kind"]) == (f"authorization.k8s.io/{version}", "SubjectAccessReview")
    assert doc["status"]["allowed"] is True
    # The other version's key is not a group list here.
    wrong = {"apiVersion": f"authorization.k8s.io/{version}", "kind": "SubjectAccessReview",
             "spec": {"user": "bob", "group" if version == "v1" else "groups": ["dev"],
                      "resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "team-a"}}}
    assert status_of(d.raw("/authorize", json.dumps(wrong).encode()))["allowed"] is False


def test_1_the_query_is_ignored(d):
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": BOB}}
    for query in ("", "?timeout=30s", "?", "?timeout=1ms&x=%zz"):
        assert status_of(d.raw("/authenticate" + query, json.dumps(body).encode()))["authenticated"] is True


# --- 2: a refused token is a clean 200 ---

@pytest.mark.parametrize("token", ["nobody-knows-it", "a.b.c", " ", "\u00e9\n\t", "x" * 70000,
                                   "eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0."])
def test_2_refused_is_200_without_error(d, token):
    got = d.token_review(token)
    assert got.status == 200
    assert got.json["status"] == {"authenticated": False}


def test_2_the_reason_is_in_audit_and_metrics(d, issuer):
    head, claims, signature = issuer.id_token("bob").split(".")
    before = len(d.audit("authn.review"))
    metrics = d.metrics()
    got = d.token_review(f"{head}.{claims}.{signature[:-10]}AAAAAAAAAA")
    assert got.json["status"] == {"authenticated": False}
    record = d.wait_audit("authn.review", after=before)
    assert record["decision"] == "refused" and record["reason"]
    changed = [k for k, v in d.metrics().items() if v > metrics.get(k, 0)]
    assert any(record["reason"] in k or "refused" in k for k in changed), changed


# --- 3: cannot decide: 503 with a Status ---

def test_3_without_a_policy_access_reviews_get_503_and_tokens_go_on(daemon):
    d = daemon(policy=False, start=False)
    d.start(ready=False)
    with d.ops() as c:
        assert c.get("/readyz").status == 503
        assert c.get("/livez").status == 200
    got = d.access_review("bob", groups=["dev"], namespace="team-a")
    assert got.status == 503 and got.headers.get("Retry-After") is None
    doc = got.json
    assert (doc["kind"], doc["apiVersion"], doc["status"]) == ("Status", "v1", "Failure")
    assert 0 < len(doc["message"]) < 300
    assert d.user_of(BOB)["username"] == "bob"
    d.write_policy(POLICY)
    d.process.wait_for(d.ready, "the first policy to be loaded")
    assert d.verdict("bob", groups=["dev"], namespace="team-a") == "allow"


# --- 4: what is no review ---

TOKEN_REVIEW = b'{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"x"}}'
BAD = [
    ("POST", "/authenticate", b"{", {}, 400),
    ("POST", "/authenticate", b"", {}, 400),
    ("POST", "/authenticate", b"[]", {}, 400),
    ("POST", "/authenticate", TOKEN_REVIEW + b"x", {}, 400),
    ("POST", "/authenticate", TOKEN_REVIEW.replace(b"TokenReview", b"SubjectAccessReview"), {}, 400),
    ("POST", "/authenticate", TOKEN_REVIEW.replace(b"/v1", b"/v2"), {}, 400),
    ("POST", "/authenticate", TOKEN_REVIEW.replace(b'"x"', b"17"), {}, 400),
    ("POST", "/authenticate", b"\xff" + TOKEN_REVIEW, {}, 400),
    ("POST", "/authenticate", b"[" * 100000, {}, 400),
    ("POST", "/authenticate", TOKEN_REVIEW.replace(b'"x"', b'"\\u0000"'), {}, 400),
    ("POST", "/authorize", TOKEN_REVIEW, {}, 400),
    ("POST", "/authenticate", b" " * (1 << 20) + TOKEN_REVIEW, {}, 413),
    ("GET", "/authenticate", None, {}, 405),
    ("PUT", "/authorize", TOKEN_REVIEW, {}, 405),
    ("DELETE", "/authorize", None, {}, 405),
    ("POST", "/", TOKEN_REVIEW, {}, 404),
    ("POST", "/authenticate/x", TOKEN_REVIEW, {}, 404),
    ("GET", "/metrics", None, {}, 404),
    ("POST", "/authenticate", TOKEN_REVIEW, {"Content-Type": "text/plain"}, 415),
    ("POST", "/authenticate", TOKEN_REVIEW, {"Content-Type": "application/vnd.kubernetes.protobuf"}, 415),
]


@pytest.mark.parametrize("method,path,body,headers,want", BAD)
def test_4_what_is_no_review_is_told_so(d, method, path, body, headers, want):
    with d.client() as c:
        headers = {"Content-Type": "application/json", **headers}
        got = c.request(method, path, body=body, headers=headers)
        assert got.status == want, got
        assert got.text.count("\n") <= 1
        assert isinstance(got.json, dict)
    assert d.user_of(BOB)["username"] == "bob"


def test_4_unknown_fields_and_charset_are_no_error(d):
    body = json.loads(TOKEN_REVIEW)
    body["spec"]["token"] = BOB
    body["spec"]["new"] = {"deep": [1, 2.5, None, True]}
    body["metadata"] = {"creationTimestamp": None, "annotations": {"a": "b"}}
    got = d.raw("/authenticate", json.dumps(body).encode(),
                headers={"Content-Type": "application/json; charset=utf-8"})
    assert status_of(got)["authenticated"] is True


# --- 5: audiences: the intersection, never an echo ---

@pytest.mark.parametrize("asked,want", [
    ((API_AUDIENCE,), [API_AUDIENCE]),
    ((API_AUDIENCE, "vault"), [API_AUDIENCE]),
    (("vault", API_AUDIENCE, API_AUDIENCE), [API_AUDIENCE]),
    ((), None),
])
def test_5_audiences_are_the_intersection(d, asked, want):
    status = status_of(d.token_review(BOB, audiences=asked))
    assert status["authenticated"] is True
    assert status.get("audiences") == want


def test_5_a_token_is_no_good_for_a_foreign_audience(d):
    assert status_of(d.token_review(BOB, audiences=("vault",))) == {"authenticated": False}


# --- 6: reserved identities ---

def test_6_reserved_names_never_leave(daemon):
    d = daemon(tokens={
        "t-system": ("system:admin", "1", ["dev"]), "t-kubeadm": ("kubeadm:x", "2", []),
        "t-admin": ("kubernetes-admin", "3", []),
        "t-groups": ("eve", "4", ["dev", "system:masters", "kubeadm:cluster-admins", "system:nodes"])})
    for token in ("t-system", "t-kubeadm", "t-admin"):
        assert status_of(d.token_review(token)) == {"authenticated": False}
    assert d.user_of("t-groups")["groups"] == ["dev"]
    assert any(v >= 3 for k, v in d.metrics().items() if "reserved" in k), "dropped groups are not counted"


def test_6_from_an_issuer_without_prefix(daemon, issuer):
    def bare(claim):
        return {"claimMappings": {"username": {"claim": claim, "prefix": ""},
                                  "groups": {"claim": "groups", "prefix": ""}}}
    d = daemon(jwt=[issuer.config(**bare("email"))], tokens={})
    assert d.user_of(issuer.id_token("mallory"))["groups"] == ["dev"]


# --- 7: the shape filter ---

def test_7_foreign_tokens_reach_no_issuer(daemon, issuer):
    d = daemon(jwt=[issuer.config()])
    assert d.user_of(issuer.id_token("bob"))
    before = issuer.fetches()
    foreign = ("eyJhbGciOiJSUzI1NiIsImtpZCI6InNhIn0."
               "eyJpc3MiOiJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMiLCJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6YTpiIn0."
               + "A" * 342)
    for _ in range(50):
        assert status_of(d.token_review(foreign)) == {"authenticated": False}
    assert issuer.fetches() == before


# --- 8: access reviews ---

def test_8_the_reason_names_effect_rule_generation_and_record(d):
    got = d.access_review("bob", groups=["dev"], namespace="kube-system", verb="delete")
    status = status_of(got)
    assert status["denied"] is True and status["allowed"] is False
    reason = status["reason"]
    assert reason.startswith("deny ") and "rule=protect-kube-system" in reason and "gen=1" in reason
    wanted = dict(w.split("=", 1) for w in reason.split() if "=" in w)["id"]
    record = d.wait_audit("authz.decision", lambda r: r["id"] == wanted)
    assert record["decision"] == "deny" and record["rule"] == "protect-kube-system"


@pytest.mark.parametrize("spec", [
    {"user": "bob", "groups": ["dev"]},
    {"user": "bob", "groups": ["dev"], "resourceAttributes": {"verb": "list", "resource": "pods"},
     "nonResourceAttributes": {"path": "/x", "verb": "get"}},
])
def test_8_both_or_neither_block_is_answered(d, spec):
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    status = status_of(d.raw("/authorize", json.dumps(body).encode()))
    assert status["allowed"] is False and not status.get("denied")
    assert status["evaluationError"]


def test_8_what_upstreams_own_test_sends_does_not_crash(d):
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "metadata": {"creationTimestamp": None},
            "spec": {"nonResourceAttributes": {}}, "status": {"allowed": False}}
    assert status_of(d.raw("/authorize", json.dumps(body).encode()))["allowed"] is False


# --- 9: connections and certificates ---

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_9_tls_1_2_and_1_3(d, version):
    ctx = tls_context(d.server_ca, d.apiserver, version, version)
    with Client(d.port, ctx) as c:
        assert d.token_review(BOB, client=c).status == 200
        assert c.conn.sock.version() == {771: "TLSv1.2", 772: "TLSv1.3"}[version]


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_9_older_tls_is_refused(d):
    ctx = tls_context(d.server_ca, d.apiserver)
    ctx.set_ciphers("DEFAULT:@SECLEVEL=0")
    ctx.minimum_version = ssl.TLSVersion.TLSv1
    ctx.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, OSError)):
        with Client(d.port, ctx) as c:
            d.token_review(BOB, client=c)


def refused(d, pair):
    """No verdict for this client: the connection fails, or the request is answered 403."""
    try:
        with d.client(pair) as c:
            got = d.token_review(BOB, client=c)
            return got.status == 403 and BOB not in got.text
    except (ssl.SSLError, OSError):
        return True


def test_9_only_the_apiserver_may_ask(d, tmp_path):
    foreign = pki.CA(tmp_path, "foreign-ca")
    assert refused(d, False), "no certificate"
    assert refused(d, foreign.client("kube-apiserver")), "foreign CA, right name"
    assert refused(d, d.client_ca.client("someone-else")), "right CA, other name"
    assert refused(d, d.client_ca.issue("kube-apiserver-x", cn="kube-apiserver.evil", usage="clientAuth"))
    assert refused(d, d.client_ca.issue("as-server", cn="kube-apiserver", usage="serverAuth"))
    by_san = d.client_ca.issue("by-san", cn="other", sans=("DNS:kube-apiserver",), usage="clientAuth")
    with d.client(by_san) as c:
        assert d.token_review(BOB, client=c).status == 200
    assert d.user_of(BOB)["username"] == "bob"


def test_9_certificate_and_client_ca_are_re_read_while_connections_stay(daemon):
    d = daemon()
    kept = d.client(reopen=False)
    assert d.user_of(BOB, client=kept)
    serial = kept.conn.sock.getpeercert()["serialNumber"]
    new_ca = pki.CA(d.path("pki"), "next-ca")
    new_client = new_ca.client("next", cn="kube-apiserver")
    assert refused(d, new_client)
    renewed = d.server_ca.server("renewed")
    os.replace(renewed.key, d.server.key)
    os.replace(renewed.crt, d.server.crt)
    os.replace(new_ca.crt, d.client_ca.crt)

    def seen():
        try:
            with d.client(new_client) as c:
                return (d.token_review(BOB, client=c).status == 200
                        and c.conn.sock.getpeercert()["serialNumber"] != serial)
        except OSError:
            return False
    wait_until(seen, "certificate and CA to be re-read")
    assert d.user_of(BOB, client=kept), "the old connection goes on"
    assert refused(d, d.apiserver), "new connections under the old CA do not"


def test_9_a_broken_certificate_keeps_the_old_one(daemon):
    d = daemon()
    with open(d.server.crt, "w", encoding="ascii") as f:
        f.write("-----BEGIN CERTIFICATE-----\nrubbish\n")
    d.reload()
    d.wait_log(r"server\.crt")
    with d.client() as c:
        assert d.user_of(BOB, client=c)


# --- 10: no secret leaves ---

def test_10_no_token_in_log_audit_metrics_or_errors(daemon, issuer):
    d = daemon(jwt=[issuer.config()])
    jwt = issuer.id_token("bob")
    secrets = [ALICE, BOB, jwt, jwt.split(".")[1], jwt.split(".")[2], "unknown-token-5533"]
    for token in (ALICE, BOB, jwt, "unknown-token-5533", jwt[:-4] + "AAAA"):
        d.token_review(token)
    # Broken on purpose right behind the token.
    answer = d.raw("/authenticate", TOKEN_REVIEW.replace(b'"x"', f'"{BOB}"'.encode())[:-3] + b"!").text
    with d.ops() as c:
        answer += c.get("/metrics").text + c.get("/readyz?verbose").text
    d.stop()
    with open(d.audit_path, encoding="utf-8") as f:
        everything = answer + f.read() + d.process.output()
    assert len(everything) > 1000
    for s in secrets:
        assert s not in everything, s
