"""`portcullis sync explain --as-new`: templates tried for somebody who was never seen, without a cluster; and how the
commands that need one say so."""
import json

import pytest
import yaml

from support.paths import program
from support.proc import run

TEMPLATES = [
    {"name": "sandbox", "match": {"providers": ["ldap:*"], "groups": ["eng-*"]},
     "namespace": {"name": "u-${user.slug}-${user.hash6}"},
     "grants": [{"clusterRole": "edit"}],
     "objects": [{"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"},
                  "spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}}]},
    {"name": "oncall", "match": {"groups": ["oncall"]},
     "grants": [{"clusterRole": "view", "scope": "cluster", "startTime": "2026-12-01T00:00:00Z",
                 "endTime": "2026-12-08T00:00:00Z"}]},
    {"name": "web", "match": {"providers": ["jwt:*"]}, "grants": [{"clusterRole": "view", "namespaces": ["web"]}]},
    {"name": "people", "match": {"groups": ["eng-*"], "notUsers": ["svc-*"]},
     "grants": [{"clusterRole": "view", "namespaces": ["desk"]}]},
    {"name": "teams", "match": {"groups": ["eng-*"]},
     "grants": [{"clusterRole": "view", "namespaces": ["${group}", "kube-${group}"]}]},
]


@pytest.fixture
def explain(tmp_path):
    (tmp_path / "templates.yaml").write_text(yaml.safe_dump({
        "apiVersion": "sync.portcullis.dev/v1alpha1", "kind": "SyncConfig", "templates": TEMPLATES}), encoding="utf-8")
    config = tmp_path / "rbac-sync.yaml"
    config.write_text(yaml.safe_dump({
        "apiVersion": "sync.portcullis.dev/v1alpha1", "kind": "RBACSyncConfiguration",
        "spoolDir": str(tmp_path / "spool"), "kubeconfig": str(tmp_path / "kubeconfig"),
        "templates": "templates.yaml"}), encoding="utf-8")

    def go(*options, code=0, command="explain"):
        got = run([program("portcullis"), "sync", command, "--config", str(config), *options], cwd=tmp_path)
        assert got.returncode == code, f"exit {got.returncode}\n{got.stdout}\n{got.stderr}"
        assert "Sanitizer" not in got.stderr, got.stderr
        return got.stdout if code == 0 else got.stderr
    return go


def new(explain, user, *groups, provider="ldap:corp", now="2026-11-23T10:00:00Z", more=()):
    options = [x for g in groups for x in ("--group", g)]
    return explain(user, "--as-new", "--provider", provider, "--now", now, *options, *more)


def test_groups_lead_to_templates_and_objects(explain):
    text = new(explain, "alice", "eng-a", "oncall")
    assert text.splitlines()[:2] == ["alice (ldap:corp), as a new user", "  groups: eng-a, oncall"]
    assert "template sandbox: for eng-a\n  Namespace/u-alice-" in text
    assert "/small: due\n" in text
    assert ": ClusterRole edit to User alice: due\n" in text
    assert ("template oncall: for oncall\n  grant 1, ClusterRole view: does not hold now, changes "
            "2026-12-01T00:00:00Z\n") in text
    assert "template web: not for this user: it is for other providers\n" in text
    assert "RoleBinding/eng-a/portcullis:teams:" in text and ": ClusterRole view to Group eng-a: due\n" in text
    assert "RoleBinding/desk/portcullis:people:" in text and ": ClusterRole view to User alice: due\n" in text
    assert "  refused: " in text and "kube-eng-a (reservedNamespace)\n" in text
    assert text.endswith("next change by time alone: 2026-12-01T00:00:00Z\n")


def test_time_turns_a_grant_on(explain):
    text = new(explain, "alice", "oncall", now="2026-12-02T00:00:00Z")
    assert "ClusterRoleBinding/portcullis:oncall:" in text
    assert ": ClusterRole view to Group oncall, until 2026-12-08T00:00:00Z: due\n" in text


@pytest.mark.parametrize("user,groups,template,why", [
    ("alice", ["ops"], "sandbox", "none of the user's groups is one of its groups"),
    ("alice", [], "teams", "none of the user's groups is one of its groups"),
    ("svc-x", ["eng-a"], "people", "the user is one of its notUsers"),
])
def test_templates_say_why_they_are_not_for_somebody(explain, user, groups, template, why):
    assert f"template {template}: not for this user: {why}\n" in new(explain, user, *groups)


def test_json_says_the_same(explain):
    (user,) = json.loads(new(explain, "alice", "eng-a", "oncall", more=("--output", "json")))["users"]
    assert user["user"] == "alice" and user["groups"] == ["eng-a", "oncall"] and "record" not in user
    by = {t["name"]: t for t in user["templates"]}
    assert [o["kind"] for o in by["sandbox"]["objects"]] == ["Namespace", "LimitRange", "RoleBinding"]
    assert {o["state"] for o in by["sandbox"]["objects"]} == {"due"}
    (binding,) = by["teams"]["objects"]
    assert (binding["role"], binding["subjectKind"], binding["subject"]) == ("view", "Group", "eng-a")
    assert binding["shared"] is True
    assert [r["rail"] for r in by["teams"]["refusals"]] == ["reservedNamespace"]
    assert by["oncall"]["sleeping"] == [{"grant": 0, "role": "view", "changes": "2026-12-01T00:00:00Z"}]
    assert by["web"] == {"name": "web", "matches": False, "reason": "it is for other providers"}


def test_one_namespace_and_the_cluster(explain):
    text = new(explain, "alice", "eng-a", "oncall", now="2026-12-02T00:00:00Z", more=("-n", "eng-a"))
    assert "RoleBinding/eng-a/" in text and "ClusterRoleBinding/" in text and "u-alice" not in text


def test_names_cannot_write_to_the_terminal(explain):
    text = new(explain, "eve\x1b[2J", "eng-a\u202e")
    assert "\x1b" not in text and "\u202e" not in text
    assert text.startswith('"eve\\u001b[2J" (ldap:corp)')


def test_reserved_users_get_nothing(explain):
    text = new(explain, "system:admin", "eng-a")
    assert "(reservedSubject)" in text and ": due" not in text


@pytest.mark.parametrize("options,why", [
    ([], "name a user"),
    (["a", "b"], "unexpected argument b"),
    (["a", "--as-new"], "--as-new needs --provider"),
    (["a", "--group", "g"], "for --as-new"),
    (["a", "--now", "2026-11-23T10:00:00Z"], "for --as-new"),
    (["a", "--as-new", "--provider", "p", "--kubeconfig", "k"], "asks no cluster"),
    (["a", "--as-new", "--provider", "p", "--now", "noon"], "noon"),
    (["a", "--output", "xml"], "xml"),
])
def test_wrong_usage(explain, options, why):
    assert why in explain(*options, code=2)


@pytest.mark.parametrize("command,options", [("plan", []), ("export", []), ("explain", ["alice"])])
def test_without_a_cluster_they_say_so(explain, command, options):
    assert "kubeconfig" in explain(*options, code=2, command=command)


@pytest.mark.parametrize("command", ["plan", "export"])
def test_provider_needs_a_user(explain, command):
    assert "--user" in explain("--provider", "p", code=2, command=command)
