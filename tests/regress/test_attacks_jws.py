"""Rows 1 to 27: what a token's header, signature and shape may try. Each is refused by the running daemon."""
import hashlib
import json

import pytest
from cryptography.hazmat.primitives import hashes

from support import tokens
from support.attacks import STRICT, URL_A, URL_B, Gate
from support.fakeissuer import Listener
from support.tokens import b64, compact, pkcs1, sha256_info, signing_input


def good(gate, token, user="a:jane"):
    """The neighbour of what is refused: it is the attack that makes the difference."""
    assert gate.accepted(token)["username"] == user


@pytest.mark.attack("1")
def test_no_algorithm_in_any_spelling(gate, site):
    claims = site.claims()
    good(gate, site.rsa.token(claims))
    for alg in ("none", "None", "NONE", "nOnE", "", "nul", "RS1", "rs256", "RS256 ", "ES256K", "dir", "RSA-OAEP"):
        for signature in (b"", b"x", b"\0" * 256):
            gate.refused(compact({"alg": alg, "kid": "rsa"}, claims, signature), "badHeader")
        gate.refused(site.rsa.token(claims, header={"alg": alg, "kid": "rsa"}), "badHeader")
    for alg in (None, 5, ["RS256"], {"alg": "RS256"}, True):
        gate.refused(site.rsa.token(claims, header={"alg": alg, "kid": "rsa"}), "badHeader")
    gate.refused(site.rsa.token(claims, drop=["alg"]), "badHeader")
    for key in (site.rsa, site.p256, site.ed):
        gate.refused(compact({"alg": key.alg, "kid": key.kid}, claims, b""), "badSignature")


@pytest.mark.attack("2")
def test_a_public_key_is_no_hmac_secret(gate, site):
    for key in (site.rsa, site.p256):
        secrets = [key.pem(), key.pem().strip(), key.der(), json.dumps(key.jwk()).encode()]
        if key.kind == "RSA":
            secrets.append(tokens.unb64(key.jwk()["n"]))
        for secret in secrets:
            for alg in ("HS256", "HS384", "HS512"):
                gate.refused(tokens.hs_token(secret, site.claims(), alg, kid=key.kid), "badHeader")
    gate.refused(tokens.hs_token(b"", site.claims()), "badHeader")


@pytest.mark.attack("3", "10")
def test_a_key_serves_the_algorithm_its_issuer_says_and_no_other(gate, site):
    good(gate, site.only.token(site.claims()))
    for alg in ("RS384", "RS512", "PS256", "PS384", "PS512"):
        gate.refused(site.only.token(site.claims(), alg), "badSignature")
        good(gate, site.rsa.token(site.claims(), alg))
    claims = site.claims(STRICT, email="jane@corp.com", email_verified=True, hd="corp.com")
    for key in (site.rsa, site.p256):
        good(gate, key.token(claims), "strict:jane@corp.com")
    for key, alg in ((site.rsa, "RS384"), (site.rsa, "RS512"), (site.rsa, "PS256"), (site.p384, "ES384"),
                     (site.ed, "EdDSA"), (site.ed, "Ed25519")):
        gate.refused(key.token(claims, header={"alg": alg, "kid": key.kid}), "badSignature", "badHeader")


@pytest.mark.attack("4")
def test_algorithm_and_curve_must_fit(gate, site):
    claims = site.claims()
    good(gate, site.p384.token(claims))
    for key in (site.p256, site.p384, site.p521):
        for alg in ("ES256", "ES384", "ES512"):
            if alg != key.alg:
                gate.refused(key.token(claims, alg), "badSignature")
        gate.refused(key.token(claims, header={"alg": "RS256", "kid": key.kid}), "badSignature")
        gate.refused(key.token(claims, header={"alg": "EdDSA", "kid": key.kid}), "badSignature")
        # The kid of a key of another kind.
        gate.refused(key.token(claims, header={"alg": key.alg, "kid": "rsa"}), "badSignature")
    for alg in ("ES256", "EdDSA", "Ed448"):
        gate.refused(site.rsa.token(claims, header={"alg": alg, "kid": "rsa"}), "badSignature")
    good(gate, site.ed.token(claims))
    good(gate, site.ed.token(claims, header={"alg": "Ed25519", "kid": "ed"}))
    gate.refused(site.ed.token(claims, header={"alg": "Ed448", "kid": "ed"}), "badSignature")


