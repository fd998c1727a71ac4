"""HTTP as a hostile peer speaks it: methods, media types, sizes, framing, slow and idle connections."""
import json
import os
import re
import socket
import ssl

import pytest

from support.https import tls_context
from support.proc import DEADLINE, wait_until

BOB = "token-bob-41d0"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": BOB}}
BODY = json.dumps(REVIEW).encode()


@pytest.fixture(scope="module")
def d(tmp_path_factory):
    from support.portcullisd import Portcullisd
    with Portcullisd(tmp_path_factory.mktemp("http")) as made:
        yield made
    assert made.process.popen.returncode == 0, made.process.tail()


@pytest.fixture
def wire(d):
    """A TLS connection of the apiserver on which anything can be sent."""
    with socket.create_connection(("127.0.0.1", d.port), timeout=DEADLINE) as plain:
        with tls_context(d.server_ca, d.apiserver).wrap_socket(plain, server_hostname="127.0.0.1") as s:
            yield s


def read_reply(s):
    """(status, headers, body) of the next reply; None when the connection ended instead."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            got = s.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            got = b""
        if not got:
            return None
        data += got
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
    want = int(headers.get("content-length", "0"))
    while len(body) < want:
        body += s.recv(65536)
    return int(lines[0].split()[1]), headers, body


def head(*lines, method="POST", path="/authenticate", json_body=True):
    out = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if json_body:
        out.append("Content-Type: application/json")
    return ("\r\n".join([*out, *lines]) + "\r\n\r\n").encode()


def sized(body):
    return head(f"Content-Length: {len(body)}") + body


def is_served(d):
    with d.client() as c:
        assert d.user_of(BOB, client=c)["username"] == "bob"


# --- rows 77, 78: methods and media types ---

@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "BREW"])
def test_other_methods_are_405_and_told_which_one(d, method):
    for path in ("/authenticate", "/authorize"):
        with d.client() as c:
            got = c.request(method, path)
            assert got.status == 405
            assert got.headers["Allow"] == "POST"


def test_other_method_on_ops(d):
    with d.ops() as c:
        got = c.post("/readyz", body=b"")
        assert got.status == 405 and got.headers["Allow"] == "GET, HEAD"
        assert c.request("HEAD", "/livez").status == 200


def test_media_type_is_required(d, wire):
    wire.sendall(head(f"Content-Length: {len(BODY)}", json_body=False) + BODY)
    status, _, body = read_reply(wire)
    assert status == 415 and "error" in json.loads(body)
    # The connection goes on.
    wire.sendall(sized(BODY))
    assert read_reply(wire)[0] == 200


def test_two_media_types_are_malformed(wire):
    wire.sendall(head("Content-Type: text/plain", f"Content-Length: {len(BODY)}") + BODY)
    assert read_reply(wire)[0] == 400


# --- rows 79, 81, 83, 84: documents ---

@pytest.mark.parametrize("text", [
    '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{}}',
    '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":""}}',
])
def test_no_token_is_a_clean_refusal(d, text):
    got = d.raw("/authenticate", text.encode())
    assert (got.status, got.json["status"]) == (200, {"authenticated": False})


@pytest.mark.parametrize("text", [
    '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"%s","token":"x"}}' % BOB,
    '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"x"},"spec":{"token":"%s"}}' % BOB,
    '{"kind":"TokenReview","kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"%s"}}' % BOB,
    '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview"}',
    '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":[]}',
    '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"%s","audiences":"x"}}' % BOB,
    '{"apiVersion":"authentication.k8s.io/v1alpha1","kind":"TokenReview","spec":{"token":"%s"}}' % BOB,
    '{"apiVersion":"authorization.k8s.io/v1","kind":"TokenReview","spec":{"token":"%s"}}' % BOB,
])
def test_what_is_no_review_or_can_be_read_two_ways_is_400(d, text):
    got = d.raw("/authenticate", text.encode())
    assert got.status == 400
    assert BOB not in got.text


def test_a_filled_in_status_is_not_believed(d):
    body = {**REVIEW, "spec": {"token": "wrong"},
            "status": {"authenticated": True, "user": {"username": "admin", "groups": ["system:masters"]}}}
    got = d.raw("/authenticate", json.dumps(body).encode())
    assert got.json["status"] == {"authenticated": False}
    assert "admin" not in got.text


# --- row 80: sizes ---

def test_a_declared_body_over_the_limit_is_413(wire):
    wire.sendall(head(f"Content-Length: {(1 << 20) + 1}") + b" " * ((1 << 20) + 1))
    status, _, body = read_reply(wire)
    assert status == 413 and "error" in json.loads(body)
    wire.sendall(sized(BODY))
    assert read_reply(wire)[0] == 200


def test_a_body_far_over_the_limit_is_413_before_it_is_sent(wire):
    wire.sendall(head(f"Content-Length: {1 << 40}"))
    status, headers, _ = read_reply(wire)
    assert status == 413 and headers["connection"].lower() == "close"
    assert read_reply(wire) is None


def test_the_client_that_waits_for_100_is_told_at_once(wire):
    wire.sendall(head("Expect: 100-continue", f"Content-Length: {1 << 40}"))
    assert read_reply(wire)[0] == 413


def test_a_chunked_body_over_the_limit_is_413(wire):
    wire.sendall(head("Transfer-Encoding: chunked"))
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(17):
        wire.sendall(chunk)
    wire.sendall(b"0\r\n\r\n")
    assert read_reply(wire)[0] == 413


def test_an_endless_chunked_body_is_cut_off(d, wire):
    wire.sendall(head("Transfer-Encoding: chunked"))
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with pytest.raises((ConnectionError, ssl.SSLError, OSError)):
        for _ in range(100000):
            wire.sendall(chunk)
    is_served(d)


def test_a_chunked_review_is_read(wire):
    wire.sendall(head("Transfer-Encoding: chunked"))
    for i in range(0, len(BODY), 7):
        piece = BODY[i:i + 7]
        wire.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
    wire.sendall(b"0\r\n\r\n")
    status, _, body = read_reply(wire)
    assert status == 200 and json.loads(body)["status"]["authenticated"] is True


def test_a_body_just_at_the_limit_is_read(wire):
    body = BODY + b" " * ((1 << 20) - len(BODY))
    wire.sendall(sized(body))
    assert read_reply(wire)[0] == 200


def test_huge_headers_are_refused(d, wire):
    try:
        wire.sendall(head("X-Fill: " + "x" * 200000, f"Content-Length: {len(BODY)}") + BODY)
        got = read_reply(wire)
    except (ConnectionError, ssl.SSLError):
        got = None
    assert got is None or got[0] in (400, 413, 431)
    is_served(d)


# --- row 82: framing ---

@pytest.mark.parametrize("lines", [
    ["Content-Length: 5", "Content-Length: 5"],
    ["Content-Length: 5", "Content-Length: 6"],
    ["Content-Length: 5", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Content-Length: 5"],
    ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: gzip, chunked"],
    ["Transfer-Encoding: identity"],
    ["Content-Length: +5"],
    ["Content-Length: -5"],
    ["Content-Length: 5, 5"],
    ["Content-Length: 0x5"],
    ["Content-Length: five"],
    ["Content-Length: 99999999999999999999999999"],
])
def test_doubtful_lengths_are_400_and_end_the_connection(d, wire, lines):
    # Were the body taken by either length, the second request would be answered too.
    wire.sendall(head(*lines) + b"0\r\n\r\n" + sized(BODY))
    first = read_reply(wire)
    if first is not None:
        assert first[0] in (400, 413)
        assert read_reply(wire) is None
    is_served(d)


@pytest.mark.parametrize("chunks", [b"xyz\r\nabc\r\n", b"-1\r\nabc\r\n", b"ffffffffffffffffff\r\nabc\r\n",
                                    b"3 3\r\nabc\r\n", b"3\r\nabcdef\r\n0\r\n\r\n"])
def test_bad_chunk_sizes_are_400(d, wire, chunks):
    wire.sendall(head("Transfer-Encoding: chunked") + chunks)
    got = read_reply(wire)
    assert got is None or got[0] in (400, 413)
    is_served(d)


def test_two_requests_in_one_packet_get_two_answers_in_order(wire):
    other = json.dumps({**REVIEW, "spec": {"token": "wrong"}}).encode()
    wire.sendall(sized(BODY) + sized(other))
    assert json.loads(read_reply(wire)[2])["status"]["authenticated"] is True


# --- row 80: slow and idle peers ---

def test_slow_heads_and_bodies_hold_up_nobody(d):
    ctx = tls_context(d.server_ca, d.apiserver)
    slow = []
    for part in (b"POST /auth", head("Content-Length: 100") + b"{", b""):
        for _ in range(10):
            plain = socket.create_connection(("127.0.0.1", d.port), timeout=DEADLINE)
            s = ctx.wrap_socket(plain, server_hostname="127.0.0.1")
            s.sendall(part)
            slow.append(s)
    is_served(d)
    for s in slow:
        s.close()


def test_more_idle_connections_than_places_lock_nobody_out(d):
    """Those who wait longest without asking anything make room."""
    idle = [socket.create_connection(("127.0.0.1", d.port), timeout=DEADLINE) for _ in range(400)]
    is_served(d)
    for s in idle:
        s.close()


def test_a_kept_connection_is_not_turned_out_by_strangers(d):
    with d.client(reopen=False) as kept:
        assert d.user_of(BOB, client=kept)
        idle = [socket.create_connection(("127.0.0.1", d.port), timeout=DEADLINE) for _ in range(300)]
        is_served(d)
        assert d.user_of(BOB, client=kept)
        for s in idle:
            s.close()


def test_a_body_shorter_than_declared_gets_no_answer(d, wire):
    wire.sendall(head("Content-Length: 1000") + BODY)
    wire.unwrap()
    is_served(d)


def test_half_a_client_hello_holds_up_nobody(d):
    """Fifty of them, left in the middle of their first record."""
    hello = bytes.fromhex("16030100f8010000f40303") + b"\x55" * 14
    stuck = []
    for _ in range(50):
        s = socket.create_connection(("127.0.0.1", d.port), timeout=DEADLINE)
        s.sendall(hello)
        stuck.append(s)
    for _ in range(20):
        is_served(d)
    for s in stuck:
        s.close()


def test_a_peer_that_reads_nothing_loses_its_connection_only(d):
    """Pipelines without end and never reads: the reply buffers fill, the connection goes, the rest lives."""
    with socket.create_connection(("127.0.0.1", d.port), timeout=DEADLINE) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s = tls_context(d.server_ca, d.apiserver).wrap_socket(plain, server_hostname="127.0.0.1")
        s.settimeout(2)
        try:
            for _ in range(20000):
                s.sendall(sized(BODY) * 8)
        except OSError:
            pass
        is_served(d)


# --- row 95: the ops listener names nobody ---

def test_ops_pages_tell_of_no_user(d):
    d.user_of(BOB)
    d.verdict("alice", groups=["dev"], namespace="team-a")
    with d.ops() as c:
        text = c.get("/metrics").text + c.get("/readyz?verbose").text + c.get("/version").text
    assert not re.search(r"\b(alice|bob|1002|kube-apiserver)\b", text)
    assert "portcullis_token_reviews_total" in text


def test_readyz_lists_its_checks(d):
    with d.ops() as c:
        assert c.get("/readyz").text == "ok"
        lines = c.get("/readyz?verbose").text.splitlines()
    names = [re.match(r"\[\+\]([a-z]+) ok", line).group(1) for line in lines[:-1]]
    assert names == ["config", "policy", "tls", "audit"]
    assert "generation=1" in next(line for line in lines if "]policy" in line)
    assert lines[-1] == "readyz check passed"


def line_of(d, name):
    with d.ops() as c:
        got = c.get("/readyz?verbose")
    assert got.status == 200
    return next(line for line in got.text.splitlines() if f"]{name} " in line)


def test_readyz_tells_of_a_disk_that_refuses_and_stays_ready(daemon):
    tokens = {"token-of-ann": ("ann", "1", []), "token-of-bob": ("bob", "2", [])}
    d = daemon(tokens=tokens, spool=True, edit=lambda c: c["audit"].update(path="/dev/full"))
    d.process.wait_for(lambda: line_of(d, "audit").startswith("[-]"), "the audit log's trouble")
    assert re.fullmatch(r"\[-\]audit degraded: /dev/full: cannot write since \d{4}-[-0-9:.T]+Z: "
                        r"No space left on device", line_of(d, "audit"))
    assert line_of(d, "spool") == f"[+]spool ok: {d.spool_dir}"
    new = os.path.join(d.spool_dir, "new")
    for i in range(10000):
        with open(os.path.join(new, f"filler-{i}"), "wb"):
            pass
    assert d.user_of("token-of-ann")["username"] == "ann"
    d.process.wait_for(lambda: re.fullmatch(
        rf"\[-\]spool degraded: {re.escape(d.spool_dir)}: cannot write since \S+Z: 10000 events wait",
        line_of(d, "spool")), "the spool's trouble")
    for name in os.listdir(new):
        os.unlink(os.path.join(new, name))

    def written():
        assert d.user_of("token-of-bob")["username"] == "bob"
        return line_of(d, "spool").startswith("[+]")
    d.process.wait_for(written, "the spool to be well")


def test_requests_are_counted_by_code(d):
    before = d.metric("portcullis_http_requests_total", listener="webhook", code="404")
    with d.client() as c:
        c.post("/nothing", body=b"")
    wait_until(lambda: d.metric("portcullis_http_requests_total", listener="webhook", code="404") == before + 1,
               "the 404 to be counted")
