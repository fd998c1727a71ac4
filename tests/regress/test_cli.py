"""The portcullis program: its frame, and `portcullis check`."""
import json
import os
import re
import shutil

import pytest

from support import pki
from support.paths import TOP, program
from support.proc import run

CASES = os.path.join(TOP, "tests", "cases", "config")

POLICY = """\
apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: {name: check, generation: 7}
rules:
- id: read-pods
  effect: allow
  subjects: {groups: [dev]}
  verbs: [get, list]
  apiGroups: [""]
  resources: [pods]
"""


def cli(*argv, **kw):
    return run([program("portcullis"), *argv], **kw)


# --- the frame ---

def test_version_is_one_line():
    got = cli("--version")
    assert got.returncode == 0
    assert re.fullmatch(r"portcullis \d+\.\d+\.\d+\n", got.stdout)


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["help"]])
def test_help_lists_the_commands_on_stdout(argv):
    got = cli(*argv)
    assert got.returncode == 0 and not got.stderr
    assert "\n  check " in got.stdout


def commands():
    got = cli("--help")
    return re.findall(r"^  ([a-z-]+(?: [a-z-]+)?)  +\S", got.stdout, re.M)


def test_every_command_has_help():
    names = commands()
    assert "check" in names
    for name in names:
        for flag in ("--help", "-h"):
            got = cli(*name.split(), flag)
            assert got.returncode == 0 and not got.stderr, name
            assert got.stdout.startswith(f"usage: portcullis {name} "), name


def test_every_command_refuses_an_unknown_option():
    for name in commands():
        got = cli(*name.split(), "--no-such-option")
        assert got.returncode == 2 and not got.stdout, name
        assert "unknown option --no-such-option" in got.stderr, name


def test_every_command_is_in_the_manual_page():
    with open(os.path.join(TOP, "man", "portcullis.1"), encoding="utf-8") as f:
        page = f.read().replace("\\-", "-")
    for name in commands():
        assert f"portcullis {name}" in page, name


@pytest.mark.parametrize("argv, says", [
    ([], "usage: portcullis COMMAND"),
    (["chekc"], "unknown command `chekc`, did you mean `check`?"),
    (["xyzzy", "--help"], "unknown command `xyzzy`"),
    (["--verison"], "unknown command `--verison`"),
])
def test_wrong_usage_is_exit_2_on_stderr(argv, says):
    got = cli(*argv)
    assert got.returncode == 2 and not got.stdout
    assert says in got.stderr


def test_output_that_cannot_be_written_is_no_success():
    got = run(["sh", "-c", 'exec "$0" --version >/dev/full', program("portcullis")])
    assert got.returncode == 2
    assert "standard output" in got.stderr


# --- check ---

@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    ca = pki.CA(tmp_path_factory.mktemp("pki"))
    ca.server("server")
    ca.server("login")
    return ca.folder


@pytest.fixture
def site(tmp_path, certificates):
    """A configuration with certificates and a policy, all fine; tests break one of them."""
    for name in ("ca.crt", "ca.key", "server.crt", "server.key", "login.crt", "login.key"):
        shutil.copy(os.path.join(certificates, name), tmp_path)
    with open(os.path.join(CASES, "valid", "minimal.yaml"), encoding="utf-8") as f:
        text = f.read()
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "a.yaml").write_text(POLICY)
    text = re.sub(r"^authorization:\n(  .*\n)*", "", text, flags=re.M)
    (tmp_path / "c.yaml").write_text(text + "authorization:\n  policy: policy/\n")
    return tmp_path


def test_check_tells_rules_and_generation(site):
    got = cli("check", "--config", site / "c.yaml")
    assert got.returncode == 0, got.stderr
    assert got.stdout == f"{site}/c.yaml: ok (1 rules, generation 7)\n"


