"""portcullis policy test: case files beside the policy, coverage, JUnit."""
import json
import xml.etree.ElementTree as ElementTree

import pytest

from support.paths import program
from support.proc import run

POLICY = """\
apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
defaults: {exempt: {users: [root]}}
rules:
- {id: read, effect: allow, subjects: {groups: [dev]}, apiGroups: [""], resources: [pods], verbs: [get, list]}
- {id: no, effect: deny, subjects: {users: [bob]}, namespaces: [prod], resources: [pods], verbs: [list]}
- {id: sa, effect: allow, subjects: {serviceAccounts: [ci/*]}, apiGroups: [""], resources: [secrets], verbs: [get]}
tests:
- {name: "a <test>", as: {user: u, groups: [dev]}, can: {verb: get, resource: pods}, expect: allow}
"""
CASES = """\
# the developers
ann,dev   get pods -n team-a web-1   => allow by read
bob,dev   list pods -A               => deny by no
"""


def policy_test(*argv):
    return run([program("portcullis"), "policy", "test", *argv])


@pytest.fixture
def policy(tmp_path):
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "p.yaml").write_text(POLICY)
    return folder


def test_files_beside_the_policy_are_run(policy):
    (policy / "dev.eval").write_text(CASES)
    for path in (policy, str(policy) + "/"):
        got = policy_test(path)
        assert (got.returncode, got.stdout, got.stderr) == (0, "3 passed, 0 failed\n", "")
    # Of one file, only the one with its name.
    assert policy_test(policy / "p.yaml").stdout == "1 passed, 0 failed\n"
    (policy / "p.eval").write_text(CASES)
    assert policy_test(policy / "p.yaml").stdout == "3 passed, 0 failed\n"
    assert policy_test(policy / "p.yaml", policy / "dev.eval").stdout == "5 passed, 0 failed\n"


def test_failures_and_bad_lines_have_their_place(policy):
    bad = policy / "dev.eval"
    bad.write_text(CASES + "ann,dev list pods => deny\n")
    got = policy_test(policy)
    assert got.returncode == 1 and got.stdout == "3 passed, 1 failed\n"
    assert got.stderr == f"{bad}:4:1: error: expected deny, got allow by read (p.yaml:5)\n"
    out = json.loads(policy_test("-o", "json", policy).stdout)
    assert [(f["file"], f["line"], f["column"]) for f in out["failures"]] == [(str(bad), 4, 1)]
    bad.write_text(CASES + "ann,dev list pods -q => deny\nann => deny\n")
    got = policy_test(policy)
    assert got.returncode == 2 and got.stdout == ""
    assert f"{bad}:4:19: error: unknown option -q" in got.stderr and f"{bad}:5:5: error: no verb" in got.stderr
    got = policy_test(policy / "p.yaml", policy / "none.eval")
    assert got.returncode == 2 and "none.eval" in got.stderr


def test_coverage_names_what_no_test_decides(policy):
    cases = policy / "dev.eval"
    cases.write_text(CASES.replace("bob,dev   list pods -A               => deny by no", "bob get pods => noOpinion"))
    got = policy_test("--coverage", policy)
    assert got.returncode == 0
    assert got.stdout == """\
p.yaml:6: rule `no` matches in no test
p.yaml:7: rule `sa` matches in no test
coverage: 1 of 3 rules decide a test
3 passed, 0 failed
"""
    cases.write_text(CASES + "sa:ci/x,dev get pods => allow\n")
    out = json.loads(policy_test("--coverage", "-o", "json", policy).stdout)
    assert [(c["rule"], c["reached"]) for c in out["coverage"]] == [
        ("read", "decided"), ("no", "decided"), ("sa", "unmatched")]


def test_junit(policy, tmp_path):
    (policy / "dev.eval").write_text(CASES + "ann,dev list pods => deny\n")
    got = policy_test("--junit", tmp_path / "out.xml", policy)
    assert got.returncode == 1
    suite = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("4", "1")
    assert [c.get("name") for c in suite] == ["9 a <test>", "2", "3", "4"]
    assert suite[3].find("failure").get("message") == "expected deny, got allow by read (p.yaml:5)"
    assert policy_test("--junit", tmp_path / "no" / "out.xml", policy).returncode == 2
