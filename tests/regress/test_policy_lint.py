"""portcullis policy lint: output, exit codes, what accepts a finding; our own examples are clean."""
import json
import os
import re

import pytest

from support.paths import TOP, program
from support.proc import run

HEAD = """\
apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: {generation: 1}
rules:
"""
SECRETS = HEAD + """\
- {id: all-secrets, effect: allow, subjects: {users: [ann]}, apiGroups: [""], resources: [secrets], verbs: [list]}
- id: gone
  effect: allow
  subjects: {users: [ann]}
  apiGroups: [""]
  resources: [pods]
  verbs: [get]
  valid: {until: 2026-01-01T00:00:00Z}
tests:
- {as: {user: ann}, can: {verb: list, resource: secrets}, expect: allow}
"""


def lint(*argv):
    return run([program("portcullis"), "policy", "lint", *argv])


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(SECRETS)
    return path


def test_findings_have_place_severity_code_and_advice(policy):
    got = lint("--now", "2026-11-22T10:00:00Z", policy)
    assert got.returncode == 1 and not got.stderr
    assert got.stdout.startswith(f"""\
{policy}:5:3: warning: rule `all-secrets`: who is named here may read secrets in all namespaces, the tokens of service \
accounts among them [secrets-read]
    name namespaces, or resourceNames and the verb get
{policy}:6:3: warning: rule `gone`: holds no more, since 2026-01-01T00:00:00Z at the latest [expired]
    take it out
{policy}:6:3: note: rule `gone`: is decided by no test of the policy [untested]
    add one to `tests:`
0 errors, 2 warnings, 1 notes
heaviest subjects: user ann (2 rules)
""")


def test_json_says_the_same(policy):
    out = json.loads(lint("-o", "json", "--now", "2025-11-22T10:00:00Z", policy).stdout)
    assert [(f["code"], f["severity"], f["line"], f["column"], f["rule"]) for f in out["findings"]] == [
        ("secrets-read", "warning", 5, 3, "all-secrets"), ("untested", "note", 6, 3, "gone")]
    assert (out["errors"], out["warnings"], out["notes"], out["accepted"]) == (0, 1, 1, 0)
    assert out["heaviestSubjects"] == [{"subject": "user ann", "rules": 2}]


def test_accepted_findings_do_not_count(policy):
    now = ("--now", "2025-11-22T10:00:00Z")
    got = lint(*now, "--allow", "secrets-read=all-secrets", policy)
    assert got.returncode == 0 and "0 warnings, 1 notes, 1 accepted" in got.stdout
    assert lint(*now, "--allow", "secrets-read=other", policy).returncode == 1
    assert lint(*now, "--strict", "--allow", "secrets-read", policy).returncode == 1
    assert lint(*now, "--strict", "--allow", "secrets-read,untested", policy).returncode == 0
    policy.write_text(SECRETS.replace("verbs: [list]}", "verbs: [list]} # lint:allow secrets-read"))
    assert lint(*now, policy).returncode == 0


def test_wrong_usage_and_bad_policies_are_exit_2(policy, tmp_path):
    got = lint("--allow", "no-such-code", policy)
    assert got.returncode == 2 and "there is no finding `no-such-code`" in got.stderr
    assert lint().returncode == 2
    policy.write_text(SECRETS.replace("verbs", "verb"))
    got = lint(policy)
    assert got.returncode == 2 and not got.stdout and "did you mean `verbs`?" in got.stderr


@pytest.mark.parametrize("folder", ["deploy/examples/policy"])
def test_our_own_examples_are_clean(folder):
    got = lint("--strict", os.path.join(TOP, folder))
    assert got.returncode == 0, got.stdout


def test_every_code_is_documented_and_no_other():
    with open(os.path.join(TOP, "policy", "lint.c"), encoding="utf-8") as f:
        table = re.search(r"codes\[\] = \{(.*?)\n\};", f.read(), re.S).group(1)
    codes = set(re.findall(r'\{"([a-z-]+)"', table))
    with open(os.path.join(TOP, "docs", "policy-tools.md"), encoding="utf-8") as f:
        page = f.read()
    told = set()
    for row in re.findall(r"^\| (`.*?) \|", page[page.index("### Rules without"):page.index("\n## test")], re.M):
        told |= set(re.findall(r"`([a-z-]+)`", row))
    assert len(codes) > 30 and told == codes


def test_imported_rules_are_judged_where_they_stand(tmp_path):
    (tmp_path / "p.yaml").write_text(HEAD.replace("rules:\n", "imports:\n- rbac: {path: r.yml}\n- abac: {path: a.jsonl}\n"))
    (tmp_path / "r.yml").write_text("""\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: odd}
rules:
- {apiGroups: [""], resources: ["pods/*", "nodes/proxy"], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: odd}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: odd}
subjects:
- {kind: User, name: "*", apiGroup: rbac.authorization.k8s.io}
---
# lint:allow not-found
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: dangling}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: nowhere}
subjects:
- {kind: Group, name: dev, apiGroup: rbac.authorization.k8s.io}
""")
    (tmp_path / "a.jsonl").write_text(
        '{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy",'
        '"spec":{"user":"ann","apiGroup":"","resource":"pods","namespace":"a"}}\n')
    out = json.loads(lint("-o", "json", tmp_path / "p.yaml").stdout)
    found = {(os.path.basename(f["file"]), f["line"], f["code"]) for f in out["findings"]}
    assert {("r.yml", 7, "nodes-proxy"), ("r.yml", 7, "star-subject"), ("r.yml", 7, "star-subresource"),
            ("a.jsonl", 1, "abac-subresources")} <= found
    assert "load" not in out["codes"] and out["codes"]["not-found"] == {"found": 1, "accepted": 1}


def rules(n, kind):
    """N rules that are no easy prey: one subject for all, or a place of their own each."""
    out = []
    for i in range(n):
        where = f"namespaces: [ns-{i}], " if kind == "places" else ""
        out.append(f'- {{id: r{i}, effect: {"allow" if i % 4 else "deny"}, subjects: {{groups: [dev]}}, {where}'
                   f'apiGroups: [""], resources: [things-{i % 3000}], verbs: [get, list, watch]}}')
    return HEAD + "\n".join(out) + "\n"


@pytest.mark.parametrize("kind", ["places", "one-place"])
def test_ten_thousand_rules_are_all_compared(tmp_path, kind):
    path = tmp_path / "p.yaml"
    path.write_text(rules(10000, kind))
    out = json.loads(lint("-o", "json", path).stdout)
    assert out["uncompared"] == 0
    if kind == "one-place":
        assert out["codes"]["duplicate"]["found"] == 7000