@pytest.mark.attack("5")
def test_es256_signatures_have_64_bytes(gate, site):
    claims, header = site.claims(), {"alg": "ES256", "kid": "p256"}
    r, s = site.p256.ecdsa(signing_input(header, claims), "ES256")
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    good(gate, compact(header, claims, raw))

    def der_int(n):
        body = n.to_bytes(n.bit_length() // 8 + 1, "big")
        return b"\x02" + bytes([len(body)]) + body
    der = der_int(r) + der_int(s)
    wide = [r.to_bytes(n, "big") + s.to_bytes(n, "big") for n in (33, 34, 48, 64, 66, 100)]
    for bad in (raw[:32], raw[:62], raw[:63], raw[1:], raw + b"\0", b"\0" + raw, raw + b"\0\0", raw + raw,
                b"\x30" + bytes([len(der)]) + der, r.to_bytes(32, "big") + s.to_bytes(34, "big"), *wide):
        gate.refused(compact(header, claims, bad), "badSignature")
    assert len(wide[3]) == 128


@pytest.mark.attack("6")
def test_r_and_s_out_of_range(gate, site):
    claims, header, n = site.claims(), {"alg": "ES256", "kid": "p256"}, tokens.ORDER_P256
    r, s = site.p256.ecdsa(signing_input(header, claims), "ES256")
    edges = (0, n, n + 1, 2 ** 256 - 1)
    pairs = [(x, y) for x in edges for y in edges] + [(x, s) for x in edges] + [(r, y) for y in edges]
    pairs += [(1, 1), (s, r), (n - r, s)]
    if r < 2 ** 256 - n:
        pairs.append((r + n, s))
    for x, y in pairs:
        gate.refused(compact(header, claims, x.to_bytes(32, "big") + y.to_bytes(32, "big")), "badSignature")


# P-256: y² = x³ - 3x + b
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
     0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k, a):
    out = None
    for bit in bin(k)[2:]:
        out = add(out, out)
        if bit == "1":
            out = add(out, a)
    return out


