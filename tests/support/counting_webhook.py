"""An HTTPS server in the webhook's place: counts access reviews and answers as it is told."""
import http.server
import json
import ssl
import threading

from . import pki


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
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.crt, pair.key)
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

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self):
                conn, address = super().get_request()
                return context.wrap_socket(conn, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def asked(self, user):
        """The specs of all reviews about USER since the last call."""
        with self._lock:
            found = [s for s in self._asked if s.get("user") == user]
            self._asked = [s for s in self._asked if s.get("user") != user]
            return found

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
