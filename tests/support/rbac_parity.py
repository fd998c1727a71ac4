"""Kubernetes' own RBAC and ABAC cases and what became of each here. Run as a program, prints docs/rbac-parity.md."""
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CASES = os.path.join(TOP, "tests", "cases")
PAGE = os.path.join(TOP, "docs", "rbac-parity.md")

# Test of upstream: its file, what its cases are called here, how many it has.
TESTS = [
    ("TestAuthorizer", "rbac_test.go", "TestAuthorizer", 34),
    ("TestRuleMatches", "rbac_test.go", "TestRuleMatches", 70),
    ("TestResourceMatches", "rbac/helpers_test.go", "TestResourceMatches", 12),
    ("TestAppliesTo", "rule_test.go", "TestAppliesTo", 9),
    ("TestDefaultRuleResolver", "rule_test.go", "TestDefaultRuleResolver", 4),
    ("TestCovers…", "policy_comparator_test.go", "Covers", 23),
    ("TestNonResourceURLCovers", "policy_comparator_test.go", "NonResourceURLCovers", 14),
    ("TestAuthorizeV0", "abac_test.go", "AuthorizeV0", 22),
    ("TestAuthorizeV1beta1", "abac_test.go", "AuthorizeV1beta1", 36),
    ("TestSubjectMatches", "abac_test.go", "SubjectMatches", 36),
    ("TestPolicy", "abac_test.go", "Policy", 25),
    ("TestRulesFor", "abac_test.go", "RulesFor", 5),
    ("TestEmptyFile and other files", "abac_test.go", None, 4),
    ("TestV0Conversion", "v0/conversion_test.go", "Conversion v0", 8),
    ("TestV1Beta1Conversion", "v1beta1/conversion_test.go", "Conversion v1beta1", 4),
]
FILES = ("EmptyFile", "OneLineFileNoNewLine", "TwoLineFile", "ExampleFile")

HEAD = """# Parity with Kubernetes' RBAC and ABAC authorizers

The cases of upstream's own tables (k8s.io/kubernetes: `plugin/pkg/auth/authorizer/rbac`, `pkg/apis/rbac`,
`pkg/registry/rbac/validation`, `component-helpers/auth/rbac/validation`, `pkg/auth/authorizer/abac`, `pkg/apis/abac`),
and what became of each here, on imported files. Counterparts are written from what a case is about, with data of our
own: `tests/cases/rbac/*.cases` and `tests/cases/abac/*.cases`, run by `tests/unit/test_authz_cases.c`. This page is made
from those files by `python3 tests/support/rbac_parity.py`; a test holds both together.

`TestCovers…` compares lists of rules: its counterparts ask for each atom of the one list what the other allows. Rules
that speak of resources and of paths at once, which upstream's tables have and its validation refuses, are two rules.

Beside these tables, the roles and bindings that a kube-apiserver makes for itself are imported from its API and
compared with that apiserver's verdicts, request by request: `tests/e2e/test_rbac_import.py`.

What differs on purpose:

| upstream | here |
|---|---|
| an empty ABAC file is a policy without lines | refused: editors that truncate before they write leave one behind for a moment |
| an ABAC line with `spec` and without `apiVersion` is read as v0, where it gives everything to everyone | refused |
| of a key that stands twice in an ABAC line the last counts | refused |
| a review whose `resource` has a slash in it matches a rule for `resource/subresource` | it does not; no apiserver asks so of its own |
| an aggregated ClusterRole keeps what it once gathered in a circle of roles | the circle starts from nothing |
"""


def _lines():
    for folder in ("rbac", "abac"):
        for name in sorted(os.listdir(os.path.join(CASES, folder))):
            with open(os.path.join(CASES, folder, name), encoding="utf-8") as f:
                for line in f:
                    word, _, rest = line.rstrip("\n").partition(" ")
                    if word in ("case", "out"):
                        yield f"{folder}/{name}", word, [x.strip() for x in rest.split("|")]


def cases():
    """name -> [file, verdicts] or [file, reason why it is out], in order."""
    found = {}
    for path, word, fields in _lines():
        entry = found.setdefault(fields[0], [path, [], None])
        if word == "out":
            entry[2] = fields[1]
        else:
            entry[1].append(fields[3].split()[0])
    return found


def _belongs(name, prefix):
    if prefix is None:
        return name in FILES
    return name.startswith(prefix) if prefix == "Covers" else name.startswith(prefix + " ")


def _short(name, prefix):
    return name if prefix in (None, "Covers") else name[len(prefix) + 1:]


def _here(entry):
    path, verdicts, out = entry
    if out:
        return out
    words = {"allow": "allow", "noOpinion": "no opinion"}
    text = words[verdicts[0]] if len(set(verdicts)) == 1 else \
        f"{verdicts.count('allow')} of {len(verdicts)} allowed"
    return f"{text} ({path})"


def counts():
    """Upstream's test -> (cases here, cases there)."""
    found = cases()
    return {title: (sum(_belongs(n, prefix) for n in found), n) for title, _, prefix, n in TESTS}


def page():
    found = cases()
    out = sum(e[2] is not None for e in found.values())
    lines = [HEAD, f"\n{len(found)} cases: {len(found) - out} with a counterpart, {out} out.\n"]
    for title, file, prefix, _ in TESTS:
        lines.append(f"\n## {title} ({file})\n\n| case | here |\n|---|---|\n")
        for name, entry in found.items():
            if _belongs(name, prefix):
                lines.append(f"| {_short(name, prefix)} | {_here(entry)} |\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
