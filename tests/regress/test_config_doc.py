"""The configurations in the manual are loaded as they stand, with the files that they name beside them."""
import os
import shutil

import pytest

from support import pki
from support.paths import TOP, program
from support.proc import run

PAGES = ["authentication.md", "configuration.md", "keystone.md", "ldap.md"]

# What an example that shows one section leaves out.
HEAD = {"apiVersion:": "apiVersion: portcullis.dev/v1alpha1\n", "kind:": "kind: PortcullisConfiguration\n",
        "webhook:": "webhook:\n  listen: 127.0.0.1:8443\n  certificateFile: pki/server.crt\n"
                    "  keyFile: pki/server.key\n  clientCAFile: pki/client-ca.crt\n"
                    "  allowedClients: [kube-apiserver]\n"}
KINDS = {"kind: Denylist\n": ("denylist.yaml", "authentication:\n  audiences: [https://kubernetes.default.svc]\n"
                                               "  denylistFile: denylist.yaml\n")}
ELIDED = "        -----BEGIN CERTIFICATE-----\n        …\n"


def examples(page):
    """(line, text) of each YAML block."""
    found, start = [], None
    with open(os.path.join(TOP, "docs", page), encoding="utf-8") as f:
        lines = f.readlines()
    for i, line in enumerate(lines):
        if start is None and line.startswith("```"):
            start = i + 1
        elif start is not None and line.startswith("```"):
            if lines[start - 1].strip() == "```yaml":
                found.append((start, "".join(lines[start:i])))
            start = None
    return found


@pytest.fixture(scope="module")
def etc(tmp_path_factory):
    folder = tmp_path_factory.mktemp("etc")
    ca = pki.CA(folder / "pki", "client-ca")
    ca.server("server")
    shutil.copy(ca.crt, folder / "pki" / "ldap-ca.crt")
    shutil.copy(ca.crt, folder / "pki" / "openstack-ca.crt")
    (folder / "secrets").mkdir()
    (folder / "secrets" / "ldap").write_text("secret\n")
    shutil.copytree(os.path.join(TOP, "deploy", "examples", "policy"), folder / "policy")
    folder.joinpath("ca.txt").write_text("".join(" " * 8 + line + "\n" for line in ca.pem.splitlines()))
    return folder


def test_each_page_has_examples():
    assert all(examples(page) for page in PAGES)


@pytest.mark.parametrize("page,line,text", [(p, n, t) for p in PAGES for n, t in examples(p)])
def test_the_example_passes_the_check(etc, page, line, text):
    text = text.replace(ELIDED, (etc / "ca.txt").read_text())
    for kind, (name, instead) in KINDS.items():
        if kind in text:
            etc.joinpath(name).write_text(text, encoding="utf-8")
            text = instead
    for key, missing in HEAD.items():
        if not text.startswith(key) and f"\n{key}" not in text:
            text = missing + text
    config = etc / f"{page}-{line}.yaml"
    config.write_text(text, encoding="utf-8")
    got = run([program("portcullis"), "check", "--config", config])
    assert got.returncode == 0, got.stderr


@pytest.mark.parametrize("name", ["active-directory", "openldap"])
def test_the_directories_sample_passes_the_check(etc, name):
    config = etc / f"{name}.yaml"
    shutil.copy(os.path.join(TOP, "deploy", "examples", "directories", name + ".yaml"), config)
    got = run([program("portcullis"), "check", "--config", config])
    assert got.returncode == 0, got.stderr
