"""Every row of the table of tricky access reviews is proven, by tests that are there, and docs/ says the same."""
import json

import pytest

from support import attacks, policy_cases
from support.paths import program
from support.proc import run


def test_rows_are_complete():
    assert list(policy_cases.rows()) == list(range(1, 91))
    for row, r in policy_cases.rows().items():
        assert {"area", "policy", "request", "answer"} <= set(r) <= {
            "area", "policy", "request", "answer", "why", "also"}, row
        assert r["answer"], row


def test_every_row_is_asked():
    asked = policy_cases.asked()
    assert not [row for row, r in policy_cases.rows().items() if not asked.get(row) and not r.get("also")]
    # Row 0 is what import files say beside the table.
    assert not [row for row in asked if row and row not in policy_cases.rows()]


def test_every_proof_is_there():
    missing = [f"{row}: {test}" for row, r in policy_cases.rows().items() for test in r.get("also", [])
               if not attacks.exists(test)]
    assert not missing
    files = {name for found in policy_cases.asked().values() for name in found}
    assert not [name for name in files if not policy_cases.run_by_the_runner(name)]


def test_the_page_is_made_from_the_table():
    with open(policy_cases.PAGE, encoding="utf-8") as f:
        assert f.read() == policy_cases.page(), "run: python3 tests/support/policy_cases.py > docs/policy-cases.md"


POLICY = """apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
defaults: {exempt: {users: [root]}}
rules:
- id: some
  effect: %s
  subjects: {users: [u]}
  apiGroups: [""]
  resources: [secrets]
  verbs: [list]
  labelSelector: {requirements: [{key: team, operator: In, values: [a]}]}
"""


@pytest.mark.parametrize("effect, raw, read", [("allow", {}, {"allowed": True}),
                                               ("deny", {"denied": True}, {})])
def test_row63_a_raw_selector_is_not_read(tmp_path, effect, raw, read):
    """Of requirements that say the same, the allow, or what the deny leaves, is seen; of the text nothing."""
    policy = tmp_path / "p.yaml"
    policy.write_text(POLICY % effect)
    other = "a" if effect == "allow" else "b"
    selectors = [{"rawSelector": f"team={other}"},
                 {"requirements": [{"key": "team", "operator": "In", "values": [other]}]}]
    lines = [json.dumps({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
        "user": "u", "resourceAttributes": {"verb": "list", "resource": "secrets", "labelSelector": s}}})
        for s in selectors]
    got = run([program("portcullis"), "policy", "eval", "--policy", policy], stdin="\n".join(lines) + "\n")
    answers = [json.loads(line)["status"] for line in got.stdout.splitlines()]
    for answer, want in zip(answers, (raw, read), strict=True):
        assert {k: v for k, v in answer.items() if k in ("allowed", "denied") and v} == want, answers
