"""portcullis policy explain: every dimension, who is named by what, time, shadow, break-glass, imports."""
import json
import os

import pytest

from support.paths import TOP, program
from support.proc import run
from support.small_policy import HEAD, RULES

DIMENSIONS = os.path.join(TOP, "tests", "golden", "policy", "dimensions.yaml")
NOON = "2026-11-22T11:00:00Z"


def explain(policy, request, *options):
    got = run([program("portcullis"), "policy", "explain", "--policy", policy, *options], stdin=json.dumps(request))
    assert got.returncode in (0, 1), got.stderr
    return got


def listed(policy, request, *options):
    """The rules of the JSON form by id."""
    got = explain(policy, request, "-o", "json", *options)
    out = json.loads(got.stdout)
    assert got.returncode == (0 if out["verdict"] == "allow" else 1)
    rules = {r["rule"]: r for r in out["rules"]}
    assert len(rules) == len(out["rules"])
    return out, rules


def review(user="ann", groups=("dev",), path=None, **attributes):
    spec = {"user": user, "groups": list(groups)}
    if path:
        spec["nonResourceAttributes"] = {"path": path, "verb": "get"}
    else:
        spec["resourceAttributes"] = {"verb": "get", "resource": "pods", **attributes}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


@pytest.fixture
def policy(tmp_path):
    def write(rules):
        path = tmp_path / "p.yaml"
        path.write_text(HEAD + rules)
        return path
    return write


def test_it_tells_why(policy, tmp_path):
    p = policy(RULES)
    got = explain(p, review(verb="list"))
    assert got.returncode == 1
    assert got.stdout == """\
verdict: deny by rule no (p.yaml:7)
reason: deny rule=no gen=3
deny    no (p.yaml:7): matches and decides, named by everyone
allow   read (p.yaml:6): matches, but another rule decides, named by group "dev"
"""
    path = tmp_path / "r.json"
    path.write_text(json.dumps(review(user="root", verb="list")))
    got = run([program("portcullis"), "policy", "explain", "--policy", p, path])
    assert got.returncode == 0
    assert "deny    no (p.yaml:7): matches, but the subject is exempt, named by everyone\n" in got.stdout
    assert 'allow   read (p.yaml:6): matches and decides, named by group "dev"\n' in got.stdout


def selector(kind, operator, *values):
    requirement = {"key": "k", "operator": operator}
    if values:
        requirement["values"] = list(values)
    return {kind: {"requirements": [requirement]}}


# What the rule says, how the request differs from one that matches, the dimension and what stands there.
RULE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
DIFFERENCES = [
    ({}, {"verb": "delete"}, "verb", ["list"]),
    ({"verbs": ["get", "list", "watch"]}, {"verb": "delete"}, "verb", ["get", "list", "watch"]),
    ({}, {"group": "apps"}, "apiGroup", [""]),
    ({}, {"resource": "secrets"}, "resource", ["pods"]),
    ({"resources": ["pods/log", "*/scale"]}, {}, "resource", ["pods/log", "*/scale"]),
    ({}, {"subresource": "log"}, "resource", ["pods"]),
    ({"resourceNames": ["a"], "resourceNamesGlob": ["b-*"]}, {"name": "c"}, "resourceName", ["a", "b-*"]),
    ({"namespaces": {"include": ["a", "b-*"], "exclude": ["b-x", "*-y"]}}, {"namespace": "b-x"}, "namespace",
     ["a", "b-*", "not b-x", "not *-y"]),
    ({"clusterScope": "only"}, {"namespace": "x"}, "namespace", None),
    (selector("fieldSelector", "In", "x", "y"), {}, "fieldSelector", ["k In x, y"]),
    (selector("labelSelector", "Exists"), selector("labelSelector", "NotIn", "x"), "labelSelector", ["k Exists"]),
    ({"valid": {"until": "2026-01-01T00:00:00Z"}}, {}, "valid", None),
    ({"except": {"subjects": {"users": ["an*"]}}}, {}, "except", None),
]


