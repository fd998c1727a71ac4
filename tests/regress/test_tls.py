"""TLS as clients meet it: who is refused and why, what is renewed while connections go on."""
import os
import re
import socket
import ssl
import subprocess
import time

import pytest

from support import pki
from support.https import Client, tls_context
from support.portcullisd import Load
from support.ports import free_port
from support.proc import DEADLINE, wait_until

BOB = "token-bob-41d0"
SETTLES = 0.2  # seconds in which a key and its certificate may come one after the other


def asks(d, client):
    with client as c:
        return d.token_review(BOB, client=c).status


def is_refused(d, client):
    try:
        return asks(d, client) is None
    except OSError:
        return True


def refusals(d, reason):
    return d.metric("portcullis_tls_refused_total", listener="webhook", reason=reason)


def issue_for(ca, folder, cn, start, end):
    """A client certificate for a span of time: the openssl command takes one only as a whole authority."""
    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=folder)
    (folder / "index.txt").write_text("")
    (folder / "ca.cnf").write_text("""[ca]
default_ca = x
[x]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = p
x509_extensions = e
[p]
commonName = supplied
[e]
extendedKeyUsage = clientAuth
""")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "x.key",
            "-out", "x.csr", "-subj", f"/CN={cn}")
    openssl("ca", "-batch", "-config", "ca.cnf", "-cert", ca.crt, "-keyfile", ca.key, "-in", "x.csr",
            "-out", "x.crt", "-startdate", start, "-enddate", end, "-notext")
    return pki.Pair(folder / "x.crt", folder / "x.key")


@pytest.mark.parametrize("name,reason", [
    ("none", "noCertificate"),
    ("foreign", "unknownCA"),
    ("name", "nameNotAllowed"),
    ("two names", "nameNotAllowed"),
    ("two names, other order", "nameNotAllowed"),
    ("purpose", "wrongPurpose"),
])
def test_each_refusal_is_counted_with_its_reason(daemon, tmp_path, name, reason):
    d = daemon()
    pair = {
        "none": lambda: False,
        "foreign": lambda: pki.CA(tmp_path, "foreign").client("kube-apiserver"),
        "name": lambda: d.client_ca.client("somebody"),
        # Readers differ on which one counts: Go, which a signer may be written in, takes the last.
        "two names": lambda: d.client_ca.client("two", cn="kube-apiserver/CN=somebody"),
        "two names, other order": lambda: d.client_ca.client("two", cn="somebody/CN=kube-apiserver"),
        "purpose": lambda: d.client_ca.issue("srv", cn="kube-apiserver", usage="serverAuth"),
    }[name]()
    assert is_refused(d, d.client(pair))
    wait_until(lambda: refusals(d, reason) >= 1, f"a refusal as {reason}")
    assert d.metric("portcullis_token_reviews_total") == 0
    d.wait_log(r'"msg":"client refused".*"reason":"' + reason)
    assert asks(d, d.client()) == 200
    assert d.metric("portcullis_tls_handshakes_total", listener="webhook") >= 1


@pytest.mark.parametrize("start,end,reason", [
    ("20200101000000Z", "20200102000000Z", "expired"),
    ("20480101000000Z", "20490101000000Z", "notYetValid"),
])
def test_a_client_certificate_out_of_its_time_is_refused(daemon, tmp_path, start, end, reason):
    d = daemon()
    pair = issue_for(d.client_ca, tmp_path, "kube-apiserver", start, end)
    assert is_refused(d, d.client(pair))
    wait_until(lambda: refusals(d, reason) >= 1, "the refusal to be counted")


def test_name_is_compared_whole(daemon):
    d = daemon()
    for cn in ("kube-apiserver.", "kube-apiserve", "Kube-Apiserver", "kube-apiserver\\0x", "*"):
        assert is_refused(d, d.client(d.client_ca.issue("n", cn=cn, usage="clientAuth"))), cn
    wild = d.client_ca.issue("w", cn="x", sans=("DNS:*.apiserver", "DNS:kube-apiserver.evil.example"),
                             usage="clientAuth")
    assert is_refused(d, d.client(wild))


def s_client(d, *args, stdin=""):
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{d.port}", "-CAfile", d.server_ca.crt,
         "-cert", d.apiserver.crt, "-key", d.apiserver.key, *args],
        input=stdin, capture_output=True, text=True, timeout=DEADLINE, check=False)


