"""portcullis policy convert: what it prints gives what the import of the same files gives, and never more."""
import json
import random

import pytest

from support import rbac_world, yamlio
from support.paths import program
from support.proc import run

REQUESTS = 4000
HEAD = "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n"
ABAC = "abac.authorization.kubernetes.io/v1beta1"


def cli(*argv, **kw):
    return run([program("portcullis"), "policy", *argv], **kw)


def verdicts(policy, reviews):
    got = cli("eval", "--policy", policy, stdin="".join(json.dumps(r) + "\n" for r in reviews))
    assert got.returncode == 0, got.stderr
    return [json.loads(line)["status"]["allowed"] for line in got.stdout.splitlines()]


def asked_by_apiservers(review):
    """Resources and paths have names."""
    spec = review["spec"]
    if "nonResourceAttributes" in spec:
        return spec["nonResourceAttributes"]["path"] != ""
    return spec["resourceAttributes"]["resource"] != ""


class Both:
    """A file imported and converted."""

    def __init__(self, folder, kind, name, text):
        (folder / name).write_text(text)
        self.imported = folder / "imported.yaml"
        self.imported.write_text(HEAD + f"imports: [{{{kind}: {{path: {name}}}}}]\n")
        got = cli("convert", "--from", kind, folder / name)
        self.code, self.text, self.warnings = got.returncode, got.stdout, got.stderr
        self.converted = folder / "converted.yaml"
        self.converted.write_text(got.stdout)

    def compare(self, reviews):
        """(how many differ, how many of these the conversion allows, how many are allowed)"""
        a, b = verdicts(self.imported, reviews), verdicts(self.converted, reviews)
        return sum(x != y for x, y in zip(a, b)), sum(y and not x for x, y in zip(a, b)), sum(a)


def world(without=()):
    docs = rbac_world.objects(without)
    kinds = {k: [d for d in docs if d["kind"].lower() + "s" == k]
             for k in ("clusterroles", "roles", "clusterrolebindings", "rolebindings")}
    for name, rules in rbac_world.aggregate(kinds["clusterroles"]).items():
        next(d for d in kinds["clusterroles"] if d["metadata"]["name"] == name)["rules"] = rules
    source = rbac_world.Requests(kinds)
    reviews = [source.one() for _ in range(REQUESTS)]
    return "---\n".join(yamlio.dumps(d) for d in docs), [r for r in reviews if asked_by_apiservers(r)]


def test_what_can_be_said_is_said_exactly(tmp_path):
    text, reviews = world(without=rbac_world.UNSAYABLE)
    both = Both(tmp_path, "rbac", "all.yaml", text)
    assert both.code == 0 and "not carried over" not in both.warnings, both.warnings
    differ, _, allowed = both.compare(reviews)
    assert differ == 0 and allowed > REQUESTS / 3


def test_what_cannot_be_said_is_told_and_never_widened(tmp_path):
    text, reviews = world()
    both = Both(tmp_path, "rbac", "all.yaml", text)
    assert both.code == 1
    for words in ('the resource "pods/*"', 'the resource "*/*"', 'the resource "*/"', 'the resource name ""',
                  'the path "/api/*/*"', 'the path "relative"', 'the user "*"', "`create` of objects with a name"):
        assert words in both.text and words.split('"')[0] in both.warnings, words
    differ, wider, _ = both.compare(reviews)
    assert wider == 0 and differ > 0


def test_roles_stay_roles_and_sources_are_named(tmp_path):
    both = Both(tmp_path, "rbac", "r.yaml", """\
kind: ClusterRole
apiVersion: rbac.authorization.k8s.io/v1
metadata: {name: "system:view"}
rules:
- {apiGroups: [""], resources: [pods, pods/log], verbs: [get, list], resourceNames: [a]}
- {nonResourceURLs: ["/healthz**"], verbs: ["*"]}
---
kind: ClusterRoleBinding
apiVersion: rbac.authorization.k8s.io/v1
metadata: {name: "View All"}
roleRef: {kind: ClusterRole, name: "system:view"}
subjects: [{kind: User, name: "no: 1 # user"}, {kind: ServiceAccount, name: sa, namespace: ns}, {kind: Group, name: "null"}]
---
kind: RoleBinding
apiVersion: rbac.authorization.k8s.io/v1
metadata: {name: "view-all", namespace: ns}
roleRef: {kind: ClusterRole, name: "system:view"}
subjects: [{kind: User, name: u}]
""")
    place = str(tmp_path / "r.yaml")
    assert (both.code, both.warnings) == (0, "")
    assert both.text == HEAD + f"""\
roles:
- name: "system:view" # ClusterRole at {place}:1
  rules:
  - {{apiGroups: [""], resources: [pods, pods/log], resourceNames: [a], verbs: [get, list]}}
- name: "system:view (paths)" # ClusterRole at {place}:1
  rules:
  - {{nonResourceURLs: ["/healthz*"], verbs: ["*"]}}
rules:
- id: clusterrolebinding-view-all # ClusterRoleBinding/View%20All at {place}:8
  effect: allow
  subjects: {{users: ["no: 1 # user"], serviceAccounts: [ns/sa], groups: ["null"]}}
  roles: ["system:view", "system:view (paths)"]
- id: rolebinding-ns-view-all # RoleBinding/ns/view-all at {place}:14
  effect: allow
  subjects: {{users: [u]}}
  roles: ["system:view"]
  namespaces: [ns]
"""


