"""Keys and signed tokens, good and malformed: a third opinion beside libcrypto's and cjose's own code paths.

Nothing here checks what it is told to make.
"""
import base64
import hashlib
import hmac
import json
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
ORDER_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def b64(data):
    data = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


def text_of(part):
    """Header or payload as it is written: text and bytes stay, anything else becomes JSON."""
    return part if isinstance(part, (str, bytes)) else json.dumps(part, separators=(",", ":"))


def compact(header, payload, signature=b""):
    return f"{b64(text_of(header))}.{b64(text_of(payload))}.{b64(signature)}"


def signing_input(header, payload):
    return compact(header, payload).rpartition(".")[0].encode()


def digest_of(alg):
    return {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[alg[2:]]()


class Key:
    """KIND: "RSA", "P-256", "P-384", "P-521", "Ed25519" or "Ed448"."""

    def __init__(self, kind, kid, bits=2048, exponent=65537, private=None):
        self.kind, self.kid = kind, kid
        if private is not None:
            self.private = private
        elif kind == "RSA":
            self.private = rsa.generate_private_key(exponent, bits)
        elif kind in CURVES:
            self.private = ec.generate_private_key(CURVES[kind]())
        else:
            maker = {"Ed25519": ed25519.Ed25519PrivateKey, "Ed448": ed448.Ed448PrivateKey}[kind]
            self.private = maker.generate()
        self.public = self.private.public_key()

    @property
    def alg(self):
        """The one it signs with when nothing else is asked for."""
        return {"RSA": "RS256", "P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}.get(self.kind, "EdDSA")

    def jwk(self, **extra):
        """Public; None as a value leaves a member out."""
        if self.kind == "RSA":
            n = self.public.public_numbers()
            out = {"kty": "RSA", "n": number(n.n), "e": number(n.e)}
        elif self.kind in CURVES:
            n, size = self.public.public_numbers(), (self.public.key_size + 7) // 8
            out = {"kty": "EC", "crv": self.kind, "x": number(n.x, size), "y": number(n.y, size)}
        else:
            raw = self.public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            out = {"kty": "OKP", "crv": self.kind, "x": b64(raw)}
        out["kid"] = self.kid
        out.update(extra)
        return {k: v for k, v in out.items() if v is not None}

    def pem(self):
        return self.public.public_bytes(serialization.Encoding.PEM,
                                        serialization.PublicFormat.SubjectPublicKeyInfo)

    def der(self):
        return self.public.public_bytes(serialization.Encoding.DER,
                                        serialization.PublicFormat.SubjectPublicKeyInfo)

    def ecdsa(self, data, alg):
        """(r, s)"""
        return decode_dss_signature(self.private.sign(data, ec.ECDSA(digest_of(alg))))

    def sign(self, data, alg=None, salt=None, mgf=None):
        alg = alg or self.alg
        if self.kind.startswith("Ed"):
            return self.private.sign(data)
        if self.kind in CURVES:
            size = (self.public.key_size + 7) // 8
            return b"".join(x.to_bytes(size, "big") for x in self.ecdsa(data, alg))
        digest = digest_of(alg)
        if alg[0] == "P":
            pad = padding.PSS(padding.MGF1(mgf or digest),
                              digest.digest_size if salt is None else salt)
        else:
            pad = padding.PKCS1v15()
        return self.private.sign(data, pad, digest)

    def raw_rsa(self, em):
        """The private operation on an encoded message as it stands."""
        n, m = self.private.private_numbers(), int.from_bytes(em, "big")
        a, b = pow(m, n.dmp1, n.p), pow(m, n.dmq1, n.q)
        out = b + (a - b) * n.iqmp % n.p * n.q
        return out.to_bytes((self.public.key_size + 7) // 8, "big")

    def token(self, claims, alg=None, header=None, drop=(), **more):
        """HEADER in place of the whole header (signed as it stands); else ALG, kid and MORE, without DROP."""
        alg = alg or self.alg
        if header is None:
            header = {"alg": alg, "kid": self.kid, **more}
            header = {k: v for k, v in header.items() if k not in drop}
        sig = self.sign(signing_input(header, claims), alg)
        return compact(header, claims, sig)


def hs_token(secret, claims, alg="HS256", **header):
    head = {"alg": alg, **header}
    digest = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}[alg]
    return compact(head, claims, hmac.new(secret, signing_input(head, claims), digest).digest())


def jwks(*keys):
    """KEYS: Key or finished JWKs."""
    return {"keys": [k.jwk() if isinstance(k, Key) else k for k in keys]}


def in_force(seconds=600):
    now = int(time.time())
    return {"iat": now, "exp": now + seconds}


def pkcs1(digest_info, size=256, block=b"\x00\x01", filler=b"\xff", end=b"\x00", garbage=b""):
    """EMSA-PKCS1-v1_5 with every part at will; garbage stands behind."""
    room = size - len(block) - len(end) - len(digest_info) - len(garbage)
    return block + (filler * room)[:room] + end + digest_info + garbage


SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def sha256_info(data):
    return SHA256_INFO + hashlib.sha256(data).digest()
