"""portcullis policy diff."""
import json

import pytest

from support.paths import program
from support.proc import run

HEAD = "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\ndefaults: {exempt: {groups: [root]}}\nrules:\n"
READ = '- {id: read, effect: allow, subjects: {groups: [dev]}, namespaces: ["team-*"], apiGroups: [""], ' \
       'resources: [pods], verbs: [get, list]}\n'
WRITE = '- {id: write, effect: allow, subjects: {groups: [dev], users: [ann]}, namespaces: ["team-*"], ' \
        'apiGroups: [""], resources: [pods], verbs: [get, list, delete]}\n'
DENY = '- {id: lock, effect: deny, subjects: {groups: [guests]}, apiGroups: [""], resources: [pods], verbs: ["*"]}\n'


def cli(*argv, **kw):
    return run([program("portcullis"), "policy", *argv], **kw)


@pytest.fixture
def pair(tmp_path):
    def make(old, new):
        paths = []
        for name, text in (("old.yaml", old), ("new.yaml", new)):
            path = tmp_path / name
            path.write_text(text if text.startswith("api") else HEAD + text)
            paths.append(path)
        return paths
    return make


def diff(paths, *options):
    got = cli("diff", *paths, "--output", "json", *options)
    out = json.loads(got.stdout)
    assert got.returncode == (1 if out["changes"] else 0)
    return out


def verdict(path, example, now=None):
    got = cli("eval", "--policy", path, *(["--now", now] if now else []), stdin=json.dumps(example) + "\n")
    status = json.loads(got.stdout)["status"]
    return "allow" if status["allowed"] else "deny" if status.get("denied") else "noOpinion"


def test_a_gain_is_told_for_those_who_gain_it(pair):
    paths = pair(READ, WRITE)
    got = cli("diff", *paths)
    assert got.returncode == 1
    assert "Gains access" in got.stdout
    assert "group dev: delete on pods in team-*" in got.stdout
    assert "user ann: delete, get, list on pods in team-*" in got.stdout
    assert "no opinion as no rule decides -> allow by write (new.yaml:5)" in got.stdout
    assert "- read (old.yaml:5)\n" in got.stdout and "+ write (new.yaml:5)\n" in got.stdout
    assert "Loses" not in got.stdout


def test_each_example_shows_the_change_through_eval(pair):
    paths = pair(READ + DENY, WRITE + DENY.replace("verbs", "namespaces: [prod], verbs"))
    out = diff(paths)
    assert out["changes"]
    for cell in out["changes"]:
        assert cell["certain"]
        assert verdict(paths[0], cell["example"]) == cell["before"]
        assert verdict(paths[1], cell["example"]) == cell["after"]


def test_what_means_the_same_is_no_change(pair):
    alias = HEAD.replace("rules:", "aliases: {subjects: {d: {groups: [dev]}}}\nroles:\n- {name: r, rules: [{apiGroups: "
                         '[""], resources: [pods], verbs: [list, get, list]}]}\nrules:')
    renamed = '- {id: other, effect: allow, subjects: {alias: d}, namespaces: ["team-*"], roles: [r]}\n'
    got = cli("diff", *pair(READ + DENY, alias + DENY + renamed))
    assert (got.returncode, got.stdout) == (0, "no verdict changes\n")


def test_a_message_is_text_only(pair):
    got = cli("diff", *pair(DENY, DENY.replace('verbs: ["*"]', 'verbs: ["*"], message: "no"')))
    assert (got.returncode, got.stdout) == (0, "  text only: lock (new.yaml:5)\nno verdict changes\n")


def test_two_memberships_together_are_found(pair):
    paths = pair(READ, READ + DENY)
    cells = [c for c in diff(paths)["changes"] if (c["before"], c["after"]) == ("allow", "deny")]
    assert len(cells) == 1
    groups = [people["groups"] for people in cells[0]["subjects"]["allOf"]]
    assert sorted(groups) == [["dev"], ["guests"]]
    assert set(cells[0]["example"]["spec"]["groups"]) >= {"dev", "guests"}


def test_exemptions_and_the_default_are_changes(pair):
    wider = HEAD.replace("[root]", "[root, ops]")
    out = diff(pair(DENY, wider + DENY))
    assert out["exemptChanged"] and not out["defaultChanged"]
    assert {(c["before"], c["after"]) for c in out["changes"]} == {("deny", "noOpinion")}
    deny = HEAD.replace("defaults: {", "defaults: {decision: Deny, ")
    out = diff(pair(READ, deny + READ))
    assert out["defaultChanged"]
    assert {(c["before"], c["after"], c["kind"]) for c in out["changes"]} == {
        ("noOpinion", "deny", "resource"), ("noOpinion", "deny", "nonResource")}


def test_a_rule_with_a_window_is_told_from_when_it_holds(pair):
    paths = pair(READ, READ + WRITE.replace("verbs", "valid: {from: \"2026-12-01T00:00:00Z\", until: "
                                            "\"2026-12-02T00:00:00Z\"}, verbs"))
    out = diff(paths, "--now", "2026-11-22T10:00:00Z")
    cells = [c for c in out["changes"] if c["after"] == "allow"]
    assert cells and {c["at"][:10] for c in cells} == {"2026-12-01"}
    for cell in cells:
        assert verdict(paths[1], cell["example"], cell["at"]) == "allow"
    assert "; from 2026-12-01T00:00:00" in cli("diff", *paths, "--now", "2026-11-22T10:00:00Z").stdout


def test_shadow_rules_are_told_apart(pair):
    paths = pair(READ, READ + DENY.replace("effect", "mode: shadow, effect"))
    out = diff(paths)
    assert out["changes"] and all(c["shadow"] for c in out["changes"])
    assert "Were the shadow rules in force: Newly denied" in cli("diff", *paths).stdout


def test_imports_are_compared_with_native_rules(pair, tmp_path):
    (tmp_path / "rbac").mkdir()
    (tmp_path / "rbac" / "r.yaml").write_text("""\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: r}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: b}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r}
subjects:
- {kind: Group, name: dev, apiGroup: rbac.authorization.k8s.io}
""")
    imported = HEAD.replace("rules:\n", "imports:\n- rbac: {path: rbac/*.yaml}\n")
    same = READ.replace('namespaces: ["team-*"], ', "")
    assert diff(pair(imported, same))["changes"] == []
    out = diff(pair(imported, READ))
    assert {(c["before"], c["after"]) for c in out["changes"]} == {("allow", "noOpinion")}


def test_many_cells_are_counted_and_all_on_request(pair):
    many = "".join(READ.replace("id: read", f"id: r{i}").replace("[dev]", f"[g{i}]")
                   .replace('"team-*"', f"ns{i}") for i in range(150))
    paths = pair(READ, READ + many)
    out = diff(paths)
    assert (out["cells"], len(out["changes"]), out["leftOut"]) == (150, 100, 50)
    assert "50 more cells are not shown; --all shows them" in cli("diff", *paths).stdout
    out = diff(paths, "--all")
    assert (len(out["changes"]), out["leftOut"]) == (150, 0)


@pytest.mark.parametrize("argv", [["old.yaml"], ["old.yaml", "none.yaml"], ["old.yaml", "old.yaml", "--now", "x"],
                                  ["old.yaml", "bad.yaml"]])
def test_inputs_that_cannot_be_read_are_exit_2(pair, tmp_path, argv):
    pair(READ, READ)
    (tmp_path / "bad.yaml").write_text("rules: 1\n")
    got = cli("diff", *(tmp_path / a if a.endswith(".yaml") else a for a in argv))
    assert got.returncode == 2 and got.stderr and not got.stdout
