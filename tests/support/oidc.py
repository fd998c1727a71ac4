"""A certified OpenID provider (npm oidc-provider) over TLS, and a person who logs in to it without a browser.

ID tokens come from the real authorization code flow, spoken over HTTP with the provider's own development
login page: nothing signs a token behind the provider's back.
"""
import hashlib
import http.cookiejar
import json
import os
import re
import secrets
import shutil
import ssl
import urllib.error
import urllib.parse
import urllib.request

from . import pki
from .https import Client
from .paths import CACHE, TOP, tool
from .ports import free_ports
from .proc import Process, Service, run

SOURCE = os.path.join(TOP, "tests", "support", "oidc_provider")
CLIENT_ID = "kubernetes"

DEFAULT_USERS = {
    "alice": {"email": "alice@example.com", "email_verified": True, "groups": ["dev", "ops"]},
    "bob": {"email": "bob@example.com", "email_verified": True, "groups": ["dev"]},
    "carol": {"email": "carol@example.com", "email_verified": True, "groups": ["contractors"]},
    "mallory": {"email": "mallory@example.com", "email_verified": True,
                "groups": ["dev", "system:masters"]},
}


def modules_folder():
    """Installs oidc-provider once per package.json into the cache; gives the folder."""
    with open(os.path.join(SOURCE, "package.json"), "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()[:16]
    folder = os.path.join(CACHE, f"npm-{digest}")
    if os.path.exists(os.path.join(folder, ".complete")):
        return folder
    work = f"{folder}.{os.getpid()}"
    os.makedirs(work)
    shutil.copy(os.path.join(SOURCE, "package.json"), work)
    run([tool("npm"), "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts",
         "--loglevel=error"], cwd=work, check=True, deadline=600)
    with open(os.path.join(work, ".complete"), "w", encoding="ascii"):
        pass
    try:
        os.rename(work, folder)
    except OSError:  # another run was faster
        shutil.rmtree(work)
    return folder


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        return None


class Issuer(Service):
    def __init__(self, folder, ca=None, users=None, alg="RS256", id_token_ttl=3600):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.ca = ca or pki.CA(os.path.join(self.folder, "pki"), "issuer-ca")
        self.cert = self.ca.server("issuer", folder=os.path.join(self.folder, "pki"))
        self.port, self.admin_port, callback = free_ports(3)
        self.url = f"https://localhost:{self.port}"
        self.secret = secrets.token_hex(16)
        self.redirect = f"https://localhost:{callback}/callback"
        conf = {
            "issuer": self.url, "port": self.port, "adminPort": self.admin_port,
            "cert": self.cert.crt, "key": self.cert.key, "modules": modules_folder(),
            "clientId": CLIENT_ID, "clientSecret": self.secret, "redirectUri": self.redirect,
            "cookieKey": secrets.token_hex(16), "alg": alg, "idTokenTtl": id_token_ttl,
            "users": DEFAULT_USERS if users is None else users,
        }
        path = os.path.join(self.folder, "issuer.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(conf, f)
        self.process = Process([tool("node"), os.path.join(SOURCE, "provider.mjs"), path],
                               os.path.join(self.folder, "issuer.log"), name="oidc-provider",
                               env={"NODE_ENV": "development"})

    def start(self):
        self.process.start()
        self.process.wait_line("issuer ready")
        return self

    def stop(self):
        self.process.stop()

    # --- admin ---
    def _admin(self, method, path, doc=None):
        with Client(self.admin_port) as c:
            got = c.request(method, path, json=doc)
            assert got.status == 200, got
            return got.json

    def rotate(self, keep=False):
        """A new signing key; the old ones leave the key set unless KEEP. Sessions and grants go on."""
        return self._admin("POST", "/rotate?keep=1" if keep else "/rotate")["kid"]

    def set_user(self, user, **claims):
        self._admin("POST", "/user", {"id": user, "claims": claims})

    def fetches(self):
        """How often discovery and key set were asked for."""
        return self._admin("GET", "/fetches")

    # --- a person ---
    def id_token(self, user, scope="openid email profile groups"):
        """The whole code flow as USER; gives the ID token."""
        jar = http.cookiejar.CookieJar(policy=http.cookiejar.DefaultCookiePolicy(
            secure_protocols=("https",)))
        context = ssl.create_default_context(cafile=self.ca.crt)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context),
            urllib.request.HTTPCookieProcessor(jar), _NoRedirect())

        def fetch(url, form=None):
            data = urllib.parse.urlencode(form).encode() if form is not None else None
            req = urllib.request.Request(url, data=data)
            try:
                with opener.open(req, timeout=30) as r:
                    return r.status, r.headers, r.read().decode()
            except urllib.error.HTTPError as e:
                return e.code, e.headers, e.read().decode()

        state = secrets.token_hex(8)
        url = f"{self.url}/auth?" + urllib.parse.urlencode({
            "client_id": CLIENT_ID, "response_type": "code", "scope": scope, "state": state,
            "nonce": secrets.token_hex(8), "redirect_uri": self.redirect})
        status, headers, body = fetch(url)
        for _ in range(10):
            if status in (302, 303):
                url = urllib.parse.urljoin(url, headers["Location"])
                if url.startswith(self.redirect):
                    break
                status, headers, body = fetch(url)
            elif status == 200 and "/interaction/" in url:
                prompt = re.search(r'name="prompt" value="(\w+)"', body).group(1)
                action = re.search(r'action="([^"]+)"', body).group(1)
                form = {"prompt": prompt}
                if prompt == "login":
                    form.update(login=user, password="any")
                url = urllib.parse.urljoin(url, action)
                status, headers, body = fetch(url, form)
            else:
                raise AssertionError(f"{url}: {status}\n{body}\n{self.process.tail()}")
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        assert query.get("state") == state and "code" in query, url
        status, headers, body = fetch(f"{self.url}/token", {
            "grant_type": "authorization_code", "code": query["code"], "redirect_uri": self.redirect,
            "client_id": CLIENT_ID, "client_secret": self.secret})
        assert status == 200, f"{status} {body}"
        return json.loads(body)["id_token"]

    def config(self, **override):
        """The jwt[] entry of portcullis.yaml for this issuer."""
        entry = {
            "issuer": {"url": self.url, "audiences": [CLIENT_ID], "certificateAuthority": self.ca.pem},
            "claimMappings": {"username": {"claim": "email", "prefix": "oidc:"},
                              "groups": {"claim": "groups", "prefix": "oidc:"}},
        }
        entry.update(override)
        return entry