@pytest.mark.parametrize("rule, change, failed, has", DIFFERENCES, ids=[d[2] for d in DIFFERENCES])
def test_it_names_the_dimension_and_what_the_rule_says_there(policy, rule, change, failed, has):
    doc = {"id": "r", "effect": "allow", "subjects": {"groups": ["dev"]}, **RULE, **rule}
    p = policy("rules:\n- " + json.dumps(doc) + "\n")
    out, rules = listed(p, review(**{"verb": "list", **change}), "--now", NOON)
    assert out["verdict"] == "noOpinion"
    assert rules["r"]["failed"] == failed and not rules["r"]["matches"] and not rules["r"]["decides"]
    assert rules["r"].get("has") == has
    text = explain(p, review(**{"verb": "list", **change}), "--now", NOON).stdout
    assert all(json.dumps(item) in text for item in has or [])


def test_paths_and_the_other_kind_of_request(policy):
    doc = {"id": "r", "effect": "allow", "subjects": {"groups": ["dev"]}, "nonResourceURLs": ["/a", "/b/*"],
           "verbs": ["get"]}
    p = policy("rules:\n- " + json.dumps(doc) + "\n")
    _, rules = listed(p, review(path="/c"))
    assert rules["r"]["failed"] == "nonResourceURL" and rules["r"]["has"] == ["/a", "/b/*"]
    _, rules = listed(p, review())
    assert rules["r"]["failed"] == "kind"


def test_a_rule_about_what_is_asked_that_names_others_is_listed(policy):
    _, rules = listed(policy(RULES), review(user="x", groups=()))
    assert rules["read"]["failed"] == "subjects" and "namedBy" not in rules["read"]
    _, rules = listed(policy(RULES), review(user="x", groups=(), verb="patch"))
    assert "read" not in rules


def test_long_lists_are_cut(policy):
    verbs = [f"verb-{i}" for i in range(100)]
    doc = {"id": "r", "effect": "allow", "subjects": {"groups": ["dev"]}, **RULE, "verbs": verbs}
    p = policy("rules:\n- " + json.dumps(doc) + "\n")
    _, rules = listed(p, review())
    assert len(rules["r"]["has"]) == 16 and rules["r"]["hasMore"] == 84
    assert "and 84 more" in explain(p, review()).stdout


NAMED = [
    ({"users": ["x", "ann"]}, {"kind": "user", "entry": "ann", "value": "ann"}),
    ({"users": ["x", "a*"], "groups": ["dev"]}, {"kind": "user", "entry": "a*", "value": "ann"}),
    ({"groups": ["y", "dev"]}, {"kind": "group", "entry": "dev", "value": "dev"}),
    ({"groups": ["d*v"]}, {"kind": "group", "entry": "d*v", "value": "dev"}),
    ({"all": "everyone"}, {"kind": "everyone"}),
    ({"all": "authenticated"}, {"kind": "group", "entry": "system:authenticated", "value": "system:authenticated"}),
    ({"alias": "al", "users": ["x"]}, {"kind": "group", "entry": "dev", "value": "dev"}),
]


@pytest.mark.parametrize("subjects, by", NAMED, ids=range(len(NAMED)))
def test_it_names_the_entry_that_names_the_subject(policy, subjects, by):
    doc = {"id": "r", "effect": "allow", "subjects": subjects, **RULE}
    p = policy('aliases: {subjects: {al: {groups: [dev]}}}\nrules:\n- ' + json.dumps(doc) + "\n")
    _, rules = listed(p, review(groups=["other", "dev", "system:authenticated"], verb="list"))
    assert rules["r"]["decides"] and rules["r"]["namedBy"] == by


