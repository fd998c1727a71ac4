"""What a healthy kube-apiserver will not do on request: a small HTTPS server with the parts of the API that the worker
speaks (get, list, watch, server-side apply, merge patches, create, delete), that records each request and answers from
a script."""
import copy
import http.server
import json
import re
import socket
import struct
import threading
import time
import urllib.parse

from . import pki
from .tls_stand_in import TLSStandIn

PATH = re.compile(r"^(?:/api/v1|/apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
                  r"(?:/namespaces/(?P<ns>[^/]+)(?=/))?/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?(?P<status>/status)?$")
KINDS = {"namespaces": ("v1", "Namespace"), "resourcequotas": ("v1", "ResourceQuota"),
         "limitranges": ("v1", "LimitRange"), "networkpolicies": ("networking.k8s.io/v1", "NetworkPolicy"),
         "rolebindings": ("rbac.authorization.k8s.io/v1", "RoleBinding"),
         "clusterrolebindings": ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
         "clusterroles": ("rbac.authorization.k8s.io/v1", "ClusterRole"),
         "roles": ("rbac.authorization.k8s.io/v1", "Role"),
         "userrecords": ("portcullis.dev/v1alpha1", "UserRecord"),
         "leases": ("coordination.k8s.io/v1", "Lease"), "events": ("events.k8s.io/v1", "Event")}
BINDINGS = ("rolebindings", "clusterrolebindings")
HARMLESS = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    @property
    def token(self):
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    @property
    def watches(self):
        return "watch=" in self.path

    def __repr__(self):
        return f"{self.method} {self.path}"


def status(code, headers=None, message="scripted", body=None):
    """An answer with a Status object."""
    doc = body if body is not None else {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                                         "message": message, "code": code}
    return ("answer", code, headers or {}, doc)


RESET = ("reset",)


def merge(into, patch):
    """RFC 7386."""
    for k, v in patch.items():
        if v is None:
            into.pop(k, None)
        elif isinstance(v, dict):
            merge(into.setdefault(k, {}), v)
        else:
            into[k] = v


def selects(query, o):
    """The labelSelectors that the worker uses: KEY=VALUE, with commas."""
    labels = o["metadata"].get("labels", {})
    terms = [t.split("=", 1) for t in query.get("labelSelector", [""])[0].split(",") if t]
    return all(labels.get(k) == v for k, v in terms)


class Hold:
    """Applies the request, keeps the answer until released (or for ever)."""

    def __init__(self, before=False):
        self.before = before  # hold before anything is applied
        self.reached, self.release = threading.Event(), threading.Event()


