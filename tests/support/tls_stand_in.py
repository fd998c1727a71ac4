"""A threaded HTTPS server on a free port, for what stands in another's place in tests."""
import http.server
import ssl
import threading


class TLSStandIn(http.server.ThreadingHTTPServer):
    """Serves from the start; PAIR is its certificate. A handshake is made in the thread of its connection, so that
    one that hangs delays nobody."""

    daemon_threads = True

    def __init__(self, pair, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.port = self.server_address[1]
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pair.crt, pair.key)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def get_request(self):
        conn, address = super().get_request()
        return self._context.wrap_socket(conn, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request, client_address):
        pass

    def stop(self):
        self.shutdown()
        self.server_close()
        self._thread.join()