def test_check_without_policy(site):
    text = (site / "c.yaml").read_text()
    (site / "c.yaml").write_text(text.replace("authorization:\n  policy: policy/\n", ""))
    got = cli("check", f"--config={site}/c.yaml")
    assert got.returncode == 0, got.stderr
    assert got.stdout == f"{site}/c.yaml: ok (no policy)\n"


def test_check_finds_errors_of_the_configuration(site):
    with open(site / "c.yaml", "a", encoding="utf-8") as f:
        f.write("webhok: {}\n")
    line = len((site / "c.yaml").read_text().splitlines())
    got = cli("check", "-c", site / "c.yaml")
    assert got.returncode == 1 and not got.stdout
    assert f"{site}/c.yaml:{line}:1: error: unknown key `webhok`, did you mean `webhook`?\n" in got.stderr


def test_check_finds_errors_of_the_policy(site):
    (site / "policy" / "b.yaml").write_text(POLICY.replace("verbs: ", "verb: "))
    got = cli("check", "-c", site / "c.yaml")
    assert got.returncode == 1 and not got.stdout
    assert f"{site}/policy/b.yaml:8:3: error: unknown key `verb`, did you mean `verbs`?\n" in got.stderr


def test_check_runs_the_tests_of_the_policy(site):
    (site / "policy" / "a.yaml").write_text(POLICY + """\
tests:
- name: developers may delete pods
  as: {user: ann, groups: [dev]}
  can: {verb: delete, resource: pods, namespace: x}
  expect: allow
""")
    got = cli("check", "-c", site / "c.yaml")
    assert got.returncode == 1 and not got.stdout
    assert "developers may delete pods" in got.stderr
    assert re.search(r"/policy/a\.yaml:1[0-9]:\d+: error: ", got.stderr)


@pytest.mark.parametrize("break_it, says", [
    (lambda site: (site / "c.yaml").unlink(), "c.yaml"),
    (lambda site: ((site / "c.yaml").unlink(), (site / "c.yaml").mkdir()), "c.yaml"),
    (lambda site: ((site / "policy" / "a.yaml").unlink(), (site / "policy").rmdir()), "policy"),
])
def test_check_of_what_cannot_be_read_is_exit_2(site, break_it, says):
    break_it(site)
    got = cli("check", "-c", site / "c.yaml")
    assert got.returncode == 2 and not got.stdout
    assert says in got.stderr


AUTHENTICATION = """\
stateDir: state
login:
  listen: 127.0.0.1:8444
  issuer: https://login.test:8444
  certificateFile: login.crt
  keyFile: login.key
authentication:
  audiences: [kubernetes]
  tokenFiles: [tokens.csv]
  jwt:
  - issuer: {url: "https://oidc.test", audiences: [kubernetes], jwksFile: keys.json}
    claimMappings:
      username: {claim: sub, prefix: "o:"}
  ldap:
  - name: corp
    urls: [ldaps://ldap.test]
    bindDN: cn=reader
    bindPasswordFile: password
    certificateAuthorityFile: ca.crt
    userSearch: {baseDN: "dc=test", filter: "(uid=*)", username: uid}
    usernamePrefix: "corp:"
"""


