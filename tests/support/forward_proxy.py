"""Forward proxies of tests: HTTP CONNECT, in the clear or in TLS, and SOCKS5. Each notes what it was asked."""
import base64
import socket
import ssl
import struct
import threading

from .proc import Service


class ForwardProxy(Service):
    """KIND: "http", "https" (with PAIR, its certificate) or "socks5". With AUTH ("user", "password") it asks for that."""

    def __init__(self, kind, pair=None, auth=None):
        self.kind, self.auth = kind, auth
        self.asked = []   # (host, port) as the client named them
        self.heads = []   # of CONNECT, whole
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._context = None
        if kind == "https":
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(pair.crt, pair.key)
        self._threads, self._open = [], []
        self._acceptor = threading.Thread(target=self._accept)

    def url(self, credentials=""):
        return f"{self.kind}://{credentials}127.0.0.1:{self.port}"

    def start(self):
        self._acceptor.start()
        return self

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        for s in list(self._open):
            try:
                socket.socket.shutdown(s, socket.SHUT_RDWR)
            except OSError:
                pass
        for t in self._threads:
            t.join()

    def _accept(self):
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            t = threading.Thread(target=self._serve, args=(conn,))
            self._threads.append(t)
            t.start()

    def _serve(self, conn):
        try:
            if self._context:
                conn = self._context.wrap_socket(conn, server_side=True)
            self._open.append(conn)
            target = self._socks(conn) if self.kind == "socks5" else self._connect(conn)
            if target:
                with socket.create_connection(target) as up:
                    self._open.append(up)
                    if self.kind == "socks5":
                        conn.sendall(b"\5\0\0\1\0\0\0\0\0\0")
                    else:
                        conn.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                    back = threading.Thread(target=self._pump, args=(up, conn))
                    back.start()
                    self._pump(conn, up)
                    back.join()
        except OSError:
            pass
        finally:
            conn.close()

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                socket.socket.shutdown(s, socket.SHUT_RDWR)
            except OSError:
                pass

    def _connect(self, conn):
        head = b""
        while b"\r\n\r\n" not in head:
            data = conn.recv(65536)
            if not data:
                return None
            head += data
        text = head.decode("latin-1")
        self.heads.append(text)
        host, port = text.split(" ")[1].rsplit(":", 1)
        self.asked.append((host, int(port)))
        if self.auth:
            want = base64.b64encode(":".join(self.auth).encode()).decode()
            if f"Proxy-Authorization: Basic {want}\r\n" not in text:
                conn.sendall(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
                return None
        return host, int(port)

    def _socks(self, conn):
        reader = conn.makefile("rb", buffering=0)
        _, n = reader.read(2)
        methods = reader.read(n)
        method = 2 if self.auth else 0
        if method not in methods:
            conn.sendall(b"\5\xff")
            return None
        conn.sendall(bytes([5, method]))
        if self.auth:
            reader.read(1)
            got = tuple(reader.read(reader.read(1)[0]).decode() for _ in range(2))
            conn.sendall(b"\1\0" if got == self.auth else b"\1\1")
            if got != self.auth:
                return None
        kind = reader.read(4)[3]
        host = socket.inet_ntoa(reader.read(4)) if kind == 1 else reader.read(reader.read(1)[0]).decode()
        port = struct.unpack(">H", reader.read(2))[0]
        self.asked.append((host, port))
        return host, port