def abac_world(seed, sayable):
    """Lines and requests of few words."""
    r = random.Random(seed)
    words = {"resource": ["", "*", "pods", "jobs"], "namespace": ["", "*", "red", "blue"], "apiGroup": ["", "*", "apps"],
             "nonResourcePath": ["", "*", "/a", "/a/*", "/b**"]}
    if sayable:
        words["resource"] = ["", "*"]
    lines = []
    for _ in range(12):
        spec = {k: r.choice(v) for k, v in words.items()}
        spec["readonly"] = r.random() < 0.4
        who = r.choice(["user", "group"]) if sayable else r.choice(["user", "group", "both"])
        if who != "group":
            spec["user"] = r.choice(["ann", "bob", "*"] if sayable else ["ann", "bob", "*", "a*"])
        if who != "user":
            spec["group"] = r.choice(["crew", "ops", "*"])
        doc = {"apiVersion": ABAC, "kind": "Policy", "spec": spec}
        if r.random() < 0.3:
            doc = {k: spec[k] for k in ("user", "group", "resource", "namespace", "readonly") if k in spec}
        lines.append(json.dumps(doc))
    reviews = []
    for _ in range(400):
        if r.random() < 0.3:
            spec = {"nonResourceAttributes": {"path": r.choice(["/", "/a", "/a/", "/a/b", "/bc", "b"]),
                                              "verb": r.choice(["get", "post"])}}
        else:
            spec = {"resourceAttributes": {
                "verb": r.choice(["get", "list", "watch", "create", "*"]), "group": r.choice(["", "apps", "x"]),
                "resource": r.choice(["pods", "jobs", "*"]), "subresource": r.choice(["", "", "exec"]),
                "namespace": r.choice(["", "red", "blue", "green"]), "name": r.choice(["", "x"])}}
        reviews.append({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
            **spec, "user": r.choice(["ann", "bob", "eve", "a*"]),
            "groups": r.sample(["crew", "ops", "system:authenticated", "zz"], r.randrange(4))}})
    return "\n".join(lines) + "\n", reviews


@pytest.mark.parametrize("seed", range(6))
def test_abac_lines_that_can_be_said(tmp_path, seed):
    text, reviews = abac_world(seed, True)
    both = Both(tmp_path, "abac", "a.jsonl", text)
    assert both.code == 0, both.warnings
    differ, _, allowed = both.compare(reviews)
    assert differ == 0 and allowed > 20


@pytest.mark.parametrize("seed", range(6))
def test_abac_lines_are_never_widened(tmp_path, seed):
    text, reviews = abac_world(seed, False)
    both = Both(tmp_path, "abac", "a.jsonl", text)
    assert both.code == 1
    assert both.compare(reviews)[1] == 0


def test_what_abac_lines_lose_is_told(tmp_path):
    both = Both(tmp_path, "abac", "a.jsonl", """\
{"user":"u","resource":"pods"}
{"user":"u","group":"g"}
{"user":"a*"}
{"user":"u","namespace":"Upper"}
""")
    assert both.code == 1
    for words in ("a.jsonl:1:1: warning: not carried over: subresources: ABAC gives all those of `pods`",
                  'a.jsonl:2:1: warning: not carried over: a line for the user "u" when in the group "g"',
                  "a.jsonl:3:1: warning: not carried over: a name with `*` in it",
                  'a.jsonl:4:1: warning: not carried over: the namespace "Upper": none can have this name'):
        assert words in both.warnings, words
    assert both.text.count("- id: ") == 1 and both.text.count("# not carried over") == 4


def test_standard_input_directories_and_mistakes(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.jsonl").write_text('{"user":"u"}\n')
    (tmp_path / "d" / "b.jsonl").write_text('{"user":"v"}\n')
    got = cli("convert", "--from", "abac", tmp_path / "d")
    assert got.returncode == 0 and got.stdout.count("- id: ") == 4, got
    got = cli("convert", "--from", "abac", "-", stdin='{"user":"u"}')
    assert got.returncode == 0 and "abac.standard-input-1 #" in got.stdout, got
    for argv, words in (((), "--from: expected rbac or abac"), (("--from", "opa", "x"), "--from: expected rbac or abac"),
                        (("--from", "rbac"), "expected files or directories"),
                        (("--from", "rbac", tmp_path / "none"), "none")):
        got = cli("convert", *argv)
        assert (got.returncode, got.stdout) == (2, "") and words in got.stderr, got
    got = cli("convert", "--from", "abac", "-", stdin="{")
    assert (got.returncode, got.stdout) == (2, "") and "standard-input:1:" in got.stderr