@pytest.fixture
def full_site(site):
    """The same with every kind of file that authentication names."""
    with open(site / "c.yaml", "a", encoding="utf-8") as f:
        f.write(AUTHENTICATION)
    (site / "tokens.csv").write_text("secret,ann,1\n")
    (site / "tokens.csv").chmod(0o600)
    (site / "keys.json").write_text(json.dumps({"keys": [{
        "kty": "EC", "crv": "P-256", "kid": "a",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}))
    (site / "password").write_text("secret\n")
    (site / "state").mkdir()
    return site


def test_check_reads_all_that_authentication_names_and_writes_nothing(full_site):
    before = sorted(str(p) for p in full_site.rglob("*"))
    got = cli("check", "-c", full_site / "c.yaml")
    assert (got.returncode, got.stderr) == (0, "")
    assert sorted(str(p) for p in full_site.rglob("*")) == before


def put(name, text):
    return lambda site: (site / name).write_text(text)


def move(old, new):
    return lambda site: (site / old).replace(site / new)


@pytest.mark.parametrize("break_it, line, says", [
    (lambda site: (site / "server.crt").unlink(), "webhook:", "webhook.certificateFile: {}/server.crt: No such"),
    (put("server.crt", "nothing"), "webhook:",
     "webhook.certificateFile: {}/server.crt: holds no PEM certificate"),
    (lambda site: (site / "server.key").unlink(), "webhook:", "webhook.keyFile: {}/server.key: No such"),
    (put("server.key", "nothing"), "webhook:", "webhook.keyFile: {}/server.key: holds no private key"),
    (move("ca.key", "server.key"), "webhook:",
     "webhook.keyFile: {}/server.key: is not the key of the certificate"),
    (lambda site: (site / "ca.crt").unlink(), "webhook:", "webhook.clientCAFile: {}/ca.crt: No such"),
    (move("ca.key", "ca.crt"), "webhook:", "webhook.clientCAFile: {}/ca.crt: holds no PEM certificate"),
    (move("ca.key", "login.key"), "login:", "login.keyFile: {}/login.key: is not the key"),
    (lambda site: (site / "tokens.csv").unlink(), "authentication:", "tokenFiles: {}/tokens.csv: No such"),
    (lambda site: (site / "keys.json").unlink(), "  - issuer:", "issuer.jwksFile: {}/keys.json: No such"),
    (put("keys.json", "{}"), "  - issuer:", "issuer.jwksFile: {}/keys.json: "),
    (lambda site: (site / "password").unlink(), "  - name: corp",
     "bindPasswordFile: {}/password: No such"),
    (move("ca.key", "ca.crt"), "  - name: corp", "certificateAuthorityFile: "),
])
def test_check_tells_where_a_file_is_named_that_is_no_good(full_site, break_it, line, says):
    config = (full_site / "c.yaml").read_text().splitlines()
    number = next(i for i, text in enumerate(config, 1) if text.startswith(line))
    break_it(full_site)
    got = cli("check", "-c", full_site / "c.yaml")
    assert got.returncode == 1 and not got.stdout
    lines = [x for x in got.stderr.splitlines() if says.format(full_site) in x]
    assert lines, got.stderr
    # A section's place is its first key's: behind the dash, or on the line below.
    place = re.match(re.escape(f"{full_site}/c.yaml:") + r"(\d+):\d+: error: ", lines[0])
    assert place and int(place[1]) - number in (0, 1), lines[0]


def test_check_tells_the_line_of_a_token_file(full_site):
    (full_site / "tokens.csv").write_text("secret,ann,1\nsecret,bob,2\n")
    got = cli("check", "-c", full_site / "c.yaml")
    assert got.returncode == 1 and not got.stdout
    assert re.search(r"/tokens\.csv:2:1: error: ", got.stderr), got.stderr


def test_check_tells_all_at_once(full_site):
    (full_site / "server.key").unlink()
    (full_site / "password").unlink()
    (full_site / "policy" / "b.yaml").write_text(POLICY.replace("verbs: ", "verb: "))
    got = cli("check", "-c", full_site / "c.yaml")
    assert got.returncode == 1
    assert all(x in got.stderr for x in ("webhook.keyFile", "bindPasswordFile", "`verb`")), got.stderr


@pytest.mark.parametrize("name", sorted(os.listdir(os.path.join(CASES, "invalid"))))
def test_check_refuses_every_invalid_case_with_its_place(name):
    got = cli("check", "-c", os.path.join(CASES, "invalid", name))
    assert got.returncode == 1 and not got.stdout
    assert re.search(rf"/{re.escape(name)}:\d+:\d+: error: ", got.stderr), got.stderr