class FakeApiserver:
    def __init__(self, folder, tokens=("secret-token",), namespaces=("blue", "red")):
        self.ca = pki.CA(folder, "cluster-ca")
        pair = self.ca.server("apiserver")
        self.tokens = set(tokens)
        self.all = {r: {} for r in KINDS}  # resource → (namespace, name) → object
        self.requests = []
        self.version = 0
        self.stopping = False
        self._history = []  # (version, resource, type, object)
        self._script = []  # (method, regex, action)
        self._lock = threading.Condition()
        for n in namespaces:
            self.namespace(n)
        for n in ("view", "edit", "admin"):
            self.put("clusterroles", {"metadata": {"name": n}, "rules": HARMLESS})
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

    def seen(self, method=None, path=""):
        with self._lock:
            return [r for r in self.requests if method in (None, r.method) and re.search(path, r.path)]

    def wrote(self, path=""):
        """Requests that would change something of ours: all but those for records, events and reviews."""
        return [r for r in self.seen(path=path) if r.method != "GET" and
                not re.search(r"/(userrecords|events|selfsubjectaccessreviews|leases)\b", r.path)]

    def forget(self):
        with self._lock:
            self.requests.clear()

    # --- the cluster, by hand ---
    @property
    def objects(self):
        """(namespace, name) → binding: the objects themselves."""
        with self._lock:
            return {w: o for r in BINDINGS for w, o in self.all[r].items()}

    def records(self):
        """username → record."""
        with self._lock:
            return {o["spec"]["identity"]["username"]: copy.deepcopy(o) for o in self.all["userrecords"].values()}

    def record(self, user):
        return self.records().get(user)

    def phase(self, user):
        return (self.record(user) or {}).get("status", {}).get("phase")

    def namespace(self, name, **labels):
        return self.put("namespaces", {"metadata": {"name": name, "labels": labels}})

    def put(self, resource, doc):
        """As an admin: makes or replaces."""
        with self._lock:
            meta = doc["metadata"]
            where = (meta.get("namespace"), meta["name"])
            return self._store(resource, where, copy.deepcopy(doc))

    def edit(self, resource, where, change):
        """As somebody else: CHANGE gets the object."""
        with self._lock:
            o = copy.deepcopy(self.all[resource][where])
            change(o)
            return self._store(resource, where, o)

    def remove(self, resource, where):
        with self._lock:
            return self._drop(resource, where)

    # --- storage; with the lock ---
    def _store(self, resource, where, new):
        have = self.all[resource].get(where)
        new["apiVersion"], new["kind"] = KINDS[resource]
        meta = new["metadata"]
        if have and {**have, "metadata": {**have["metadata"], "resourceVersion": ""}} == \
                {**new, "metadata": {**meta, "resourceVersion": ""}}:
            return have
        self.version += 1
        if not have:
            meta.update({"uid": f"uid-{self.version}", "creationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})
        if resource == "userrecords":
            same = have and have.get("spec") == new.get("spec")
            meta["generation"] = meta.get("generation", 0) + (0 if same else 1)
        meta["resourceVersion"] = str(self.version)
        self.all[resource][where] = new
        self._tell(resource, "MODIFIED" if have else "ADDED", new, have)
        return new

    def _drop(self, resource, where):
        o = self.all[resource].pop(where)
        self.version += 1
        o = copy.deepcopy(o)
        o["metadata"]["resourceVersion"] = str(self.version)
        self._tell(resource, "DELETED", o, None)
        if resource == "namespaces":
            for r in KINDS:
                for w in [w for w in self.all[r] if w[0] == where[1]]:
                    self._drop(r, w)
        return o

    def _tell(self, resource, kind, o, before):
        self._history.append((self.version, resource, kind, copy.deepcopy(o), copy.deepcopy(before)))
        self._lock.notify_all()

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
        got = self._answer(request, h)
        if isinstance(action, Hold) and not action.before:
            action.reached.set()
            action.release.wait()
        if got:
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

    def _answer(self, request, h):
        """None: answered already."""
        url = urllib.parse.urlsplit(request.path)
        query = urllib.parse.parse_qs(url.query)
        m = PATH.match(urllib.parse.unquote(url.path))
        if self.tokens and request.token not in self.tokens:
            return status(401, message="Unauthorized")
        if m and m["resource"] == "selfsubjectaccessreviews":
            return ("answer", 201, {}, {**json.loads(request.body), "status": {"allowed": True}})
        if not m or m["resource"] not in KINDS:
            return status(404, message="no such path")
        if "watch" in query:
            self._watch(h, m, query)
            return None
        with self._lock:
            return copy.deepcopy(self._one(request, m, query))

    def _one(self, request, m, query):
        where, resource = (m["ns"], m["name"]), m["resource"]
        have = self.all[resource].get(where)
        if request.method == "GET" and not m["name"]:
            return self._list(m, query)
        if request.method in ("PATCH", "POST") and m["ns"] and resource != "events" and resource != "leases" and \
                (None, m["ns"]) not in self.all["namespaces"]:
            return status(404, message=f'namespaces "{m["ns"]}" not found')
        if request.method == "POST":
            return self._create(m, json.loads(request.body), "dryRun" in query)
        if request.method == "PATCH" and request.headers.get("Content-Type") == "application/apply-patch+yaml":
            return self._apply(resource, where, query, request)
        if not have:
            return status(404, message=f'"{m["name"]}" not found')
        if request.method == "GET":
            return ("answer", 200, {}, have)
        if request.method == "DELETE":
            return self._delete(resource, where, have, request, query)
        if request.method == "PUT":
            return self._change(resource, where, have, json.loads(request.body), None)
        if request.method == "PATCH" and request.headers.get("Content-Type") == "application/merge-patch+json":
            return self._change(resource, where, have, json.loads(request.body), m["status"])
        return status(405, message="not here")

    def _list(self, m, query):
        items = [o for (ns, _), o in sorted(self.all[m["resource"]].items(), key=str)
                 if m["ns"] in (None, ns) and selects(query, o)]
        return ("answer", 200, {}, {"apiVersion": KINDS[m["resource"]][0], "kind": KINDS[m["resource"]][1] + "List",
                                    "metadata": {"resourceVersion": str(self.version)}, "items": items})

    def _events(self, m, query, since):
        """Of the watch: what a selector hides is deleted for it."""
        out = []
        for version, resource, kind, o, before in self._history:
            if version <= since or resource != m["resource"] or m["ns"] not in (None, o["metadata"].get("namespace")):
                continue
            was, now = bool(before) and selects(query, before), selects(query, o)
            if kind == "MODIFIED" and was != now:
                kind = "ADDED" if now else "DELETED"
            if now or was:
                out.append({"type": kind, "object": o})
        return out

    def _watch(self, h, m, query):
        since = int(query.get("resourceVersion", ["0"])[0] or 0)
        end = time.monotonic() + float(query.get("timeoutSeconds", ["300"])[0])
        try:
            h.send_response(200)
            h.send_header("Content-Type", "application/json")
            h.send_header("Transfer-Encoding", "chunked")
            h.end_headers()
            while time.monotonic() < end and not self.stopping:
                with self._lock:
                    events, upto = self._events(m, query, since), self.version
                    if not events:
                        self._lock.wait(0.5)
                        continue
                since = upto
                for e in events:
                    line = json.dumps(e).encode() + b"\n"
                    h.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            h.wfile.write(b"0\r\n\r\n")
        except OSError:
            h.close_connection = True

    def _create(self, m, doc, dry):
        where = (m["ns"], doc["metadata"]["name"])
        if where in self.all[m["resource"]]:
            return status(409, message=f'"{where[1]}" already exists')
        if m["ns"]:
            doc["metadata"]["namespace"] = m["ns"]
        return ("answer", 201, {}, doc if dry else self._store(m["resource"], where, doc))

    def _stale(self, doc, have):
        version = doc.get("metadata", {}).get("resourceVersion")
        return version and version != (have or {"metadata": {}})["metadata"].get("resourceVersion")

    def _change(self, resource, where, have, doc, part):
        if self._stale(doc, have):
            return status(409, message="the object has been modified")
        new = copy.deepcopy(have)
        doc.get("metadata", {}).pop("resourceVersion", None)
        if part:
            doc = {"status": doc.get("status", {})}
            new.setdefault("status", {})
        merge(new, doc)
        return ("answer", 200, {}, self._store(resource, where, new))

    def _delete(self, resource, where, have, request, query):
        pre = (json.loads(request.body) if request.body else {}).get("preconditions", {})
        if any(pre.get(k) and pre[k] != have["metadata"][k] for k in ("uid", "resourceVersion")):
            return status(409, message="the preconditions do not hold")
        if "dryRun" not in query and "dryRun" not in (json.loads(request.body) if request.body else {}):
            self._drop(resource, where)
        return ("answer", 200, {}, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def _apply(self, resource, where, query, request):
        if not query.get("fieldManager") or query.get("force") != ["true"]:
            return status(415, message="not a server-side apply")
        want = json.loads(request.body)
        have = self.all[resource].get(where)
        if self._stale(want, have):
            return status(409, message="the object has been modified")
        want["metadata"].pop("resourceVersion", None)
        if have and have.get("roleRef") != want.get("roleRef"):
            return status(422, message="cannot change roleRef")
        new = copy.deepcopy(have) if have else {"metadata": {}}
        for k in ("labels", "annotations"):
            new["metadata"].setdefault(k, {}).update(want["metadata"].get(k, {}))
        new["metadata"].update({k: v for k, v in want["metadata"].items() if k not in ("labels", "annotations")})
        new.update({k: v for k, v in want.items() if k not in ("metadata", "spec")})
        if "spec" in want:
            new.setdefault("spec", {}).update(want["spec"])
        if "dryRun" in query:
            new["metadata"].setdefault("uid", "dry")
            new["metadata"].setdefault("resourceVersion", "1")
            return ("answer", 200 if have else 201, {}, new)
        return ("answer", 200 if have else 201, {}, self._store(resource, where, new))

    def stop(self):
        self.stopping = True
        with self._lock:
            self._lock.notify_all()
        for _, _, action in self._script:
            if isinstance(action, Hold):
                action.release.set()
        self.server.stop()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
