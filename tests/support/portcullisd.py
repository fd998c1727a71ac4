"""portcullisd under test: writes its configuration folder, starts it, waits for ready, asks it things."""
import base64
import json
import os
import re
import signal
import threading

from . import pki, yamlio
from .https import Client, tls_context
from .paths import program
from .ports import free_ports
from .proc import Process, Service, wait_until

API_AUDIENCE = "https://kubernetes.default.svc"

# token, user, uid, groups: Kubernetes' static token file.
TOKENS = {
    "token-alice-9f2c": ("alice", "1001", ["dev", "ops"]),
    "token-bob-41d0": ("bob", "1002", ["dev"]),
    "token-carol-77ae": ("carol", "1003", ["contractors"]),
}

POLICY = {
    "apiVersion": "portcullis.dev/v1alpha1",
    "kind": "AccessPolicy",
    "metadata": {"name": "test", "generation": 1},
    "defaults": {"exempt": {"groups": ["system:nodes"]}},
    "rules": [
        {"id": "dev-read", "effect": "allow", "subjects": {"groups": ["dev"]},
         "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"],
         "namespaces": ["team-*"]},
        {"id": "protect-kube-system", "effect": "deny", "subjects": {"groups": ["dev", "contractors"]},
         "namespaces": ["kube-system"], "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    ],
}


def token_lines(tokens):
    return "".join(f'{t},{user},{uid},"{",".join(groups)}"\n' for t, (user, uid, groups) in tokens.items())


class Portcullisd(Service):
    """FOLDER holds everything: config, pki, policy, state, audit log, the daemon's own log.

    JWT, LDAP: entries for authentication.jwt and .ldap. LOGIN: adds the login listener. EDIT: a function that
    changes the configuration document before it is written.
    """

    def __init__(self, folder, policy=None, tokens=None, jwt=(), ldap=(), login=None, spool=False,
                 edit=None, env=None, build_program=None):
        self.folder = str(folder)
        self.state = self.path("state")
        self.policy_dir = self.path("policy")
        for d in (self.folder, self.state, self.policy_dir, self.path("secrets")):
            os.makedirs(d, exist_ok=True)
        self.port, self.ops_port, self.login_port = free_ports(3)
        self.server_ca = pki.CA(self.path("pki"), "server-ca")
        self.client_ca = pki.CA(self.path("pki"), "client-ca")
        self.server = self.server_ca.server("server")
        self.apiserver = self.client_ca.client("kube-apiserver")
        self.audit_path = self.path("audit.jsonl")
        self.spool_dir = self.path("spool")
        self.tokens = TOKENS if tokens is None else tokens
        with open(self.path("tokens.csv"), "w", encoding="utf-8") as f:
            f.write(token_lines(self.tokens))
        os.chmod(self.path("tokens.csv"), 0o600)
        self.config = self._config(jwt, ldap, login, spool)
        if edit is not None:
            edit(self.config)
        self.config_path = self.path("portcullis.yaml")
        self.write_config()
        if policy is not False:
            self.write_policy(POLICY if policy is None else policy)
        self.process = Process([build_program or program("portcullisd"), "--config", self.config_path],
                               self.path("portcullisd.log"), env=env)
        self._local = threading.local()

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def _config(self, jwt, ldap, login, spool):
        doc = {
            "apiVersion": "portcullis.dev/v1alpha1",
            "kind": "PortcullisConfiguration",
            "stateDir": self.state,
            "webhook": {
                "listen": f"127.0.0.1:{self.port}",
                "certificateFile": "pki/server.crt",
                "keyFile": "pki/server.key",
                "clientCAFile": "pki/client-ca.crt",
                "allowedClients": ["kube-apiserver"],
            },
            "ops": {"listen": f"127.0.0.1:{self.ops_port}"},
            "authentication": {"audiences": [API_AUDIENCE]},
            "authorization": {"policy": "policy/"},
            "audit": {"path": self.audit_path, "mode": "async"},
        }
        if login is not None or ldap:
            doc["login"] = {"listen": f"127.0.0.1:{self.login_port}",
                            "issuer": f"https://127.0.0.1:{self.login_port}",
                            "tokenLifetime": "15m"}
            doc["login"].update(login or {})
        if jwt:
            doc["authentication"]["jwt"] = list(jwt)
        if ldap:
            doc["authentication"]["ldap"] = list(ldap)
        if self.tokens:
            doc["authentication"]["tokenFiles"] = ["tokens.csv"]
        if spool:
            doc["newUsers"] = {"spoolDir": self.spool_dir}
        return doc

    # --- files ---
    def write_config(self):
        return yamlio.write_atomic(self.config_path, self.config)

    def write_policy(self, doc, name="policy.yaml"):
        """DOC: a document, or text (also broken text)."""
        return yamlio.write_atomic(os.path.join(self.policy_dir, name), doc)

    # --- life ---
    def start(self, ready=True):
        self.process.start()
        if ready:
            self.process.wait_for(self.ready, "portcullisd to be ready")
        else:
            self.process.wait_port(self.port)
            self.process.wait_port(self.ops_port)
        return self

    def ready(self):
        try:
            with self.ops() as c:
                return c.get("/readyz").status == 200
        except OSError:
            return False

    def stop(self):
        return self.process.stop()

    def kill(self):
        self.process.kill()

    def reload(self):
        """SIGHUP. Wait for what it should bring about with the methods below."""
        self.process.signal(signal.SIGHUP)

    # --- clients ---
    def ops(self):
        return Client(self.ops_port)

    def client(self, pair=None, ca=None, **kw):
        """A connection of its own as PAIR (default: the apiserver's certificate; False: none)."""
        pair = self.apiserver if pair is None else (pair or None)
        return Client(self.port, tls_context(ca or self.server_ca, pair), **kw)

    def login_client(self):
        return Client(self.login_port, tls_context(self.server_ca))

    def _mine(self):
        """This thread's kept connection."""
        if not hasattr(self._local, "client"):
            self._local.client = self.client()
        return self._local.client

    def raw(self, path, body, headers=None, client=None):
        """POST of BODY as it is: bytes."""
        headers = {"Content-Type": "application/json", **(headers or {})}
        return (client or self._mine()).post(path, body=body, headers=headers)

    def token_review(self, token, audiences=(API_AUDIENCE,), version="v1", client=None):
        """As kube-apiserver sends it. Gives the Reply."""
        doc = {"kind": "TokenReview", "apiVersion": f"authentication.k8s.io/{version}",
               "metadata": {"creationTimestamp": None}, "spec": {"token": token}, "status": {"user": {}}}
        if audiences:
            doc["spec"]["audiences"] = list(audiences)
        return self.raw("/authenticate?timeout=30s", json.dumps(doc).encode() + b"\n", client=client)

    def user_of(self, token, **kw):
        """status.user of an accepted token; None for a refused one."""
        got = self.token_review(token, **kw)
        assert got.status == 200, got
        status = got.json["status"]
        return status["user"] if status.get("authenticated") else None

    def access_review(self, user, groups=(), verb="list", resource="pods", namespace=None, name=None,
                      group="", subresource=None, path=None, version="v1", client=None, extra=None):
        """As kube-apiserver sends it. PATH: a non-resource request. Gives the Reply."""
        spec = {"user": user}
        if groups:
            spec["groups" if version == "v1" else "group"] = list(groups)
        if extra:
            spec["extra"] = extra
        if path is not None:
            spec["nonResourceAttributes"] = {"path": path, "verb": verb}
        else:
            attrs = {"verb": verb, "group": group, "version": "v1", "resource": resource,
                     "subresource": subresource, "namespace": namespace, "name": name}
            spec["resourceAttributes"] = {k: v for k, v in attrs.items() if v}
        doc = {"kind": "SubjectAccessReview", "apiVersion": f"authorization.k8s.io/{version}",
               "metadata": {"creationTimestamp": None}, "spec": spec, "status": {"allowed": False}}
        return self.raw("/authorize?timeout=30s", json.dumps(doc).encode() + b"\n", client=client)

    def verdict(self, user, **kw):
        """"allow", "deny" or "noOpinion"."""
        got = self.access_review(user, **kw)
        assert got.status == 200, got
        status = got.json["status"]
        assert not (status.get("allowed") and status.get("denied")), got
        return "allow" if status.get("allowed") else "deny" if status.get("denied") else "noOpinion"

    def login(self, user, password, basic=False, **extra):
        with self.login_client() as c:
            if basic:
                word = base64.b64encode(f"{user}:{password}".encode()).decode()
                return c.post("/login", body=b"", headers={"Authorization": f"Basic {word}"})
            return c.post("/login", json={"username": user, "password": password, **extra})

    def login_token(self, user, password, **kw):
        got = self.login(user, password, **kw)
        assert got.status == 200, got
        return got.json["token"]

    # --- what it tells ---
    def metrics(self):
        """{"name{labels}": value}"""
        with self.ops() as c:
            text = c.get("/metrics").text
        out = {}
        for line in text.splitlines():
            m = re.match(r"([^\s#{]+(?:\{.*\})?) (\S+)$", line)
            if m:
                out[m.group(1)] = float(m.group(2))
        return out

    def metric(self, name, **labels):
        """Sum of the series of NAME that carry LABELS."""
        total = 0.0
        for key, value in self.metrics().items():
            if key.split("{")[0] == name and all(f'{k}="{v}"' in key for k, v in labels.items()):
                total += value
        return total

    def audit(self, kind=None):
        """The records so far, of one type or all. A line being written is left for the next call."""
        try:
            with open(self.audit_path, encoding="utf-8") as f:
                lines = f.read().split("\n")[:-1]
        except FileNotFoundError:
            return []
        records = [json.loads(line) for line in lines if line]
        return [r for r in records if kind is None or r["type"] == kind]

    def wait_audit(self, kind, match=lambda r: True, after=0):
        """Waits for a record of KIND past the first AFTER ones that MATCHes; gives it."""
        def look():
            return next((r for r in self.audit(kind)[after:] if match(r)), None)
        return self.process.wait_for(look, f"audit record {kind}")

    def change_policy(self, doc, name="policy.yaml", hup=False):
        """Writes the policy and waits until it is loaded; gives the audit record."""
        before = len(self.audit("policy.loaded"))
        self.write_policy(doc, name)
        if hup:
            self.reload()
        return self.wait_audit("policy.loaded", after=before)

    def break_policy(self, text, name="policy.yaml", hup=False):
        """Writes a policy that must be refused and waits until it is; gives the audit record."""
        before = len(self.audit("policy.rejected"))
        self.write_policy(text, name)
        if hup:
            self.reload()
        return self.wait_audit("policy.rejected", after=before)

    def log(self):
        """The daemon's own log: JSON lines on stderr."""
        out = []
        for line in self.process.output().splitlines():
            try:
                out.append(json.loads(line))
            except ValueError:
                out.append({"msg": line})
        return out

    def wait_log(self, pattern):
        return self.process.wait_line(pattern)


class Load:
    """Calls WORK(stop_requested) again and again from THREADS threads until left; keeps what it raised."""

    def __init__(self, work, threads=4):
        self.work, self.errors, self.done = work, [], 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(i,), daemon=True)
                         for i in range(threads)]

    def _run(self, i):
        while not self._stop.is_set():
            try:
                self.work(i)
            except Exception as e:  # pylint: disable=broad-except
                with self._lock:
                    self.errors.append(e)
            with self._lock:
                self.done += 1

    def wait_more(self, n):
        """Until N further calls are through."""
        goal = self.done + n
        wait_until(lambda: self.done >= goal, f"{n} more calls under load")

    def __enter__(self):
        for t in self._threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        for t in self._threads:
            t.join(60)
