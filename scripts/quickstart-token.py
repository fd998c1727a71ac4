#!/usr/bin/env python3
"""The quickstart's JWT issuer: makes an RSA key, writes its public key set and one signed token.

Usage: quickstart-token.py FOLDER ISSUER    writes FOLDER/jwks.json, FOLDER/jane.jwt
Signs by the openssl command, so that it needs no package of Python's.
"""
import base64
import json
import re
import subprocess
import sys
import time


def openssl(*args, data=b""):
    return subprocess.run(["openssl", *args], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=True).stdout


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def main():
    folder, issuer = sys.argv[1:3]
    key = f"{folder}/jwt.key"
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
    modulus = openssl("rsa", "-in", key, "-noout", "-modulus").decode()
    n = bytes.fromhex(re.search(r"=([0-9A-F]+)", modulus).group(1))
    jwk = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "quickstart", "n": b64(n), "e": "AQAB"}
    with open(f"{folder}/jwks.json", "w", encoding="ascii") as f:
        json.dump({"keys": [jwk]}, f)

    now = int(time.time())
    head = {"alg": "RS256", "typ": "JWT", "kid": jwk["kid"]}
    claims = {"iss": issuer, "aud": "kubernetes", "sub": "jane", "email": "jane@example.com",
              "email_verified": True, "groups": ["dev"], "iat": now, "exp": now + 3600}
    signed = b64(json.dumps(head).encode()) + "." + b64(json.dumps(claims).encode())
    signature = openssl("dgst", "-sha256", "-sign", key, "-binary", data=signed.encode())
    with open(f"{folder}/jane.jwt", "w", encoding="ascii") as f:
        f.write(f"{signed}.{b64(signature)}")


if __name__ == "__main__":
    main()
