"""The end of the server: whatever was taken in is answered, and the exit is clean."""
import base64
import json
import signal
import socket
import threading
import time

import pytest

from support.ports import free_port
from support.portcullisd import Load, Portcullisd
from support.proc import DEADLINE, port_open, wait_until

BOB = "token-bob-41d0"


class Silence:
    """Accepts connections and never says a word: what a hung directory looks like."""

    def __init__(self):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.met = threading.Semaphore(0)
        self._open = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            self._open.append(conn)
            self.met.release()

    def close(self):
        self.sock.close()
        for c in self._open:
            c.close()


@pytest.fixture
def silence():
    s = Silence()
    yield s
    s.close()


@pytest.fixture
def mute_issuer():
    s = Silence()
    yield s
    s.close()


def directory(port, timeout="3s"):
    return {"name": "corp", "urls": [f"ldaps://127.0.0.1:{port}"], "timeout": timeout,
            "userSearch": {"baseDN": "ou=people,dc=example,dc=org", "username": "uid"},
            "usernamePrefix": "corp:"}


class Asking:
    """One call in a thread; its result or what it raised."""

    def __init__(self, fn):
        self.got = self.error = None
        self._fn = fn
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self.got = self._fn()
        except Exception as e:  # pylint: disable=broad-except
            self.error = e

    def result(self):
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()
        if self.error:
            raise self.error
        return self.got


def test_a_request_that_waits_is_answered_before_the_end(daemon, silence):
    d = daemon(ldap=[directory(silence.port)])
    asking = [Asking(lambda i=i: d.login(f"user{i}", "secret")) for i in range(3)]
    for _ in asking:
        assert silence.met.acquire(timeout=DEADLINE)
    d.process.signal(signal.SIGTERM)
    for a in asking:
        got = a.result()
        assert got.status == 503, got
        assert got.headers["Connection"].lower() == "close"
    assert d.process.wait() == 0
    assert [r["type"] for r in d.audit()][-1] == "server.stop"


def test_while_it_drains_it_says_so_and_takes_no_one_in(daemon, silence):
    d = daemon(ldap=[directory(silence.port)])
    asking = Asking(lambda: d.login("alice", "secret"))
    assert silence.met.acquire(timeout=DEADLINE)
    with d.ops() as ops:
        assert ops.get("/readyz").status == 200
        d.process.signal(signal.SIGTERM)
        d.wait_log(r'"msg":"draining"')
        got = ops.get("/readyz")
        assert got.status == 503 and "[-]shutdown failed" in got.text
        assert ops.get("/livez").status == 200
    assert asking.result().status == 503
    assert d.process.wait() == 0
    assert not port_open(d.port) and not port_open(d.login_port) and not port_open(d.ops_port)


def test_logins_that_hang_do_not_hold_up_reviews(daemon, silence):
    """More hung logins than login workers: tokens and access reviews are answered all the same."""
    d = daemon(ldap=[directory(silence.port)])
    asking = [Asking(lambda i=i: d.login(f"user{i}", "secret")) for i in range(12)]
    assert silence.met.acquire(timeout=DEADLINE)
    for _ in range(20):
        assert d.user_of(BOB)["username"] == "bob"
        assert d.verdict("bob", groups=["dev"], namespace="team-a") == "allow"
    assert all(a.got is None or a.got.status == 503 for a in asking)
    for a in asking:
        assert a.result().status == 503


def jwt_of(port):
    return {"issuer": {"url": f"https://127.0.0.1:{port}", "audiences": ["kubernetes"]},
            "claimMappings": {"username": {"claim": "sub", "prefix": "oidc:"}}}


def token_of(port):
    """Of an issuer whose keys were never seen: the review waits for them."""
    def part(doc):
        return base64.urlsafe_b64encode(json.dumps(doc).encode()).rstrip(b"=").decode()
    claims = {"iss": f"https://127.0.0.1:{port}", "sub": "eve", "aud": "kubernetes",
              "exp": int(time.time()) + 600}
    return ".".join([part({"alg": "RS256", "kid": "k1"}), part(claims), "A" * 342])


def test_requests_on_kept_connections_during_the_end_are_answered(daemon, silence, mute_issuer):
    """While the end waits for the last workers, a kept connection may still ask for work that waits."""
    d = daemon(ldap=[directory(silence.port, timeout="2s")], jwt=[jwt_of(mute_issuer.port)])
    first, second = d.client(reopen=False), d.client(reopen=False)
    assert d.user_of(BOB, client=first) and d.user_of(BOB, client=second)
    login = Asking(lambda: d.login("alice", "secret"))
    assert silence.met.acquire(timeout=DEADLINE)
    d.process.signal(signal.SIGTERM)
    d.wait_log(r'"msg":"draining"')
    slow = Asking(lambda: d.token_review(token_of(mute_issuer.port), client=first))
    assert login.result().status == 503
    late = Asking(lambda: d.token_review(token_of(mute_issuer.port), client=second))
    assert slow.result().status == 503
    try:
        assert late.result().status == 503
    except OSError:
        pass  # it came when the listener was closed already
    assert d.process.wait() == 0


def test_requests_under_load_are_answered_or_never_taken(daemon):
    d = daemon()
    statuses = []

    def work(_):
        with d.client(reopen=False) as c:
            try:
                got = d.token_review(BOB, client=c)
            except OSError:
                return
            statuses.append(got.status)

    with Load(work, threads=4) as load:
        load.wait_more(50)
        d.process.signal(signal.SIGTERM)
        assert d.process.wait() == 0
    assert load.errors == []
    assert set(statuses) == {200}


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_idle_and_stuck_connections_do_not_delay_the_end(daemon, sig):
    d = daemon()
    kept = d.client()
    assert d.user_of(BOB, client=kept)
    stuck = socket.create_connection(("127.0.0.1", d.port))
    stuck.sendall(b"\x16\x03\x01")
    d.process.signal(sig)
    assert d.process.wait() == 0
    stuck.close()
    kept.close()


def test_systemd_is_told(daemon, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(DEADLINE)
        d = daemon(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000000"})
        seen = []

        def wait_for(word):
            while not any(word in m for m in seen):
                seen.append(s.recv(4096).decode())
            return next(m for m in seen if word in m)
        wait_for("READY=1")
        wait_for("WATCHDOG=1")
        seen.clear()
        d.reload()
        assert "MONOTONIC_USEC=" in wait_for("RELOADING=1")
        wait_for("READY=1")
        d.process.signal(signal.SIGTERM)
        wait_for("STOPPING=1")
        assert d.process.wait() == 0


def test_a_second_server_on_the_same_port_says_so(daemon, tmp_path):
    first = daemon()
    second = Portcullisd(tmp_path / "second",
                         edit=lambda c: c["webhook"].update(listen=f"127.0.0.1:{first.port}"))
    second.process.start()
    assert second.process.wait() == 1
    assert "Address already in use" in second.process.output()
    assert first.ready()


def test_port_zero_is_told(daemon):
    d = daemon(edit=lambda c: c["webhook"].update(listen="127.0.0.1:0"))
    port = int(d.wait_log(r'"listener":"webhook".*"port":(\d+)').group(1))
    wait_until(lambda: port_open(port), "the chosen port")
    assert port != free_port() and port > 0
