"""An issuer that misbehaves on order, over TLS, and a listener that only counts who calls."""
import http.server
import json
import socket
import ssl
import threading

DISCOVERY = "/.well-known/openid-configuration"


class Listener:
    """Takes TCP connections, says nothing, counts them: what must never be called."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.calls = 0
        self.closing = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            if not self.closing:
                self.calls += 1
            conn.close()

    def stop(self):
        self.closing = True
        try:
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        except OSError:
            pass
        self.socket.close()
        self.thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()


class FakeIssuer:
    """PAGES: path -> document, or (status, headers, body), or a function of the request handler that answers
    by itself. SEEN lists the paths that were asked for. URL names localhost."""

    def __init__(self, ca, cert=None, keys=None, newest=None):
        self.ca = ca
        self.cert = cert or ca.server("fake-issuer")
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # noqa: N802
                issuer.answer(self)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request, client_address):
                # In the request's own thread: a handshake that fails or hangs delays nobody.
                try:
                    with issuer.context.wrap_socket(request, server_side=True) as tls:
                        self.RequestHandlerClass(tls, client_address, self)
                except OSError:
                    pass

            def handle_error(self, request, client_address):
                pass

        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.cert.crt, self.cert.key)
        if newest:
            self.context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            self.context.maximum_version = newest
            self.context.set_ciphers("ALL:@SECLEVEL=0")
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"https://localhost:{self.port}"
        self.seen = []
        self.stopping = threading.Event()
        self.pages = {DISCOVERY: {"issuer": self.url, "jwks_uri": self.url + "/jwks"},
                      "/jwks": keys or {"keys": []}}
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def answer(self, handler):
        self.seen.append(handler.path)
        page = self.pages.get(handler.path, (404, {}, b""))
        if callable(page):
            page(handler)
            return
        status, headers, body = page if isinstance(page, tuple) else (200, {}, page)
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def config(self, prefix="fake:", **issuer):
        """The jwt[] entry: sub and groups, each with PREFIX."""
        return {"issuer": {"url": self.url, "audiences": ["kubernetes"],
                           "certificateAuthority": self.ca.pem, **issuer},
                "claimMappings": {"username": {"claim": "sub", "prefix": prefix},
                                  "groups": {"claim": "groups", "prefix": prefix}}}

    def stop(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
