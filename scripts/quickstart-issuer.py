#!/usr/bin/env python3
"""The quickstart's JWT issuer: an RSA key, its key set and discovery document over HTTPS on loopback.

Usage: quickstart-issuer.py FOLDER PORT    FOLDER has issuer.crt and issuer.key (TLS); gets jane.jwt.
Prints "ready" when it listens. Signs by the openssl command, so that it needs no package of Python's.
"""
import base64
import http.server
import json
import re
import ssl
import subprocess
import sys
import time


def openssl(*args, data=b""):
    return subprocess.run(["openssl", *args], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=True).stdout


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def main():
    folder, port = sys.argv[1], int(sys.argv[2])
    url = f"https://127.0.0.1:{port}"
    key = f"{folder}/jwt.key"
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
    modulus = openssl("rsa", "-in", key, "-noout", "-modulus").decode()
    n = bytes.fromhex(re.search(r"=([0-9A-F]+)", modulus).group(1))
    jwk = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "quickstart", "n": b64(n), "e": "AQAB"}

    now = int(time.time())
    head = {"alg": "RS256", "typ": "JWT", "kid": jwk["kid"]}
    claims = {"iss": url, "aud": "kubernetes", "sub": "jane", "email": "jane@example.com",
              "email_verified": True, "groups": ["dev"], "iat": now, "exp": now + 3600}
    signed = b64(json.dumps(head).encode()) + "." + b64(json.dumps(claims).encode())
    signature = openssl("dgst", "-sha256", "-sign", key, "-binary", data=signed.encode())
    with open(f"{folder}/jane.jwt", "w", encoding="ascii") as f:
        f.write(f"{signed}.{b64(signature)}")

    documents = {
        "/.well-known/openid-configuration": {
            "issuer": url, "jwks_uri": f"{url}/jwks", "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"]},
        "/jwks": {"keys": [jwk]},
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # pylint: disable=invalid-name
            doc = documents.get(self.path)
            body = json.dumps(doc or {"error": "not found"}).encode()
            self.send_response(200 if doc else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/issuer.crt", f"{folder}/issuer.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
