"""A TLS proxy in front of a real kube-apiserver that does, on request, what a healthy one will not.

The proxy ends TLS with a certificate of an authority of its own and speaks HTTP/1.1 with the apiserver. Client
certificates cannot pass through it: its users show bearer tokens (the apiserver's --token-auth-file, see token_file).

    tokens = fault_proxy.token_file(tmp_path / "tokens.csv", {"worker-token": ("worker", ["system:masters"])})
    api = ApiServer(tmp_path / "api", etcd, extra={"token-auth-file": tokens}).start()
    with FaultProxy(tmp_path / "proxy", api) as proxy:
        config = proxy.kubeconfig(tmp_path / "config", "worker-token")
        ...

Everything passes unharmed until a rule says otherwise. A rule is made by on(): METHOD and PATH (a regular expression
that is searched for in path and query), how many fitting requests to let pass first (SKIP), how many to act on (TIMES;
None: for ever). The first rule that fits and is not used up decides. Rules tell what they did, and can be waited for:

    rule = proxy.on("PATCH", "rolebindings", Answer(429, retry_after=2), times=3)
    rule.wait(3)                  # until it acted three times
    rule.drop()                   # from now on it fits nothing

Actions:

    Answer(code, reason=…, cause=…, retry_after=…, message=…, body=…)   a Status object, nothing is forwarded
    Unauthorized()                                  Answer(401)
    Gone()                                          Answer(410, "Expired"): of a list with PATH "continue=", of a watch
    Reset()                                         RST; nothing is forwarded
    Lost()                                          forwarded, and RST in the place of the answer
    Cut(bytes) / Cut(events=n)                      so much of the answer's body, then RST
    End(bytes) / End(events=n)                      so much, then a close without the last chunk (FIN)
    Mute(events=n)                                  so many events, then silence on an open connection
    ErrorEvent(code=410, reason="Expired", events=n)  so many events, then an ERROR event, then the stream's proper end
    Close(events=n)                                 so many events, then the stream's proper end
    Rechunk(size=1)                                 the same bytes, SIZE of them to a chunk and a TLS record
    Hold(before=False)                              the answer (before: the request) waits until .release.set(); .reached
    Delay(seconds)                                  the same, by the clock
    Rewrite(function)                               function(JSON document of the answer) gives the one to send

Streams that run already:

    proxy.kick(PATH)              RST to every connection whose present request fits
    proxy.cut() / proxy.restore() RST to all, no new ones get through / they do again

Seen requests are in proxy.requests (method, path, headers, body, token, status: what the client got; None: nothing);
proxy.wait_request(method, path, count) waits for them. Nothing here waits by the clock but Delay.
"""
import http.client
import json
import os
import re
import socket
import ssl
import struct
import threading

from . import kubeconfig, pki
from .https import tls_context
from .proc import Service, wait_until

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "proxy-connection", "te", "upgrade"}


def token_file(path, tokens):
    """--token-auth-file: TOKENS maps token to (user, groups). Gives the path."""
    with open(path, "w", encoding="utf-8") as f:
        for i, (token, (user, groups)) in enumerate(tokens.items()):
            f.write(f'{token},{user},uid-{i},"{",".join(groups)}"\n')
    return str(path)


class _Gone(Exception):
    """The connection to the client is over."""


# --- actions ---

class Action:
    """Passes everything. Each request has a stream of its own: see _Stream."""

    def request(self, stream):
        """Before anything is forwarded. True: answered, nothing is to be forwarded."""
        return False

    def answer(self, stream):
        """The apiserver has answered; nothing of it has been sent."""

    def piece(self, stream, data):
        """DATA of the answer's body came. The default sends it."""
        stream.send(data)

    def event(self, stream, n):
        """N events of a watch have been sent."""


