"""Serves Debian's Keystone over TLS: its WSGI application under wsgiref, a thread for each connection.

Started by keystone.py with the configuration in OS_KEYSTONE_CONFIG_FILES:
    /usr/bin/python3 -P keystone_server.py PORT CERTIFICATE KEY LOG
LOG gets a line for each request: method, path, status.
"""
import concurrent.futures
import socketserver
import ssl
import sys
import wsgiref.simple_server

from keystone.server.wsgi import initialize_public_application


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 64

    def server_bind(self):  # without the reverse look-up of HTTPServer
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]
        self.setup_environ()

    def handle_error(self, request, client_address):
        pass  # clients that leave in the middle are not news


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def setup(self):
        # Here and not on the listening socket: a slow handshake must hold up nobody else.
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self):
        super().finish()
        self.request.close()

    def log_message(self, *args):
        pass


def one_at_a_time(app, out):
    """Keystone sees one thread: SQLite has one writer. OUT is told of each request before it is answered."""
    pool = concurrent.futures.ThreadPoolExecutor(1)

    def whole(environ, start_response):
        def started(status, *args):
            path = environ["PATH_INFO"] + "?" * bool(environ["QUERY_STRING"]) + environ["QUERY_STRING"]
            out.write(f"{environ['REQUEST_METHOD']} {path} {status.split()[0]}\n")
            return start_response(status, *args)
        return list(app(environ, started))

    return lambda *args: pool.submit(whole, *args).result()


def main():
    port, crt, key, log = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    sys.argv[1:] = []
    server = Server(("127.0.0.1", port), Handler)
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(crt, key)
    with open(log, "a", buffering=1, encoding="utf-8") as out:
        server.set_app(one_at_a_time(initialize_public_application(), out))
        print("keystone ready", flush=True)
        server.serve_forever()


main()
