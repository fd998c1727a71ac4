"""ES256 keys and tokens (RFC 7515, 7517), written apart from the code under test."""
import base64
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(text):
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def new_es256(kid="made-by-a-test"):
    """A private JWK."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_numbers()
    private = key.private_numbers().private_value
    return {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
            "x": b64(public.x.to_bytes(32, "big")), "y": b64(public.y.to_bytes(32, "big")),
            "d": b64(private.to_bytes(32, "big"))}


def sign_es256(jwk, claims, typ="JWT"):
    """CLAIMS as a token signed by the private JWK."""
    key = ec.derive_private_key(number(jwk["d"]), ec.SECP256R1())
    head = {"alg": "ES256", "kid": jwk["kid"], "typ": typ}
    text = b64(json.dumps(head).encode()) + "." + b64(json.dumps(claims).encode())
    r, s = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return text + "." + b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