def smallest_x(above):
    """A point whose x is just above."""
    x = above
    while True:
        yy = (x * x * x - 3 * x + B) % P
        y = pow(yy, (P + 1) // 4, P)
        if y * y % P == yy:
            return x, y
        x += 1


@pytest.mark.attack("6")
def test_extreme_signatures_verify_in_one_form_only(tmp_path, site):
    """Keys made for a signature, not the other way round: r and s that are tiny, huge, or equal. They are good ones,
    and nothing beside them is, above all not the same r with the order added, which fits into 32 bytes."""
    n, url = tokens.ORDER_P256, "https://edge.example.com"
    points = {"tiny r": smallest_x(1), "r past the order": smallest_x(n), "middle": times(1234567, G),
              "r of G": G, "huge r": smallest_x(n - 1000)}
    keys, signed = [], []
    for i, (name, point) in enumerate(points.items()):
        for s in (1, 2, n - 1, n // 2, point[0] % n):
            header, claims = {"alg": "ES256", "kid": f"{i}-{s % 1000}"}, site.claims(url, sub=f"{name} {s}")
            e = int.from_bytes(hashlib.sha256(signing_input(header, claims)).digest(), "big")
            r = point[0] % n
            # Q = r⁻¹ (s R - e G)
            q = times(pow(r, -1, n), add(times(s, point), times(n - e % n, G)))
            keys.append({"kty": "EC", "crv": "P-256", "kid": header["kid"],
                         "x": tokens.number(q[0], 32), "y": tokens.number(q[1], 32)})
            signed.append((header, claims, r, s))
    site.write("edge", {"keys": keys})
    with Gate(tmp_path / "gate", jwt=[site.entry(url, "edge", "edge:")]) as gate:
        for header, claims, r, s in signed:
            def token(x, y, h=header, c=claims):
                return compact(h, c, x.to_bytes(32, "big") + y.to_bytes(32, "big"))
            good(gate, token(r, s), "edge:" + claims["sub"])
            for x, y in ((r + n, s), (r, s + n), (r ^ 1, s), (r, s ^ 1), (0, s), (r, 0), (n, s), (r, n)):
                if x < 2 ** 256 and y < 2 ** 256 and y != n - s:
                    gate.refused(token(x, y), "badSignature")
            # The other root is as good as the first (ECDSA has two), and its own signature.
            good(gate, token(r, n - s), "edge:" + claims["sub"])


@pytest.mark.attack("7")
def test_rsa_signatures_have_the_length_of_the_modulus(gate, site):
    header, count = {"alg": "RS256", "kid": "rsa"}, 0
    while True:  # one in 256 begins with a zero byte
        claims = site.claims(n=count)
        sig = site.rsa.sign(signing_input(header, claims))
        if sig[0] == 0:
            break
        count += 1
    good(gate, compact(header, claims, sig))
    n = site.rsa.public.public_numbers().n
    more = (int.from_bytes(sig, "big") + n).to_bytes(257, "big")
    for bad in (sig[1:], b"\0" + sig, sig + b"\0", b"\0\0" + sig, sig[:128], sig + sig, more, more[-256:],
                b"\0" * 256, b"\0" * 255 + b"\1", (n - 1).to_bytes(256, "big"), n.to_bytes(256, "big"), b"\xff" * 256):
        gate.refused(compact(header, claims, bad), "badSignature")


@pytest.mark.attack("8")
def test_pkcs1_padding_has_one_form(gate, site):
    claims, header = site.claims(), {"alg": "RS256", "kid": "rsa"}
    data = signing_input(header, claims)
    digest = hashlib.sha256(data).digest()
    info = sha256_info(data)

    def token(em):
        return compact(header, claims, site.rsa.raw_rsa(em))

    good(gate, token(pkcs1(info)))
    oid = bytes.fromhex("0609608648016503040201")
    variants = {
        "Bleichenbacher 2006": pkcs1(info, garbage=b"Z" * 190),
        "one byte behind": pkcs1(info, garbage=b"\0"),
        "short padding, garbage before": b"\0\1" + b"\xff" * 8 + b"\0" + b"Z" * (256 - 11 - len(info)) + info,
        "no padding string": b"\0\1\0" + info + b"\0" * (256 - 3 - len(info)),
        "no end of padding": pkcs1(info, end=b""),
        "end of padding of 1": pkcs1(info, end=b"\1"),
        "digest alone": pkcs1(digest),
        "octet string alone": pkcs1(b"\x04\x20" + digest),
        "algorithm without NULL": pkcs1(b"\x30\x2f\x30\x0b" + oid + b"\x04\x20" + digest),
        "NULL with a body": pkcs1(b"\x30\x32\x30\x0e" + oid + b"\x05\x01\0\x04\x20" + digest),
        "two NULLs": pkcs1(b"\x30\x33\x30\x0f" + oid + b"\x05\0\x05\0\x04\x20" + digest),
        "parameters of another type": pkcs1(b"\x30\x31\x30\x0d" + oid + b"\x04\0\x04\x20" + digest),
        "long form of a length": pkcs1(b"\x30\x81\x31" + info[2:]),
        "long form with zeros": pkcs1(b"\x30\x82\x00\x31" + info[2:]),
        "indefinite length": pkcs1(b"\x30\x80" + info[2:] + b"\0\0"),
        "long form within": pkcs1(b"\x30\x32\x30\x81\x0d" + info[4:]),
        "long form of the digest": pkcs1(info[:-34] + b"\x04\x81\x20" + digest),
        "garbage in the sequence": pkcs1(b"\x30\x34" + info[2:] + b"\x05\x01Z"),
        "digest too long": pkcs1(b"\x30\x32" + info[2:-34] + b"\x04\x21" + digest + b"\0"),
        "digest cut": pkcs1(b"\x30\x30" + info[2:-34] + b"\x04\x1f" + digest[:31]),
        "digest as bit string": pkcs1(info[:-34] + b"\x03\x20" + digest),
        "empty digest": pkcs1(b"\x30\x11" + info[2:-34] + b"\x04\0"),
        "nothing": pkcs1(b""),
    }
    for name, tail in (("sha1", "2b0e03021a"), ("sha384", "608648016503040202"), ("sha512", "608648016503040203"),
                       ("sha224", "608648016503040204"), ("sha3-256", "608648016503040208"),
                       ("md5", "2a864886f70d0205"), ("sha256 one arc longer", "60864801650304020101")):
        raw = bytes.fromhex(tail)
        algorithm = b"\x06" + bytes([len(raw)]) + raw + b"\x05\0"
        algorithm = b"\x30" + bytes([len(algorithm)]) + algorithm + b"\x04\x20" + digest
        variants["identifier of " + name] = pkcs1(b"\x30" + bytes([len(algorithm)]) + algorithm)
    for block in (b"\0\0", b"\0\2", b"\0\xff", b"\1\1", b"\0\x81"):
        variants[f"block type {block.hex()}"] = pkcs1(info, block=block)
    for filler in (b"\0", b"\xfe", b"\x7f", b"Z"):
        variants[f"padding of {filler.hex()}"] = pkcs1(info, filler=filler)
    # Each single byte of a right one changed: padding, DigestInfo and digest.
    right = pkcs1(info)
    for at in (*range(2, 200, 9), *range(203, 256)):
        variants[f"byte {at}"] = right[:at] + bytes([right[at] ^ 1]) + right[at + 1:]
    modulus = site.rsa.public.public_numbers().n
    for name, em in variants.items():
        assert len(em) == 256 and em != right, name
        if int.from_bytes(em, "big") < modulus:
            gate.refused(token(em), "badSignature")
    assert len(variants) > 100


@pytest.mark.attack("8")
def test_each_changed_signature_is_refused(gate, site):
    """A bit in each byte, the halves changed, another token's signature: for every kind of key."""
    claims = site.claims()
    for key in (site.rsa, site.p256, site.p521, site.ed):
        token = key.token(claims)
        head, payload, sig = token.split(".")
        raw = tokens.unb64(sig)
        other = tokens.unb64(key.token(site.claims(sub="joe")).split(".")[2])
        changed = [raw[:i] + bytes([raw[i] ^ (1 << i % 8)]) + raw[i + 1:] for i in range(0, len(raw), 3)]
        changed += [raw[::-1], raw[len(raw) // 2:] + raw[:len(raw) // 2], other, bytes(len(raw)), b"\xff" * len(raw)]
        for bad in changed:
            gate.refused(f"{head}.{payload}.{b64(bad)}", "badSignature")
        good(gate, token)


@pytest.mark.attack("9")
def test_pss_parameters(gate, site):
    claims, header = site.claims(), {"alg": "PS256", "kid": "rsa"}
    data = signing_input(header, claims)
    good(gate, compact(header, claims, site.rsa.sign(data, "PS256")))
    for salt in (0, 1, 20, 31, 33, 48, 64, 222):
        gate.refused(compact(header, claims, site.rsa.sign(data, "PS256", salt=salt)), "badSignature")
    for mgf in (hashes.SHA1(), hashes.SHA384(), hashes.SHA512()):
        gate.refused(compact(header, claims, site.rsa.sign(data, "PS256", mgf=mgf)), "badSignature")
    gate.refused(compact(header, claims, site.rsa.sign(data, "PS384", salt=32)), "badSignature")


@pytest.mark.attack("11")
def test_keys_for_other_purposes_are_no_keys(gate, site):
    for key in (site.enc, site.ops):
        gate.refused(key.token(site.claims()), "unknownKey")
        gate.refused(key.token(site.claims(), drop=["kid"]), "unknownKey")


@pytest.mark.attack("12")
def test_crit_is_never_understood(gate, site):
    for crit in (["exp-policy"], [], ["exp", "exp"], "exp", ["alg"], ["kid"], ["b64"], None, 1, {}, [5], True):
        gate.refused(site.rsa.token(site.claims(), crit=crit), "badHeader")
        gate.refused(site.rsa.token(site.claims(), crit=crit, **{"exp-policy": 1}), "badHeader")


@pytest.mark.attack("13")
def test_unencoded_and_detached_payloads(gate, site):
    claims = site.claims()
    for value in (False, True, None, "false"):
        gate.refused(site.rsa.token(claims, b64=value), "badHeader")
        gate.refused(site.rsa.token(claims, b64=value, crit=["b64"]), "badHeader")
    header = {"alg": "RS256", "kid": "rsa", "b64": False, "crit": ["b64"]}
    text = json.dumps(claims)
    sig = b64(site.rsa.sign(f"{b64(json.dumps(header))}.{text}".encode()))
    gate.refused(f"{b64(json.dumps(header))}.{text}.{sig}", "noMatch")
    head, _, sig = site.rsa.token(claims).split(".")
    gate.refused(f"{head}..{sig}", "noMatch")


@pytest.mark.attack("14", "15")
def test_a_token_does_not_bring_its_own_key(gate, site):
    own = tokens.Key("RSA", "rsa")
    stranger = tokens.Key("RSA", "stranger")
    with Listener() as evil:
        for scheme in ("http", "https"):
            url = f"{scheme}://127.0.0.1:{evil.port}/keys"
            for member in ("jku", "x5u"):
                for key in (own, stranger, site.rsa):
                    gate.refused(key.token(site.claims(), **{member: url}), "badHeader")
        # The issuer's own host is the only one that may be named, and is not asked either.
        for host in ("a.example.com.evil.example", "a.example.com@127.0.0.1", "evil.example/a.example.com",
                     "A.example.com", "a.example.com:8443", "a.example.co", "", "a.example.com\\@evil.example"):
            gate.refused(site.rsa.token(site.claims(), jku=f"https://{host}/keys"), "badHeader")
        for url in ("http://a.example.com/keys", "a.example.com/keys", 5, [URL_A], URL_A + "@evil.example/"):
            gate.refused(site.rsa.token(site.claims(), jku=url), "badHeader")
        good(gate, site.rsa.token(site.claims(), jku=URL_A + "/keys"))
        gate.refused(own.token(site.claims(), jku=URL_A + "/keys"), "badSignature")
        assert evil.calls == 0
        for key in (own, stranger, site.rsa):
            gate.refused(key.token(site.claims(), jwk=key.jwk()), "badHeader")
            gate.refused(key.token(site.claims(), x5c=[b64(key.der())]), "badHeader")
        gate.refused(own.token(site.claims()), "badSignature")
        gate.refused(stranger.token(site.claims()), "unknownKey")
        # A thumbprint names no certificate to us, and is no harm.
        good(gate, site.rsa.token(site.claims(), x5t="AAAA"))
        assert evil.calls == 0


@pytest.mark.attack("16")
def test_a_kid_is_compared_and_nothing_else(gate, site):
    claims = site.claims()
    for kid in ("../../etc/passwd", "/dev/null", "a.json", "' OR '1'='1", "rsa'; DROP TABLE keys;--", "rsa ", " rsa",
                "RSA", "rs", "rsaa", "*", "$(id)", "\u202ersa", "rsa\n", "%00", "x" * 256):
        gate.refused(site.rsa.token(claims, header={"alg": "RS256", "kid": kid}), "unknownKey")
    for kid in ("", "x" * 257, "x" * 40000, None, 0, 1, [], ["rsa"], {"kid": "rsa"}, True):
        gate.refused(site.rsa.token(claims, header={"alg": "RS256", "kid": kid}), "badHeader")
    for kid in (r"\u0000", r"rsa\u0000", r"\ud800"):
        gate.refused(site.rsa.token(claims, header='{"alg":"RS256","kid":"%s"}' % kid), "badHeader")
    gate.refused(site.rsa.token(claims, header='{"alg":"RS256","kid":"%s"}' % ("x" * (64 << 10))), "tooLong")
    log = gate.process.output()
    assert "passwd" not in log and "DROP TABLE" not in log


@pytest.mark.attack("17")
def test_keys_belong_to_their_issuer(gate, site):
    good(gate, site.b.token(site.claims(URL_B)), "b:jane")
    gate.refused(site.b.token(site.claims(URL_A)), "unknownKey")
    gate.refused(site.rsa.token(site.claims(URL_B)), "unknownKey")
    gate.refused(site.b.token(site.claims(URL_A), drop=["kid"]), "unknownKey")
    gate.refused(site.rsa.token(site.claims(URL_B), header={"alg": "RS256", "kid": "b1"}), "badSignature")


@pytest.mark.attack("18")
def test_doubled_names(gate, site):
    claims = json.dumps(site.claims())
    for header in ('{"alg":"RS256","alg":"none","kid":"rsa"}', '{"alg":"none","alg":"RS256","kid":"rsa"}',
                   '{"alg":"RS256","alg":"RS256","kid":"rsa"}', '{"alg":"RS256","kid":"rsa","kid":"x"}',
                   r'{"alg":"RS256","\u0061lg":"none","kid":"rsa"}', '{"alg":"RS256","kid":"rsa","x":{"y":1,"y":2}}'):
        gate.refused(site.rsa.token(claims, header=header), "badHeader")
    for name, value in (("iss", URL_A), ("iss", URL_B), ("sub", "root"), ("exp", 9999999999), ("aud", "kubernetes")):
        for text in (claims[:-1] + f',"{name}":{json.dumps(value)}}}', f'{{"{name}":{json.dumps(value)},' + claims[1:],
                     claims[:-1] + f',"\\u00{ord(name[0]):x}{name[1:]}":{json.dumps(value)}}}'):
            gate.refused(site.rsa.token(text), "noMatch")
    gate.refused(site.rsa.token(claims[:-1] + ',"x":{"y":1,"y":2}}'), "noMatch")


@pytest.mark.attack("19")
def test_three_parts_and_no_other_number(gate, site):
    token = site.rsa.token(site.claims())
    head, payload, sig = token.split(".")
    for bad in (head, f"{head}.{payload}", f"{token}.", f".{token}", f"{token}.{sig}", f"{head}..{payload}.{sig}",
                f"{head}.{payload}.{sig}.{payload}.{sig}", ".", "..", "...", "." * 60000, f"{head}{'.' * 50000}{sig}",
                f".{payload}.{sig}", f"{head}..{sig}"):
        gate.refused(bad, "noMatch")
    gate.refused("." * 10 ** 5, "tooLong")


@pytest.mark.attack("20")
def test_encrypted_tokens(gate, site):
    header = b64(json.dumps({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": "enc", "cty": "JWT"}))
    unsigned = compact({"alg": "none"}, site.claims())
    for body in (b64(unsigned), b64(b"\0" * 64), b64(json.dumps(site.claims()))):
        gate.refused(f"{header}.{b64(bytes(256))}.{b64(bytes(12))}.{body}.{b64(bytes(16))}", "noMatch")
    direct = b64(json.dumps({"alg": "dir", "enc": "A128GCM"}))
    gate.refused(f"{direct}..{b64(bytes(12))}.{b64(unsigned)}.{b64(bytes(16))}", "noMatch")
    for more in ({"enc": "A256GCM"}, {"zip": "DEF"}, {"enc": None}):
        gate.refused(site.rsa.token(site.claims(), **more), "badHeader")


@pytest.mark.attack("21")
def test_nested_tokens(gate, site):
    inner = site.rsa.token(site.claims())
    for cty in ("JWT", "jwt", "application/jwt", "Application/JWT"):
        gate.refused(site.rsa.token(site.claims(), cty=cty), "badHeader")
        gate.refused(site.rsa.token(inner, cty=cty), "noMatch")
    gate.refused(site.rsa.token(inner), "noMatch")
    gate.refused(site.rsa.token(json.dumps(inner)), "noMatch")


@pytest.mark.attack("22")
def test_json_serialization(gate, site):
    head, payload, sig = site.rsa.token(site.claims()).split(".")
    one = {"protected": head, "signature": sig}
    for doc in ({"payload": payload, **one}, {"payload": payload, "signatures": [one]},
                {"payload": payload, "signatures": [one, one]}, {"payload": payload, "signatures": []},
                {"payload": payload, "header": {"alg": "none"}, "signature": ""}):
        text = json.dumps(doc)
        gate.refused(text, "noMatch")
        gate.refused(b64(text), "noMatch")
    # One text that some take for the compact form and others for JSON.
    gate.refused(json.dumps({"payload": payload, **one, "x": f".{payload}.{sig}"}), "noMatch")


@pytest.mark.attack("23")
def test_base64url_has_one_alphabet_and_no_padding(gate, site):
    count = 0
    while True:  # a token whose signature has both letters that differ in plain base64
        head, payload, sig = site.rsa.token(site.claims(n=count)).split(".")
        if "-" in sig and "_" in sig:
            break
        count += 1
    good(gate, f"{head}.{payload}.{sig}")
    for i, part in enumerate((head, payload, sig)):
        for bad in (part + "=", part + "==", part + "=AAAA", part + "A=", "=" + part, part + "\n", part + " ",
                    " " + part, part[:8] + "\n" + part[8:], part[:8] + " " + part[8:], part + "!", part + "\t",
                    part[:8] + "=" + part[8:], part + "\r\n", part[:4] + "%3D" + part[4:],
                    part + "\u00e9", part[:8] + "," + part[8:]):
            parts = [head, payload, sig]
            parts[i] = bad
            gate.refused(".".join(parts), "noMatch", "badHeader")
    plain = sig.replace("-", "+").replace("_", "/")
    gate.refused(f"{head}.{payload}.{plain}", "noMatch")
    gate.refused(f"{head}.{payload}.{plain}==", "noMatch")
    for token in (f" {head}.{payload}.{sig}", f"{head}.{payload}.{sig} ", f"Bearer {head}.{payload}.{sig}",
                  f'"{head}.{payload}.{sig}"'):
        gate.refused(token, "noMatch")


@pytest.mark.attack("24")
def test_unused_bits_are_zero(gate, site):
    """256 and 64 bytes leave 4 unused bits in the last letter: 15 other spellings of each token."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for key in (site.rsa, site.p256):
        token = key.token(site.claims())
        last = alphabet.index(token[-1])
        assert last % 16 == 0
        for i in range(1, 16):
            gate.refused(token[:-1] + alphabet[last + i], "noMatch")
        good(gate, token)


@pytest.mark.attack("25")
def test_text_is_utf8_without_nul(gate, site):
    claims = json.dumps(site.claims())
    header = '{"alg":"RS256","kid":"rsa"%s}'
    for junk in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"):
        gate.refused(site.rsa.token(claims, header=header.encode() % (b',"x":"' + junk + b'"')), "badHeader")
        gate.refused(site.rsa.token(claims[:-1].encode() + b',"x":"' + junk + b'"}'), "noMatch")
    for junk in (r"\ud800", r"\udc00x", r"\u0000", r"a\u0000b", r"\x41"):
        gate.refused(site.rsa.token(claims, header=header % f',"x":"{junk}"'), "badHeader")
        for name in ("iss", "sub", "email", "x"):
            doc = {k: v for k, v in site.claims().items() if k != name}
            gate.refused(site.rsa.token(json.dumps(doc)[:-1] + f',"{name}":"{junk}"}}'), "noMatch")
        gate.refused(site.rsa.token(claims[:-1] + f',"groups":["{junk}"]}}'), "noMatch")
    bom = "\ufeff"
    gate.refused(site.rsa.token(bom + claims), "noMatch")
    gate.refused(site.rsa.token(claims, header=bom + header % ""), "badHeader")
    gate.refused(site.rsa.token(claims.encode("utf-16")), "noMatch")
    good(gate, site.rsa.token(json.dumps(site.claims(sub="j\u00e4ne"), ensure_ascii=False)), "a:j\u00e4ne")


@pytest.mark.attack("26")
def test_header_and_payload_are_objects(gate, site):
    claims, header = json.dumps(site.claims()), '{"alg":"RS256","kid":"rsa"}'
    for junk in ("[]", '"x"', "5", "null", "true", "", " ", "{", "}", f"[{claims}]", claims + "x", claims + "{}",
                 claims + ",", claims[:-1] + ",}", "'" + claims + "'", claims + "\0", claims + " // x"):
        gate.refused(site.rsa.token(junk), "noMatch")
    for junk in ("[]", '"x"', "5", "null", "{", f"[{header}]", header + "x", header + header, header[:-1] + ",}",
                 header + "\0", "{}"):
        gate.refused(site.rsa.token(claims, header=junk), "badHeader")
    gate.refused(site.rsa.token(claims, header=""), "noMatch")
    good(gate, site.rsa.token(claims + "\n", header=" " + header))


@pytest.mark.attack("27")
def test_deep_wide_and_long(gate, site):
    claims = json.dumps(site.claims())[:-1]
    for deep in ("[" * 10000 + "]" * 10000, '{"a":' * 5000 + "1" + "}" * 5000):
        gate.refused(site.rsa.token(claims + f',"x":{deep}}}'), "noMatch")
        gate.refused(site.rsa.token(claims + "}", header='{"alg":"RS256","kid":"rsa","x":%s}' % deep), "badHeader")
    wide = "".join(f',"k{i}":{i}' for i in range(3500))
    good(gate, site.rsa.token(claims + wide + "}"))
    million = b64(claims + ',"x":{"k":0' + "".join(f',"{i:x}":0' for i in range(60000)) + "}}")
    gate.refused(f"{b64('{}')}.{million}.{b64(bytes(256))}", "tooLong")
    gate.refused(site.rsa.token(claims + f',"x":"{"x" * 66000}"}}'), "tooLong")
    gate.refused("x" * (1000 << 10), "tooLong")
    got = gate.token_review("x" * (1 << 20))
    assert got.status == 413
    with gate.client() as c:
        assert gate.accepted(site.rsa.token(site.claims()), client=c)