def test_service_accounts_and_exceptions(policy):
    p = policy("""\
rules:
- {id: r, effect: allow, subjects: {serviceAccounts: [ci/*]}, apiGroups: [""], resources: [pods], verbs: [get]}
- id: e
  effect: deny
  subjects: {all: everyone}
  except: {subjects: {serviceAccounts: ["*/bot"]}}
  apiGroups: [""]
  resources: [pods]
  verbs: [get]
""")
    user = "system:serviceaccount:ci:bot"
    _, rules = listed(p, review(user=user, groups=()))
    assert rules["r"]["namedBy"] == {"kind": "serviceAccount", "entry": "ci/*", "value": user}
    assert rules["e"]["failed"] == "except"
    assert rules["e"]["exceptedBy"] == {"kind": "serviceAccount", "entry": "*/bot", "value": user}
    text = explain(p, review(user=user, groups=())).stdout
    assert f'(p.yaml:6): excepts the subject, named by serviceAccount "*/bot" ("{user}")\n' in text


# --- time, break-glass ---

def test_it_tells_when_a_rule_holds(policy):
    p = policy("""\
rules:
- id: r
  effect: allow
  subjects: {groups: [dev]}
  apiGroups: [""]
  resources: [pods]
  verbs: [get]
  valid: {from: 2026-11-22T10:00:00Z, until: 2026-11-22T12:00:00Z}
""")

    def at(now, ttl="0s"):
        _, rules = listed(p, review(), "--now", now, "--authorized-ttl", ttl)
        window = rules["r"]["valid"].pop("window")
        assert window == "from 2026-11-22T10:00:00Z until 2026-11-22T12:00:00Z"
        text = explain(p, review(), "--now", now, "--authorized-ttl", ttl).stdout.splitlines()[-1]
        return rules["r"]["matches"], rules["r"]["valid"], text.partition("; ")[2]

    assert at("2026-11-22T09:00:00Z") == (
        False, {"holds": False, "from": "2026-11-22T10:00:00Z"}, "it holds again from 2026-11-22T10:00:00Z")
    assert at("2026-11-22T11:00:00Z") == (
        True, {"holds": True, "until": "2026-11-22T12:00:00Z"}, "it holds until 2026-11-22T12:00:00Z")
    assert at("2026-11-22T13:00:00Z") == (False, {"holds": False}, "it never holds again")
    # What the apiserver would remember past the end counts as over.
    matches, valid, text = at("2026-11-22T11:59:00Z", "5m")
    assert not matches and valid["holds"]
    assert text == "the apiserver would remember the answer past its end at 2026-11-22T12:00:00Z"


def test_break_glass_is_told():
    asked = review(user="bob", groups=(), namespace="payments")
    out, rules = listed(DIMENSIONS, asked, "--now", NOON, "--authorized-ttl", "0s")
    assert out["reason"] == "allow rule=inc-4711 gen=7 breakGlass=INC-4711 until=2026-11-22T12:00:00Z"
    assert out["breakGlass"] == "INC-4711"
    assert rules["inc-4711"]["breakGlass"] == {"ticket": "INC-4711", "approvedBy": ["dave", "carol"]}
    text = explain(DIMENSIONS, asked, "--now", NOON, "--authorized-ttl", "0s").stdout
    assert ('(dimensions.yaml:63): matches and decides, named by user "bob"; it holds until 2026-11-22T12:00:00Z; '
            'break-glass "INC-4711", approved by "dave", "carol"\n') in text


# --- shadow, imports, notes ---

