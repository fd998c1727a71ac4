"""What a healthy kube-apiserver will not do on request: a small HTTPS server with GET and server-side apply
of bindings, that records each request and answers from a script."""
import http.server
import json
import re
import socket
import struct
import threading

from . import pki
from .tls_stand_in import TLSStandIn

PATH = re.compile(r"^/apis/rbac\.authorization\.k8s\.io/v1/(?:namespaces/([^/]+)/rolebindings|clusterrolebindings)"
                  r"/([^/?]+)(?:\?(.*))?$")


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    @property
    def token(self):
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    def __repr__(self):
        return f"{self.method} {self.path}"


def status(code, headers=None, message="scripted", body=None):
    """An answer with a Status object."""
    doc = body if body is not None else {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                                         "message": message, "code": code}
    return ("answer", code, headers or {}, doc)


RESET = ("reset",)


class Hold:
    """Applies the request, keeps the answer until released (or for ever)."""

    def __init__(self, before=False):
        self.before = before  # hold before anything is applied
        self.reached, self.release = threading.Event(), threading.Event()


class FakeApiserver:
    def __init__(self, folder, tokens=("secret-token",)):
        self.ca = pki.CA(folder, "cluster-ca")
        pair = self.ca.server("apiserver")
        self.tokens = set(tokens)
        self.namespaces = None  # a set: others give 404
        self.objects = {}
        self.requests = []
        self.version = 0
        self._script = []  # (method, regex, action)
        self._lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                outer._handle(self)

            do_PATCH = do_POST = do_PUT = do_DELETE = do_GET

        self.server = TLSStandIn(pair, Handler)
        self.port = self.server.port
        self.url = f"https://127.0.0.1:{self.port}"

    # --- script ---
    def on(self, method, path, *actions):
        """The next requests that fit get ACTIONS, one each; then the normal answer."""
        with self._lock:
            self._script += [(method, re.compile(path), a) for a in actions]

    def seen(self, method=None):
        with self._lock:
            return [r for r in self.requests if method in (None, r.method)]

    def forget(self):
        with self._lock:
            self.requests.clear()

    # --- answers ---
    def _next_action(self, request):
        for i, (method, path, action) in enumerate(self._script):
            if method == request.method and path.search(request.path):
                del self._script[i]
                return action
        return None

    def _handle(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length") or 0))
        request = Request(h.command, h.path, dict(h.headers), body)
        with self._lock:
            self.requests.append(request)
            action = self._next_action(request)
        if action == RESET:
            # Linger 0: the client sees a reset, not an orderly end.
            h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            h.close_connection = True
            h.connection.close()
            return
        if isinstance(action, tuple):
            self._send(h, *action[1:])
            return
        if callable(action):  # something happens just before the normal answer
            action()
        if isinstance(action, Hold) and action.before:
            action.reached.set()
            action.release.wait()
        with self._lock:
            got = self._answer(request)
        if isinstance(action, Hold) and not action.before:
            action.reached.set()
            action.release.wait()
        self._send(h, *got[1:])

    def _send(self, h, code, headers, doc):
        data = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
        try:
            h.send_response(code)
            for k, v in {"Content-Type": "application/json", **headers}.items():
                h.send_header(k, v)
            h.send_header("Content-Length", str(len(data)))
            h.end_headers()
            h.wfile.write(data)
        except OSError:
            pass  # the client was killed

    def _answer(self, request):
        m = PATH.match(request.path)
        if self.tokens and request.token not in self.tokens:
            return status(401, message="Unauthorized")
        if not m:
            return status(404, message="no such path")
        namespace, name, query = m.groups()
        if namespace and self.namespaces is not None and namespace not in self.namespaces:
            return status(404, message=f'namespaces "{namespace}" not found')
        where = (namespace, name)
        if request.method == "GET":
            if where not in self.objects:
                return status(404, message=f'"{name}" not found')
            return ("answer", 200, {}, self.objects[where])
        if request.method != "PATCH":
            return status(405, message="not here")
        return self._apply(where, query, request)

    def _apply(self, where, query, request):
        if request.headers.get("Content-Type") != "application/apply-patch+yaml" or \
                "fieldManager=portcullis-sync" not in (query or "") or "force=true" not in query:
            return status(415, message="not a server-side apply")
        want = json.loads(request.body)
        have = self.objects.get(where)
        version = want["metadata"].pop("resourceVersion", None)
        if version and version != (have or {"metadata": {}})["metadata"].get("resourceVersion"):
            return status(409, message="the object has been modified")
        if have and have["roleRef"] != want["roleRef"]:
            return status(422, message="cannot change roleRef")
        new = json.loads(json.dumps(have or {"metadata": {"uid": f"u{len(self.objects)}"}}))
        for k in ("labels", "annotations"):
            new["metadata"].setdefault(k, {}).update(want["metadata"].get(k, {}))
        new["metadata"].update({k: v for k, v in want["metadata"].items() if k in ("name", "namespace")})
        new.update({k: want[k] for k in ("apiVersion", "kind", "roleRef", "subjects")})
        if new != have:
            self.version += 1
            new["metadata"]["resourceVersion"] = str(self.version)
            self.objects[where] = new
        return ("answer", 200 if have else 201, {}, new)

    def stop(self):
        for _, _, action in self._script:
            if isinstance(action, Hold):
                action.release.set()
        self.server.stop()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
