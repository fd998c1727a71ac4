"""A small HTTPS client with a connection kept open, for mTLS tests."""
import http.client
import json as jsonlib
import ssl


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def json(self):
        return jsonlib.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.text[:300]!r}>"


def tls_context(ca, pair=None, minimum=None, maximum=None):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.load_verify_locations(ca if isinstance(ca, str) else ca.crt)
    if pair is not None:
        ctx.load_cert_chain(pair.crt, pair.key)
    if minimum:
        ctx.minimum_version = minimum
    if maximum:
        ctx.maximum_version = maximum
    return ctx


class Client:
    """One connection, reused; not thread-safe. CONTEXT None: plain HTTP."""

    def __init__(self, port, context=None, host="127.0.0.1", timeout=60, reopen=True):
        self.port, self.context, self.host, self.timeout = port, context, host, timeout
        self.reopen = reopen
        self.conn = None
        self.connects = 0

    def _open(self):
        if self.context is None:
            self.conn = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        else:
            self.conn = http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout,
                                                    context=self.context)
        self.conn.connect()
        self.connects += 1

    def request(self, method, path, body=None, headers=None, json=None):
        """Sends and reads whole. A connection the server closed while idle is opened again, once,
        unless the client was made with reopen=False: then the caller sees every broken exchange."""
        headers = dict(headers or {})
        if json is not None:
            body = jsonlib.dumps(json).encode()
            headers.setdefault("Content-Type", "application/json")
        fresh = self.conn is None
        try:
            if fresh:
                self._open()
            self.conn.request(method, path, body=body, headers=headers)
            got = self.conn.getresponse()
            reply = Reply(got.status, got.headers, got.read())
            if got.will_close:
                self.close()
            return reply
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError,
                ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self.close()
            if fresh or not self.reopen:
                raise
            return self.request(method, path, body=body, headers=headers)
        except Exception:
            self.close()
            raise

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, **kw):
        return self.request("POST", path, **kw)

    def close(self):
        if self.conn is not None:
            self.conn.close()
            self.conn = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