def test_shadow_rules_are_told_apart(policy):
    p = policy("""\
defaults: {exempt: {users: [root]}}
rules:
- {id: a, effect: allow, subjects: {groups: [dev]}, apiGroups: [""], resources: [pods], verbs: [get]}
- {id: s, mode: shadow, effect: deny, subjects: {groups: [dev]}, apiGroups: [""], resources: [pods], verbs: [get]}
- {id: t, mode: shadow, effect: abstain, subjects: {groups: [dev]}, apiGroups: [""], resources: [pods], verbs: [get]}
""")
    out, rules = listed(p, review())
    assert out["verdict"] == "allow" and out["shadow"] == {"verdict": "deny", "rule": "s", "source": "p.yaml:7"}
    assert rules["a"]["mode"] == "enforce" and rules["a"]["decides"]
    assert rules["s"]["mode"] == "shadow" and rules["s"]["matches"] and not rules["s"]["decides"]
    text = explain(p, review()).stdout
    assert "with shadow rules: deny by rule s (p.yaml:7)\n" in text
    assert 'deny    s (p.yaml:7, shadow): matches and would decide, named by group "dev"\n' in text
    assert 'abstain t (p.yaml:8, shadow): matches, in shadow, named by group "dev"\n' in text
    out, rules = listed(p, review(user="root"))
    assert "shadow" not in out and rules["s"]["matches"]
    assert "(p.yaml:7, shadow): matches, but the subject is exempt" in explain(p, review(user="root")).stdout


def test_imported_rules_stand_with_their_source():
    out, rules = listed(DIMENSIONS, review(user="u", groups=["red"], namespace="team-a"), "--now", NOON)
    rule = "rbac:RoleBinding/team-a/readers"
    assert out["rule"] == rule and rules[rule]["origin"] == "rbac" and rules[rule]["source"] == "rbac.yaml:8"
    text = explain(DIMENSIONS, review(user="u", groups=["red"], namespace="team-a"), "--now", NOON).stdout
    assert f'allow   {rule} (rbac.yaml:8, RBAC): matches and decides, named by group "red"\n' in text
    asked = review(user="ann", groups=["ops"], resource="events")
    assert listed(DIMENSIONS, asked, "--now", NOON)[1]["abac:abac.jsonl:1"]["origin"] == "abac"
    # ABAC's user and group must both name the subject.
    _, rules = listed(DIMENSIONS, review(user="ann", groups=(), resource="events"), "--now", NOON)
    assert rules["abac:abac.jsonl:1"]["failed"] == "subjects"


def test_a_dangling_binding_is_told_where_nothing_decides(tmp_path):
    (tmp_path / "b.yaml").write_text(json.dumps({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "lost"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "missing"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}]}) + "\n")
    p = tmp_path / "p.yaml"
    p.write_text(HEAD + "imports: [{rbac: {path: b.yaml}}]\n")
    out, rules = listed(p, review())
    note = 'RBAC: clusterrole.rbac.authorization.k8s.io "missing" not found'
    assert out["evaluationError"] == note and out["reason"] == "noOpinion default gen=3: " + note
    assert rules["rbac:ClusterRoleBinding/lost"]["effect"] == "note"
    assert rules["rbac:ClusterRoleBinding/lost"]["message"] == note
    assert f'named by user "ann": {note}\n' in explain(p, review()).stdout
    assert "lost" not in explain(p, review(user="eve")).stdout
    # The same words stand in the answer of eval.
    got = run([program("portcullis"), "policy", "eval", "--policy", p], stdin=json.dumps(review()) + "\n")
    status = json.loads(got.stdout)["status"]
    assert status == {"allowed": False, "reason": out["reason"], "evaluationError": note}


# --- what is no question ---

def test_what_cannot_be_answered(policy):
    p = policy(RULES)
    asked = {**review(), "spec": {"user": "u"}}
    got = explain(p, asked)
    assert got.returncode == 1 and "error: exactly one of" in got.stdout
    out = json.loads(explain(p, asked, "-o", "json").stdout)
    assert out["rules"] == [] and "exactly one" in out["evaluationError"]


def test_it_refuses_what_is_no_review(policy):
    p = policy(RULES)
    got = run([program("portcullis"), "policy", "explain", "-p", p], stdin="{}")
    assert got.returncode == 2 and "standard input: byte" in got.stderr
    got = run([program("portcullis"), "policy", "explain", "-p", p, "-o", "yaml"], stdin="{}")
    assert got.returncode == 2
