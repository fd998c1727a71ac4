"""A throw-away PKI by the openssl command: ECDSA P-256, one openssl call a certificate."""
import os
import subprocess


def _openssl(*args):
    got = subprocess.run(["openssl", *args], capture_output=True, text=True, check=False)
    assert got.returncode == 0, f"openssl {' '.join(args)}\n{got.stderr}"
    return got.stdout


class Pair:
    """Certificate and key as files."""

    def __init__(self, crt, key):
        self.crt, self.key = str(crt), str(key)

    @property
    def pem(self):
        with open(self.crt, encoding="ascii") as f:
            return f.read()


class CA(Pair):
    """An authority under FOLDER. Files are NAME.crt and NAME.key."""

    def __init__(self, folder, name="ca", days=2):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        super().__init__(os.path.join(self.folder, name + ".crt"), os.path.join(self.folder, name + ".key"))
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", self.key, "-out", self.crt, "-days", str(days), "-subj", f"/CN={name}",
                 "-addext", "basicConstraints=critical,CA:true",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, cn=None, org=(), sans=(), usage="serverAuth", days=1, folder=None):
        """A leaf signed by this authority. SANS: "DNS:x" or "IP:y"."""
        folder = str(folder or self.folder)
        os.makedirs(folder, exist_ok=True)
        crt, key = os.path.join(folder, name + ".crt"), os.path.join(folder, name + ".key")
        subject = "".join(f"/O={o}" for o in org) + f"/CN={cn or name}"
        args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", key, "-out", crt, "-days", str(days), "-subj", subject,
                "-CA", self.crt, "-CAkey", self.key,
                "-addext", "basicConstraints=critical,CA:false",
                "-addext", "keyUsage=critical,digitalSignature",
                "-addext", f"extendedKeyUsage={usage}"]
        if sans:
            args += ["-addext", "subjectAltName=" + ",".join(sans)]
        _openssl(*args)
        return Pair(crt, key)

    def server(self, name="server", sans=("DNS:localhost", "IP:127.0.0.1"), **kw):
        return self.issue(name, cn=kw.pop("cn", "localhost"), sans=sans, usage="serverAuth", **kw)

    def expired(self, name, sans=("DNS:localhost", "IP:127.0.0.1")):
        """A server's leaf whose days are over."""
        here = os.path.join(self.folder, name)
        os.makedirs(here, exist_ok=True)
        files = {"index.txt": "", "serial": "01\n", "ca.cnf": f"""[ca]
default_ca=d
[d]
database={here}/index.txt
serial={here}/serial
new_certs_dir={here}
default_md=sha256
policy=p
[p]
commonName=supplied
[x]
subjectAltName={','.join(sans)}
"""}
        for file, text in files.items():
            with open(os.path.join(here, file), "w", encoding="ascii") as f:
                f.write(text)
        pair = Pair(os.path.join(here, "crt"), os.path.join(here, "key"))
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", pair.key, "-out", os.path.join(here, "csr"), "-subj", "/CN=localhost")
        _openssl("ca", "-batch", "-notext", "-config", os.path.join(here, "ca.cnf"), "-extensions", "x",
                 "-cert", self.crt, "-keyfile", self.key, "-in", os.path.join(here, "csr"), "-out", pair.crt,
                 "-startdate", "20200101000000Z", "-enddate", "20210101000000Z")
        return pair

    def client(self, name, **kw):
        return self.issue(name, usage="clientAuth", **kw)


def rsa_key(path, bits=2048):
    """A private key for service-account tokens and the like."""
    _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}", "-out", str(path))
    return str(path)


def public_key(key, path):
    _openssl("pkey", "-in", str(key), "-pubout", "-out", str(path))
    return str(path)
