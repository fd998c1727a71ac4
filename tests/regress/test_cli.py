"""The portcullis program: its frame, and `portcullis check`."""
import os
import re

import pytest

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

@pytest.fixture
def site(tmp_path):
    """A configuration with a policy, both fine; tests break one of them."""
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


@pytest.mark.parametrize("name", sorted(os.listdir(os.path.join(CASES, "invalid"))))
def test_check_refuses_every_invalid_case_with_its_place(name):
    got = cli("check", "-c", os.path.join(CASES, "invalid", name))
    assert got.returncode == 1 and not got.stdout
    assert re.search(rf"/{re.escape(name)}:\d+:\d+: error: ", got.stderr), got.stderr