class Answer(Action):
    def __init__(self, code, reason="", cause=None, retry_after=None, message="scripted", body=None):
        self.code, self.retry_after = code, retry_after
        details = {}
        if cause:
            details["causes"] = [{"reason": cause, "message": message}]
        if retry_after is not None:
            details["retryAfterSeconds"] = retry_after
        self.body = body if body is not None else {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason, "details": details, "code": code}

    def request(self, stream):
        headers = {"Content-Type": "application/json"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        data = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        stream.whole(self.code, headers, data)
        return True


def Unauthorized():  # pylint: disable=invalid-name
    return Answer(401, "Unauthorized")


def Gone():  # pylint: disable=invalid-name
    return Answer(410, "Expired", message="The provided continue parameter or resourceVersion is too old.")


class Reset(Action):
    def request(self, stream):
        stream.reset()


class Lost(Action):
    def answer(self, stream):
        stream.reset()


class _After(Action):
    """Acts after so many bytes or events."""

    def __init__(self, count=None, events=None):
        self.bytes, self.events = count if events is None else None, events

    def act(self, stream):
        raise NotImplementedError

    def answer(self, stream):
        if self.events == 0:
            stream.begin()
            self.act(stream)

    def piece(self, stream, data):
        if self.bytes is None:
            stream.send(data)
            return
        left = self.bytes - stream.sent
        stream.send(data[:left])
        if len(data) >= left:
            self.act(stream)

    def event(self, stream, n):
        if self.events is not None and n >= self.events:
            self.act(stream)


class Cut(_After):
    def act(self, stream):
        stream.reset()


class End(_After):
    def act(self, stream):
        stream.close()


class Close(_After):
    def act(self, stream):
        stream.finish()


class Mute(_After):
    def act(self, stream):
        stream.mute()


class ErrorEvent(_After):
    def __init__(self, code=410, reason="Expired", events=0, message="too old resource version: 1 (2)"):
        super().__init__(events=events)
        self.doc = {"type": "ERROR", "object": {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason, "code": code}}

    def act(self, stream):
        stream.send(json.dumps(self.doc).encode() + b"\n")
        stream.finish()


class Rechunk(Action):
    def __init__(self, size=1):
        self.size = size

    def piece(self, stream, data):
        for i in range(0, len(data), self.size):
            stream.send(data[i:i + self.size])


class Hold(Action):
    def __init__(self, before=False):
        self.before = before
        self.reached, self.release = threading.Event(), threading.Event()

    def _wait(self, stream):
        self.reached.set()
        stream.proxy.wait_unless_stopped(self.release)

    def request(self, stream):
        if self.before:
            self._wait(stream)
        return False

    def answer(self, stream):
        if not self.before:
            self._wait(stream)


class Delay(Action):
    def __init__(self, seconds):
        self.seconds = seconds

    def request(self, stream):
        stream.proxy.stopped.wait(self.seconds)
        return False


class Rewrite(Action):
    def __init__(self, function):
        self.function = function

    def answer(self, stream):
        doc = self.function(json.loads(stream.upstream.read()))
        stream.whole(stream.upstream.status, {"Content-Type": "application/json"}, json.dumps(doc).encode())
        raise StopIteration


class Rule:
    def __init__(self, proxy, method, path, action, times, skip):
        self.proxy, self.method, self.path, self.action = proxy, method, re.compile(path), action
        self.times, self.skip = times, skip
        self.hits = 0

    def fits(self, request):
        """Counts as a hit when it does. Under the proxy's lock."""
        if self.method not in (None, request.method) or not self.path.search(request.path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        return True

    def wait(self, hits=1, deadline=None):
        wait_until(lambda: self.hits >= hits,
                   lambda: f"{self.method} {self.path.pattern} to fit {hits} times, not {self.hits}\n"
                           + self.proxy.told(), deadline)

    def drop(self):
        self.times = 0


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.status = None

    @property
    def token(self):
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.method} {self.path} -> {self.status}"


class _Stream:
    """One request of one connection, and what is sent for it."""

    def __init__(self, proxy, conn, request, action):
        self.proxy, self.conn, self.request, self.action = proxy, conn, request, action
        self.upstream = None
        self.begun = False
        self.sent = 0    # bytes of the body
        self.events = 0

    # --- what actions do ---
    def whole(self, code, headers, data):
        self._head(code, headers, f"Content-Length: {len(data)}")
        self._write(data)

    def begin(self):
        if not self.begun:
            self._head(self.upstream.status,
                       {k: v for k, v in self.upstream.getheaders() if k.lower() not in _HOP},
                       "Transfer-Encoding: chunked")

    def send(self, data):
        self.begin()
        if not data:
            return
        self._write(b"%x\r\n" % len(data) + data + b"\r\n")
        self.sent += len(data)

    def finish(self):
        """The body's proper end; the connection stays for the next request."""
        self._write(b"0\r\n\r\n")
        raise StopIteration

    def close(self):
        raise _Gone

    def reset(self):
        _linger(self.conn)
        raise _Gone

    def mute(self):
        """Nothing more, until the client or somebody here ends the connection."""
        self.conn.settimeout(0.2)
        while not self.proxy.stopped.is_set():
            try:
                if not self.conn.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        raise _Gone

    # --- sending ---
    def _head(self, code, headers, length):
        self.begun = True
        self.request.status = code
        lines = [f"HTTP/1.1 {code} {http.client.responses.get(code, 'X')}"]
        lines += [f"{k}: {v}" for k, v in headers.items()] + [length, "", ""]
        self._write("\r\n".join(lines).encode("latin-1"))

    def _write(self, data):
        if self.proxy.is_doomed(self.conn):
            raise _Gone
        try:
            self.conn.sendall(data)
        except OSError as e:
            raise _Gone from e

    # --- forwarding ---
    def run(self):
        try:
            if not self.action.request(self):
                self._forward()
        except StopIteration:
            pass

    def _forward(self):
        up = self.proxy.connect()
        try:
            up.request(self.request.method, self.request.path, body=self.request.body or None,
                       headers={k: v for k, v in self.request.headers.items() if k not in _HOP | {"host"}})
            self.upstream = up.getresponse()
            self.proxy.track(self, up)
            self.action.answer(self)
            self.begin()
            if re.search(r"[?&]watch=(1|true)", self.request.path):
                self._events()
            else:
                self._body()
            self.finish()
        except (OSError, http.client.HTTPException) as e:
            raise _Gone from e
        finally:
            self.proxy.untrack(self)
            up.close()

    def _body(self):
        while data := self.upstream.read1(65536):
            self.action.piece(self, data)

    def _events(self):
        while line := self.upstream.readline():
            self.action.piece(self, line)
            self.events += 1
            self.action.event(self, self.events)


def _linger(conn):
    """The close that follows is a reset."""
    try:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass


class FaultProxy(Service):
    def __init__(self, folder, api):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.api = api
        self.ca = pki.CA(self.folder, "proxy-ca")
        pair = self.ca.server("proxy")
        self.requests = []
        self.stopped = threading.Event()
        self._rules, self._connections, self._streams, self._doomed = [], {}, {}, set()
        self._lock = threading.Lock()
        self._dead = False
        self._server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server_context.load_cert_chain(pair.crt, pair.key)
        self._client_context = tls_context(api.ca)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._threads = set()
        self._acceptor = threading.Thread(target=self._accept)

    # --- life ---
    def start(self):
        self._acceptor.start()
        return self

    def stop(self):
        self.stopped.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self._acceptor.join()
        self._end_connections()
        for t in list(self._threads):
            t.join()

    def kubeconfig(self, path, token, **kw):
        return kubeconfig.write(path, self.url, self.ca, token=token, **kw)

    # --- what tests say ---
    def on(self, method, path, action, times=1, skip=0):
        rule = Rule(self, method, path, action, times, skip)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self):
        """No more rules."""
        with self._lock:
            for rule in self._rules:
                rule.drop()
            self._rules = []

    def kick(self, path=""):
        """How many connections were reset; those that still are about to end do not count again."""
        with self._lock:
            doomed = [c for c, r in self._connections.items()
                      if c not in self._doomed and r is not None and re.search(path, r.path)]
        return self._end_connections(doomed)

    def cut(self):
        with self._lock:
            self._dead = True
        self._end_connections()

    def restore(self):
        with self._lock:
            self._dead = False

    # --- what tests ask ---
    def seen(self, method=None, path=""):
        with self._lock:
            return [r for r in self.requests if method in (None, r.method) and re.search(path, r.path)]

    def forget(self):
        with self._lock:
            self.requests.clear()

    def wait_request(self, method=None, path="", count=1, deadline=None):
        """The COUNTth request that fits."""
        def look():
            found = self.seen(method, path)
            return found[count - 1] if len(found) >= count else None
        return wait_until(look, lambda: f"{count} x {method} {path}\n{self.told()}", deadline)

    def told(self):
        with self._lock:
            return "requests:\n" + "\n".join(repr(r) for r in self.requests[-30:])

    def wait_unless_stopped(self, event):
        while not self.stopped.is_set() and not event.wait(0.1):
            pass

    # --- connections ---
    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", self.api.port, context=self._client_context, timeout=900)

    def track(self, stream, up):
        """From now on the stream is woken when its client's connection is to end."""
        with self._lock:
            self._streams[stream] = up
            if stream.conn in self._doomed:
                raise _Gone

    def is_doomed(self, conn):
        with self._lock:
            return conn in self._doomed

    def untrack(self, stream):
        with self._lock:
            self._streams.pop(stream, None)

    def _end_connections(self, which=None):
        """Shuts them down in their threads' hands: those find out and close. The client gets a reset."""
        with self._lock:
            doomed = list(self._connections) if which is None else which
            self._doomed.update(doomed)
            ups = [up for s, up in self._streams.items() if s.conn in doomed]
        for conn in doomed:
            _linger(conn)
        for up in ups:
            try:
                up.sock.shutdown(socket.SHUT_RDWR)
            except (OSError, AttributeError):
                pass
        for conn in doomed:
            try:
                # Of the plain socket below: an orderly TLS end would be a different fault.
                socket.socket.shutdown(conn, socket.SHUT_RD)
            except OSError:
                pass
        return len(doomed)

    def _accept(self):
        while not self.stopped.is_set():
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                dead = self._dead
            if dead:
                _linger(raw)
                raw.close()
                continue
            t = threading.Thread(target=self._serve, args=(raw,))
            self._threads.add(t)
            t.start()

    def _serve(self, raw):
        conn = raw
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections[raw] = None
            conn = self._server_context.wrap_socket(raw, server_side=True)
            with self._lock:
                del self._connections[raw]
                self._connections[conn] = None
                dead = self._dead
            if dead:
                _linger(conn)
                return
            self._serve_requests(conn)
        except (_Gone, OSError, ValueError):
            with self._lock:
                if self._dead:
                    _linger(conn)
        finally:
            with self._lock:
                self._connections.pop(raw, None)
                self._connections.pop(conn, None)
                self._doomed -= {raw, conn}
            conn.close()
            self._threads.discard(threading.current_thread())

    def _serve_requests(self, conn):
        reader = conn.makefile("rb")
        try:
            while not self.stopped.is_set():
                request = self._read(reader)
                if request is None:
                    return
                with self._lock:
                    self.requests.append(request)
                    self._connections[conn] = request
                    action = next((r.action for r in self._rules if r.fits(request)), Action())
                _Stream(self, conn, request, action).run()
                with self._lock:
                    self._connections[conn] = None
        finally:
            reader.close()

    @staticmethod
    def _read(reader):
        line = reader.readline(65537)
        if not line.strip():
            return None
        method, path, _ = line.decode("latin-1").split(" ", 2)
        headers = {}
        while (line := reader.readline(65537)) not in (b"\r\n", b"\n", b""):
            k, v = line.decode("latin-1").split(":", 1)
            headers[k.strip().lower()] = v.strip()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(reader.readline().split(b";")[0], 16):
                body += reader.read(size)
                reader.readline()
            reader.readline()
        else:
            body = reader.read(int(headers.get("content-length") or 0))
        return Request(method, path, headers, body)
