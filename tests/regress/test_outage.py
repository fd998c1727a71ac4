"""An issuer or a directory that is down: 503 within the deadline for those who need it, nothing for the others."""
import socket
import time

import pytest

from support import oidc, slapd
from support.ports import free_port
from support.proc import wait_until

BOB = "token-bob-41d0"
DEADLINE = 2.0


def with_deadline(doc):
    doc["webhook"]["deadline"] = f"{int(DEADLINE)}s"


def answers_others(d):
    """What must go on whatever is down."""
    assert d.user_of(BOB)["username"] == "bob"
    assert d.user_of("garbage") is None
    assert d.verdict("bob", groups=["dev"], namespace="team-a") == "allow"
    assert d.verdict("bob", groups=["dev"], namespace="kube-system") == "deny"


def assert_unavailable(got, *secrets):
    """503 whose body is a v1 Status with a short message, and no Retry-After."""
    assert got.status == 503, got
    assert got.headers.get("Retry-After") is None
    doc = got.json
    assert (doc["apiVersion"], doc["kind"], doc["status"]) == ("v1", "Status", "Failure")
    assert doc["message"] and len(doc["message"]) < 300
    assert doc.get("code") == 503
    for s in secrets:
        assert s not in got.text


class BlackHole:
    """Accepts connections and never says a word."""

    def __init__(self, port):
        self.sock = socket.create_server(("127.0.0.1", port), backlog=64)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()


def timed(call):
    start = time.monotonic()
    got = call()
    return got, time.monotonic() - start


@pytest.fixture
def own_issuer(tmp_path):
    with oidc.Issuer(tmp_path / "issuer") as i:
        yield i


@pytest.fixture
def own_directory(tmp_path):
    with slapd.Slapd(tmp_path / "slapd") as s:
        yield s


def test_issuer_that_was_never_up(daemon, own_issuer):
    """Its tokens cannot be decided; when it comes, they are, without a restart of anything."""
    token = own_issuer.id_token("bob")
    own_issuer.stop()
    d = daemon(jwt=[own_issuer.config()], edit=with_deadline)
    got, took = timed(lambda: d.token_review(token))
    assert_unavailable(got, token)
    assert took < DEADLINE + 5  # the deadline and a loaded machine; the apiserver's own limit is 30 s
    answers_others(d)
    own_issuer.start()
    wait_until(lambda: d.token_review(own_issuer.id_token("bob")).status == 200, "the issuer to be seen")
    assert d.user_of(own_issuer.id_token("bob"))["username"] == "oidc:bob@example.com"


def test_issuer_that_hangs(daemon, own_issuer):
    token = own_issuer.id_token("bob")
    own_issuer.stop()
    with BlackHole(own_issuer.port):
        d = daemon(jwt=[own_issuer.config()], edit=with_deadline)
        got, took = timed(lambda: d.token_review(token))
        assert_unavailable(got, token)
        assert took < DEADLINE + 5
        answers_others(d)


def test_issuer_that_went_away_keys_stay_known(daemon, own_issuer):
    d = daemon(jwt=[own_issuer.config()], edit=with_deadline)
    token = own_issuer.id_token("bob")
    assert d.user_of(token)["username"] == "oidc:bob@example.com"
    own_issuer.stop()
    assert d.user_of(token)["username"] == "oidc:bob@example.com"
    answers_others(d)


def test_directory_down(daemon, own_directory):
    password = own_directory.people["bob"][0]
    d = daemon(ldap=[own_directory.config(cacheTTL="0s", timeout="1s")], edit=with_deadline)
    token = d.login_token("bob", password)
    assert d.user_of(token)["username"] == "corp:bob"
    own_directory.stop()
    got, took = timed(lambda: d.login("bob", password))
    assert got.status == 503, got
    assert password not in got.text
    assert took < DEADLINE + 8
    got, took = timed(lambda: d.token_review(token))
    assert_unavailable(got, token)
    assert took < DEADLINE + 5
    answers_others(d)
    own_directory.start()
    wait_until(lambda: d.login("bob", password).status == 200, "the directory to be seen again")
    assert d.user_of(token)["username"] == "corp:bob"


def test_directory_that_hangs(daemon, own_directory):
    """All its connections accepted and silent: logins wait, nobody else does."""
    port = free_port()
    with BlackHole(port):
        d = daemon(ldap=[own_directory.config(urls=[f"ldaps://127.0.0.1:{port}"], timeout="1s")],
                   edit=with_deadline)
        got, took = timed(lambda: d.login("bob", "x"))
        assert got.status == 503, got
        assert took < DEADLINE + 8
        answers_others(d)


def test_second_directory_server_takes_over(daemon, own_directory):
    dead = f"ldaps://127.0.0.1:{free_port()}"
    d = daemon(ldap=[own_directory.config(urls=[dead, own_directory.tls_url])])
    token = d.login_token("bob", own_directory.people["bob"][0])
    assert d.user_of(token)["username"] == "corp:bob"


def test_account_deleted_in_the_directory(daemon, own_directory):
    """The token outlives the account by no more than the cache."""
    own_directory.add_person("temp", "temp-secret-1", ["dev"])
    d = daemon(ldap=[own_directory.config(cacheTTL="0s")])
    token = d.login_token("temp", "temp-secret-1")
    assert d.user_of(token)["groups"] == ["corp:dev"]
    own_directory.delete_person("temp")
    wait_until(lambda: d.user_of(token) is None, "the deleted account to be refused")


def test_keys_rotated_under_logins(daemon, own_issuer):
    """Each token signed by a new key is accepted the first time it is shown."""
    d = daemon(jwt=[own_issuer.config()])
    assert d.user_of(own_issuer.id_token("bob"))
    own_issuer.rotate(keep=True)
    assert d.user_of(own_issuer.id_token("bob"))["username"] == "oidc:bob@example.com"