@pytest.mark.parametrize("args", [
    ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
    ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
    ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"],
    ["-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"],
])
def test_old_versions_and_weak_ciphers_are_refused(daemon, args):
    d = daemon()
    got = s_client(d, *args)
    assert "Cipher is (NONE)" in got.stdout or got.returncode != 0, got.stdout
    good = s_client(d, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")
    assert "ECDHE-ECDSA-AES128-GCM-SHA256" in good.stdout, good.stdout + good.stderr


def test_renegotiation_ends_the_connection(daemon):
    """With -legacy input commands: R asks for a new handshake."""
    d = daemon()
    got = s_client(d, "-tls1_2", stdin="R\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert "HTTP/1.1" not in got.stdout
    assert asks(d, d.client()) == 200


def test_no_session_is_resumed(daemon):
    """A resumed session would skip the checks of the client certificate."""
    d = daemon()
    ctx = tls_context(d.server_ca, d.apiserver)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        ctx.minimum_version = ctx.maximum_version = version
        session = None
        for _ in range(2):
            plain = socket.create_connection(("127.0.0.1", d.port), timeout=DEADLINE)
            with ctx.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert s.recv(100)
                assert not s.session_reused
                session = s.session


def test_certificate_and_client_ca_are_replaced_under_load_without_a_failed_request(daemon):
    d = daemon()
    new_ca = pki.CA(d.path("pki"), "next-ca")
    renewed = [d.server_ca.server(f"renewed{i}") for i in range(4)]
    both = d.client_ca.pem + new_ca.pem
    new_client = new_ca.client("next", cn="kube-apiserver")

    def work(i):
        # Half of them keep their connection, half make a new one each time.
        if i % 2:
            assert d.user_of(BOB)["username"] == "bob"
        else:
            with d.client(reopen=False) as c:
                assert d.user_of(BOB, client=c)["username"] == "bob"

    def serial():
        with d.client() as c:
            d.user_of(BOB, client=c)
            return c.conn.sock.getpeercert()["serialNumber"]

    with Load(work, threads=4) as load:
        with open(d.client_ca.crt + ".new", "w", encoding="ascii") as f:
            f.write(both)
        os.replace(d.client_ca.crt + ".new", d.client_ca.crt)
        slow = False
        for pair in renewed:
            old, began = serial(), time.monotonic()
            os.replace(pair.key, d.server.key)
            os.replace(pair.crt, d.server.crt)
            slow = slow or time.monotonic() > began + SETTLES
            load.wait_more(10)
            wait_until(lambda: serial() != old, "the renewed certificate")
        wait_until(lambda: not is_refused(d, d.client(new_client)), "the new CA")
        load.wait_more(20)
    assert load.errors == []
    assert slow or d.metric("portcullis_config_reloads_total", what="tls", result="rejected") == 0


def test_a_key_that_does_not_fit_changes_nothing(daemon):
    d = daemon()
    other = d.server_ca.server("other")
    os.replace(other.key, d.server.key)
    d.wait_log(r"TLS files rejected.*server\.key.*does not fit")
    assert asks(d, d.client()) == 200
    with d.ops() as c:
        text = c.get("/readyz?verbose").text
    assert re.search(r"\[\+\]tls ok: .*stale since .*does not fit", text)
    os.replace(other.crt, d.server.crt)
    d.wait_log(r'"msg":"TLS files loaded"')
    wait_until(lambda: "stale" not in d.ops().get("/readyz?verbose").text, "the staleness to end")


def test_allowed_clients_follow_the_configuration(daemon):
    d = daemon()
    other = d.client_ca.client("second-apiserver")
    assert is_refused(d, d.client(other))
    d.config["webhook"]["allowedClients"] = ["second-apiserver"]
    d.write_config()
    wait_until(lambda: not is_refused(d, d.client(other)), "the new name to be allowed")
    assert is_refused(d, d.client())


def test_login_asks_for_no_client_certificate(daemon):
    directory = {"name": "corp", "urls": [f"ldaps://127.0.0.1:{free_port()}"],
                 "userSearch": {"baseDN": "ou=people,dc=example,dc=org", "username": "uid"},
                 "usernamePrefix": "corp:"}
    d = daemon(ldap=[directory])
    with d.login_client() as c:
        got = c.get("/.well-known/openid-configuration")
        assert got.status == 200
        assert got.json["issuer"] == d.config["login"]["issuer"]
        keys = c.get("/jwks").json["keys"]
        assert keys and all("d" not in k for k in keys)
        assert c.post("/login", body=b"{}").status == 415
        assert c.post("/login", json={}).status == 400
        assert c.get("/login").status == 405
        assert c.post("/authenticate", json={}).status == 404
    got = d.login("alice", "secret")
    assert got.status == 503 and "secret" not in got.text
    assert got.headers.get("Retry-After") is None
    d.wait_audit("authn.login", lambda r: r["decision"] == "error")


def test_plain_http_on_the_tls_port_gets_nothing(daemon):
    d = daemon()
    with pytest.raises(OSError):
        with Client(d.port) as c:
            c.get("/readyz")
    assert asks(d, d.client()) == 200
