"""A real Keystone: Debian's, in a folder of its own, with SQLite and Fernet tokens, over TLS."""
import base64
import os
import pwd
import re
import sqlite3

from . import pki
from .https import Client, tls_context
from .paths import TOP, tool
from .ports import free_port
from .proc import Process, Service, run

ADMIN_PASSWORD = "admin-secret-4b19"
SERVER = os.path.join(TOP, "tests", "support", "keystone_server.py")

_CONF = """[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///{folder}/keystone.db
[token]
provider = fernet
expiration = 3600
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/receipts
[credential]
key_repository = {folder}/credential
[cache]
enabled = false
[identity]
password_hash_rounds = 4
[oslo_policy]
policy_file = {folder}/policy.yaml
"""


class Keystone(Service):
    """start() makes the database, the keys and the administrator; users, projects and roles come by its API."""

    def __init__(self, folder, ca=None, name="cloud"):
        self.folder, self.name = str(folder), name
        os.makedirs(self.folder, exist_ok=True)
        self.ca = ca or pki.CA(os.path.join(self.folder, "pki"), "keystone-ca")
        self.cert = self.ca.server("keystone", folder=os.path.join(self.folder, "pki"))
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        self.log_path = os.path.join(self.folder, "requests.log")
        self.process = None
        self._admin = None
        self._client = None

    # --- life ---
    def _manage(self, *args):
        run([tool("keystone-manage"), "--config-file", self._conf, *args], cwd=self.folder, check=True)

    def _prepare(self):
        self._conf = os.path.join(self.folder, "keystone.conf")
        with open(self._conf, "w", encoding="utf-8") as f:
            f.write(_CONF.format(folder=self.folder))
        for repository in ("fernet", "receipts", "credential"):
            here = os.path.join(self.folder, repository)
            os.makedirs(here, mode=0o700)
            for key in "01":  # staged and primary
                with open(os.path.join(here, key), "wb") as f:
                    f.write(base64.urlsafe_b64encode(os.urandom(32)))
                os.chmod(f.name, 0o600)
        self._manage("db_sync")
        with sqlite3.connect(os.path.join(self.folder, "keystone.db")) as db:
            db.execute("PRAGMA journal_mode=WAL")  # readers must not lock writers out
        self._manage("bootstrap", "--bootstrap-password", ADMIN_PASSWORD,
                     "--bootstrap-public-url", self.url + "/v3", "--bootstrap-region-id", "RegionOne")

    def start(self):
        if self.process is None:
            self._prepare()
            self.process = Process(
                ["/usr/bin/python3", "-P", SERVER, self.port, self.cert.crt, self.cert.key, self.log_path],
                os.path.join(self.folder, "keystone.log"), name="keystone", cwd=self.folder,
                env={"OS_KEYSTONE_CONFIG_FILES": self._conf, "PYTHONDONTWRITEBYTECODE": "1",
                     "HOME": pwd.getpwuid(os.getuid()).pw_dir})
        self.process.start()
        self.process.wait_line("keystone ready")
        return self

    def stop(self):
        if self.process is not None:
            self.process.stop()

    # --- its API ---
    def client(self):
        return Client(self.port, tls_context(self.ca), host="localhost")

    def api(self, method, path, doc=None, token=None, status=None):
        """As the administrator, unless TOKEN. Gives the Reply; STATUS: what it must be (default: 2xx)."""
        if self._client is None:
            self._client = self.client()
        if token is None and self._admin is None and path != "/auth/tokens":
            self._admin = self.token("admin", ADMIN_PASSWORD, "admin")
        headers = {}
        if token or self._admin:
            headers["X-Auth-Token"] = token or self._admin
        if path == "/auth/tokens" and method == "POST":
            headers = {}
        got = self._client.request(method, "/v3" + path, json=doc, headers=headers)
        assert got.status == status if status else got.status < 300, f"{method} {path}: {got}"
        return got

    def token(self, user, password, project=None, domain="Default", scope=None):
        """A token by password: for PROJECT (of the same domain), for SCOPE as the API has it, or unscoped."""
        if project is not None:
            scope = {"project": {"name": project, "domain": {"name": domain}}}
        return self._auth({"identity": {"methods": ["password"], "password": {"user": {
            "name": user, "domain": {"name": domain}, "password": password}}},
            "scope": scope or "unscoped"})

    def credential_token(self, ident, secret):
        """A token by an application credential."""
        return self._auth({"identity": {"methods": ["application_credential"],
                                        "application_credential": {"id": ident, "secret": secret}}})

    def _auth(self, auth):
        return self.api("POST", "/auth/tokens",
                        {"auth": auth}, status=201).headers["X-Subject-Token"]

    def revoke(self, token):
        if self._client is None:
            self._client = self.client()
        got = self._client.request("DELETE", "/v3/auth/tokens",
                                   headers={"X-Auth-Token": token, "X-Subject-Token": token})
        assert got.status == 204, got

    def _make(self, kind, doc):
        return self.api("POST", f"/{kind}s", {kind: doc}).json[kind]["id"]

    def domain(self, name):
        return self._make("domain", {"name": name})

    def project(self, name, domain="default"):
        return self._make("project", {"name": name, "domain_id": domain})

    def role(self, name):
        return self._make("role", {"name": name})

    def user(self, name, password, domain="default"):
        return self._make("user", {"name": name, "password": password, "domain_id": domain})

    def group(self, name, members, domain="default"):
        ident = self._make("group", {"name": name, "domain_id": domain})
        for user in members:
            self.api("PUT", f"/groups/{ident}/users/{user}")
        return ident

    def assign(self, user, role, project):
        self.api("PUT", f"/projects/{project}/users/{user}/roles/{role}")

    def update_user(self, user, **members):
        self.api("PATCH", f"/users/{user}", {"user": members})

    def application_credential(self, user, token, name, **members):
        """Made by its owner with TOKEN. Gives id and secret."""
        got = self.api("POST", f"/users/{user}/application_credentials",
                       {"application_credential": {"name": name, **members}}, token=token)
        doc = got.json["application_credential"]
        return doc["id"], doc["secret"]

    # --- what it was asked ---
    def requests(self):
        """[(method, path, status)] so far."""
        with open(self.log_path, encoding="utf-8") as f:
            return [tuple(line.split(" ")) for line in re.findall(r"(.+)\n", f.read())]

    # --- configuration ---
    def config(self, **override):
        """The keystone[] entry of portcullis.yaml."""
        entry = {
            "name": self.name,
            "url": self.url + "/v3",
            "certificateAuthority": self.ca.pem,
            "usernamePrefix": "os:",
            "groupsPrefix": "os:",
            "groups": ["projectID", "projectName", "projectName:role"],
        }
        entry.update(override)
        return {k: v for k, v in entry.items() if v is not None}
