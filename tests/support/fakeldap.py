"""A directory that misbehaves on order: just enough of LDAP (RFC 4511) over TLS, plain, or StartTLS."""
import socket
import ssl
import struct
import threading

BIND, UNBIND, SEARCH, ABANDON, EXTENDED = 0x60, 0x42, 0x63, 0x50, 0x77


def tlv(tag, body):
    n = len(body)
    if n < 128:
        return bytes([tag, n]) + body
    size = (n.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + n.to_bytes(size, "big") + body


def octets(s, tag=0x04):
    return tlv(tag, s if isinstance(s, bytes) else s.encode())


def result(tag, code, referral=None, text=""):
    body = tlv(0x0A, bytes([code])) + octets("") + octets(text)
    if referral:
        body += tlv(0xA3, octets(referral))
    return tlv(tag, body)


def bind_result(code, **kw):
    return result(0x61, code, **kw)


def search_done(code=0, **kw):
    return result(0x65, code, **kw)


def entry(dn, **attrs):
    body = b""
    for name, values in attrs.items():
        vals = b"".join(octets(v) for v in (values if isinstance(values, list) else [values]))
        body += tlv(0x30, octets(name) + tlv(0x31, vals))
    return tlv(0x64, octets(dn) + tlv(0x30, body))


def message(ident, op, controls=b""):
    return tlv(0x30, tlv(0x02, struct.pack(">i", ident)) + op + (tlv(0xA0, controls) if controls else b""))


def _sent(ident, part):
    if not isinstance(part, tuple):
        return message(ident, part)
    return part[1] if part[0] == "raw" else message(ident, *part[1:])


def _split(data):
    """The first element of DATA: (tag, body, rest); None when it is not whole."""
    if len(data) < 2:
        return None
    n, at = data[1], 2
    if n & 0x80:
        size = n & 0x7F
        if len(data) < 2 + size:
            return None
        n, at = int.from_bytes(data[2:2 + size], "big"), 2 + size
    if len(data) < at + n:
        return None
    return data[0], data[at:at + n], data[at + n:]


class Hangup(Exception):
    """Raised by an answer: close the connection now."""


class FakeLdap:
    """ON_BIND(dn, password) and ON_SEARCH(base) give a list of operations to answer with; bytes in a list
    element that is a tuple ("raw", b"…") are sent as they are, ("controls", operation, b"…") adds controls. ON_STARTTLS: "ok", "refuse", "plain"
    (says yes, then speaks no TLS), "inject" (a bind's answer in clear text behind its own) or "silent". SEEN lists what arrived: (op, …)."""

    def __init__(self, pair=None, tls=True, on_bind=None, on_search=None, on_starttls="ok", silent=False,
                 newest=None):
        self.on_bind = on_bind or (lambda dn, password: [bind_result(0)])
        self.on_search = on_search or (lambda base: [search_done(0)])
        self.on_starttls, self.tls, self.silent = on_starttls, tls, silent
        self.seen, self.connections = [], 0
        self.context = None
        if pair:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(pair.crt, pair.key)
            if newest:
                self.context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
                self.context.maximum_version = newest
                self.context.set_ciphers("ALL:@SECLEVEL=0")
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.open, self.threads = [], []
        self.closing = False
        self._spawn(self._accept)

    @property
    def url(self):
        return f"{'ldaps' if self.tls else 'ldap'}://127.0.0.1:{self.port}"

    def binds(self):
        return [s[1] for s in self.seen if s[0] == "bind"]

    def _spawn(self, target, *args):
        t = threading.Thread(target=target, args=args, daemon=True)
        self.threads.append(t)
        t.start()

    def _accept(self):
        while not self.closing:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(conn)
            self._spawn(self._serve, conn)

    def _serve(self, conn):
        try:
            if self.silent:
                while conn.recv(4096):
                    pass
                return
            if self.tls:
                conn = self.context.wrap_socket(conn, server_side=True)
                self.open.append(conn)
            self._talk(conn)
        except (OSError, Hangup, ssl.SSLError, ValueError, TypeError):  # TypeError: no LDAP
            pass
        finally:
            try:
                conn.close()
            except OSError:
                pass

    def _talk(self, conn):
        data = b""
        while True:
            got = _split(data)
            if got is None:
                more = conn.recv(65536)
                if not more:
                    return
                data += more
                continue
            _, body, data = got
            _, ident, rest = _split(body)
            tag, op, _ = _split(rest)
            ident = int.from_bytes(ident, "big")
            if tag == UNBIND:
                return
            if tag == EXTENDED:
                conn = self._starttls(conn, ident)
                continue
            for part in self._answer(tag, op):
                conn.sendall(_sent(ident, part))

    def _answer(self, tag, op):
        if tag == BIND:
            _, _, rest = _split(op)
            _, dn, rest = _split(rest)
            _, password, _ = _split(rest)
            self.seen.append(("bind", dn.decode("utf-8", "replace"), password))
            return self.on_bind(dn.decode("utf-8", "replace"), password)
        if tag == SEARCH:
            _, base, _ = _split(op)
            self.seen.append(("search", base.decode("utf-8", "replace")))
            return self.on_search(base.decode("utf-8", "replace"))
        return []

    def _starttls(self, conn, ident):
        self.seen.append(("starttls",))
        if self.on_starttls == "silent":
            return conn
        code = 2 if self.on_starttls == "refuse" else 0
        # What stands behind the answer in the same packet is clear text of whoever sits between the two.
        behind = message(ident + 1, bind_result(0)) if self.on_starttls == "inject" else b""
        conn.sendall(message(ident, result(0x78, code)) + behind)
        if self.on_starttls in ("ok", "inject"):
            conn = self.context.wrap_socket(conn, server_side=True)
            self.open.append(conn)
        return conn

    def stop(self):
        self.closing = True
        # shutdown wakes accept(); close alone would not.
        for s in [self.socket, *self.open]:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        for t in self.threads:
            t.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
