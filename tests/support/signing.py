"""People who sign policies: Ed25519 keys made with openssl, signatures by the product's own command."""
import os
import subprocess

from .paths import program
from .proc import run


class Signer:
    def __init__(self, folder, name):
        self.key = os.path.join(str(folder), f"{name}.key")
        self.public = os.path.join(str(folder), f"{name}.pub")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.key], check=True)
        os.chmod(self.key, 0o600)
        subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-out", self.public], check=True)
        der = subprocess.run(["openssl", "pkey", "-pubin", "-in", self.public, "-outform", "DER"],
                             check=True, capture_output=True).stdout
        digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der, check=True,
                                capture_output=True).stdout.decode()
        self.id = digest[:16]

    def sign(self, path):
        got = run([program("portcullis"), "policy", "sign", "--key", self.key, path])
        assert got.returncode == 0, got
        return got.stdout


def verify(path, signers, threshold=1):
    argv = [program("portcullis"), "policy", "verify", "--threshold", str(threshold), "--output", "json"]
    for s in signers:
        argv += ["--public-key", s.public]
    return run(argv + [path])
