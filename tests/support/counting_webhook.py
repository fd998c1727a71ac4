"""An HTTPS server in the webhook's place: counts access reviews and answers as it is told."""
import http.server
import json
import threading

from . import pki
from .tls_stand_in import TLSStandIn


def allow(reason="told to"):
    return 200, {"allowed": True, "reason": reason}


def deny(reason="told to"):
    return 200, {"allowed": False, "denied": True, "reason": reason}


def no_opinion():
    return 200, {"allowed": False}


class CountingWebhook:
    """ANSWER(spec) gives (HTTP status, status of the review)."""

    def __init__(self, folder):
        self.ca = pki.CA(folder, "webhook-ca")
        self.client = self.ca.client("apiserver")
        pair = self.ca.server("webhook")
        self.answer = lambda spec: no_opinion()
        self._asked = []
        self._lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):  # noqa: N802
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer._lock:
                    outer._asked.append(review["spec"])
                code, status = outer.answer(review["spec"])
                review["status"] = status
                body = json.dumps(review).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = TLSStandIn(pair, Handler)
        self.port = self.server.port

    def asked(self, user):
        """The specs of all reviews about USER since the last call."""
        with self._lock:
            found = [s for s in self._asked if s.get("user") == user]
            self._asked = [s for s in self._asked if s.get("user") != user]
            return found

    def stop(self):
        self.server.stop()
