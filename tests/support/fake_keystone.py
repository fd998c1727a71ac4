"""A Keystone that says what a test wants, also what no Keystone would."""
import datetime
import http.server
import json
import os
import ssl
import threading

from . import pki
from .ports import free_port
from .proc import Service


def token_body(**members):
    """The body about a good token, members replaced; None takes one away."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def stamp(minutes):
        return (now + datetime.timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")

    domain = {"id": "default", "name": "Default"}
    token = {
        "methods": ["password"],
        "user": {"id": "11" * 16, "name": "alice", "domain": domain, "password_expires_at": None},
        "audit_ids": ["3T2dc1CGQxyJsHdDu1xkcw"],
        "expires_at": stamp(30), "issued_at": stamp(-30), "is_domain": False,
        "project": {"id": "22" * 16, "name": "team", "domain": domain},
        "roles": [{"id": "33" * 16, "name": "developer"}],
    }
    token.update(members)
    return {"token": {k: v for k, v in token.items() if v is not None}}


def fernet_shaped(mark):
    """A text of the shape of a Fernet token, a different one for each MARK."""
    return "gAAAAABrA" + str(mark).rjust(174, "x")


class FakeKeystone(Service):
    """ANSWER: a function from (method, path, headers, body) to (status, document or bytes), or None to say
    nothing until the test ends."""

    def __init__(self, folder, answer=None, ca=None):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.ca = ca or pki.CA(self.folder, "fake-keystone-ca")
        self.cert = self.ca.server("fake-keystone", folder=self.folder)
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        self.answer = answer or (lambda *a: (200, token_body()))
        self.asked = []
        self.over = threading.Event()
        self._server = None

    def start(self):
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                self.request = fake.tls.wrap_socket(self.request, server_side=True)
                super().setup()

            def reply(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                fake.asked.append((self.command, self.path, dict(self.headers), body))
                got = fake.answer(self.command, self.path, self.headers, body)
                if got is None:
                    fake.over.wait(60)
                    self.close_connection = True
                    return
                status, doc = got[:2]
                data = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
                self.send_response(status)
                for key, value in (got[2] if len(got) > 2 else {}).items():
                    self.send_header(key, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = reply

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass

        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.cert.crt, self.cert.key)
        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        self.over.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def config(self, **override):
        entry = {"name": "fake", "url": self.url, "certificateAuthority": self.ca.pem,
                 "usernamePrefix": "os:", "groupsPrefix": "os:", "cacheTTL": "0s"}
        entry.update(override)
        return entry
