"""portcullis policy test, eval and dump."""
import json
import os
import subprocess

import pytest

from support.paths import TOP, program
from support.proc import run
from support.small_policy import HEAD, RULES

FULL = os.path.join(TOP, "tests", "golden", "policy", "full.yaml")


def cli(*argv, **kw):
    return run([program("portcullis"), "policy", *argv], **kw)


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(HEAD + RULES)
    return path


def review(version="v1", user="ann", groups=("dev",), **attributes):
    spec = {"user": user, ("group" if version == "v1beta1" else "groups"): list(groups)}
    spec["resourceAttributes"] = {"verb": "get", "resource": "pods", **attributes}
    return {"apiVersion": f"authorization.k8s.io/{version}", "kind": "SubjectAccessReview", "spec": spec}


def lines(*reviews):
    return "".join(r if isinstance(r, str) else json.dumps(r) + "\n" for r in reviews)


# --- test ---

def test_the_tests_of_a_policy_pass():
    got = cli("test", FULL)
    assert (got.returncode, got.stdout, got.stderr) == (0, "6 passed, 0 failed\n", "")


def test_failing_tests_are_told_with_their_place(policy):
    policy.write_text(policy.read_text() + """\
tests:
- {as: {user: u, groups: [dev]}, can: {verb: get, resource: pods}, expect: allow}
- {name: second, as: {user: u}, can: {verb: get, resource: pods}, expect: allow, by: read}
- {as: {user: u}, can: {verb: list, resource: pods}, expect: noOpinion}
""")
    got = cli("test", policy)
    assert got.returncode == 1
    assert got.stdout == "1 passed, 2 failed\n"
    assert got.stderr == (
        f"{policy}:10:3: error: test `second` failed: expected allow by rule `read`, "
        "got noOpinion as no rule matches\n"
        f"{policy}:11:3: error: test failed: expected noOpinion, got deny by rule `no` (p.yaml:7)\n")
    out = json.loads(cli("test", "--output", "json", policy).stdout)
    assert (out["passed"], out["failed"]) == (1, 2)
    assert out["failures"][1]["line"] == 11 and out["failures"][1]["column"] == 3


@pytest.mark.parametrize("command", ["test", "eval", "explain"])
def test_a_policy_that_does_not_load_is_exit_2(tmp_path, command):
    bad = tmp_path / "bad.yaml"
    bad.write_text(HEAD + RULES.replace("verbs: [list]", "verb: [list]"))
    args = [bad] if command == "test" else ["--policy", bad]
    got = cli(command, *args, stdin=lines(review()))
    assert got.returncode == 2 and not got.stdout
    assert f"{bad}:7:92: error: unknown key `verb`, did you mean `verbs`?" in got.stderr
    args = [tmp_path / "none"] if command == "test" else ["--policy", tmp_path / "none"]
    got = cli(command, *args, stdin=lines(review()))
    assert got.returncode == 2 and not got.stdout and "none" in got.stderr


def test_a_failing_embedded_test_stops_eval_as_it_stops_the_daemon(policy):
    policy.write_text(policy.read_text()
                      + "tests:\n- {as: {user: u}, can: {verb: get, path: /}, expect: allow}\n")
    got = cli("eval", "--policy", policy, stdin=lines(review()))
    assert got.returncode == 2 and not got.stdout and "test failed" in got.stderr


def test_a_directory_is_one_policy(policy, tmp_path):
    (tmp_path / "q.yml").write_text(HEAD + "tests:\n- {as: {groups: [dev]}, can: {verb: get, resource: pods}, "
                                    "expect: allow, by: read}\n")
    (tmp_path / ".hidden.yaml").write_text("not a policy")
    got = cli("test", tmp_path)
    assert (got.returncode, got.stdout) == (0, "1 passed, 0 failed\n"), got.stderr
    os.unlink(tmp_path / "q.yml")
    os.unlink(policy)
    got = cli("test", tmp_path)
    assert got.returncode == 2 and "no *.yaml or *.yml file" in got.stderr


# --- eval ---

def test_eval_answers_in_order_in_the_version_asked(policy):
    asked = [review(), review("v1beta1", verb="list", namespace="prod"), review("v1beta1"),
             review(user="x", groups=[])]
    got = cli("eval", "--policy", policy, stdin=lines(*asked))
    assert got.returncode == 0, got.stderr
    out = [json.loads(line) for line in got.stdout.splitlines()]
    assert [o["apiVersion"] for o in out] == [a["apiVersion"] for a in asked]
    assert [o["spec"] for o in out] == [a["spec"] for a in asked]
    assert [o["status"] for o in out] == [
        {"allowed": True, "reason": "allow rule=read gen=3"},
        {"allowed": False, "denied": True, "reason": "deny rule=no gen=3"},
        {"allowed": True, "reason": "allow rule=read gen=3"},
        {"allowed": False, "reason": "noOpinion default gen=3"},
    ]


def test_eval_keeps_step_with_lines_that_are_no_reviews(policy):
    neither = {**review(), "spec": {"user": "u"}}
    got = cli("eval", "--policy", policy,
              stdin=lines(review(), "{nonsense\n", "\n", neither, review()) + json.dumps(review()))
    out = [json.loads(line) for line in got.stdout.splitlines()]
    assert got.returncode == 2
    assert "standard input:2: byte 1" in got.stderr
    assert len(out) == 5
    assert out[0]["status"]["allowed"] and out[3]["status"]["allowed"] and out[4]["status"]["allowed"]
    assert out[1]["line"] == 2 and "error" in out[1]
    assert out[2]["status"]["allowed"] is False and "exactly one" in out[2]["status"]["evaluationError"]


def test_eval_answers_before_the_next_question(policy):
    with subprocess.Popen([program("portcullis"), "policy", "eval", "--policy", str(policy)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        for _ in range(3):
            p.stdin.write(lines(review()))
            p.stdin.flush()
            assert json.loads(p.stdout.readline())["status"]["allowed"]
        p.stdin.close()
        assert p.wait() == 0


def test_eval_takes_a_time_and_refuses_what_is_none(policy):
    got = cli("eval", "--policy", policy, "--now", "2026-11-22T10:00:00Z", stdin=lines(review()))
    assert got.returncode == 0
    got = cli("eval", "--policy", policy, "--now", "yesterday", stdin=lines(review()))
    assert got.returncode == 2 and not got.stdout and "--now" in got.stderr


def test_eval_needs_a_policy():
    got = cli("eval", stdin=lines(review()))
    assert got.returncode == 2 and "--policy is missing" in got.stderr


# --- dump ---

@pytest.mark.parametrize("name", ["full", "dimensions", "quoting"])
def test_dump_prints_the_canonical_form(name):
    base = os.path.join(TOP, "tests", "golden", "policy", name)
    got = cli("dump", "--policy", base + ".yaml")
    with open(base + ".txt", encoding="utf-8") as f:
        assert (got.returncode, got.stdout) == (0, f.read())


def test_dump_does_not_depend_on_the_order_of_lists_and_aliases(policy):
    first = cli("dump", "--policy", policy)
    text = HEAD + RULES.replace("[get, list]", "[list, get]").replace("users: [root]", "users: [root, root]")
    assert text.count("list, get") == 1
    policy.write_text(text)
    assert cli("dump", "--policy", policy).stdout == first.stdout


def test_dump_of_a_broken_policy_prints_nothing(policy):
    policy.write_text("x\n")
    got = cli("dump", "--policy", policy)
    assert got.returncode == 2 and not got.stdout and "error: not a policy" in got.stderr
    assert cli("dump").returncode == 2
