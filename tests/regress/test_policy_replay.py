"""portcullis policy replay: over records made up here, and over a log that the daemon wrote."""
import json

import pytest

from support.paths import program
from support.portcullisd import POLICY
from support.proc import run

HEAD = "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\ndefaults: {exempt: {groups: [root]}}\nrules:\n"
READ = '- {id: read, effect: allow, subjects: {groups: [dev]}, apiGroups: [""], resources: [pods], verbs: [get, list]}\n'
TIMED = '- {id: timed, effect: deny, subjects: {groups: [dev]}, apiGroups: [""], resources: [pods], verbs: [get], ' \
        'valid: {from: "2026-11-20T00:00:00Z", until: "2026-11-21T00:00:00Z"}}\n'
LABEL = '- {id: team, effect: allow, subjects: {groups: [ops]}, apiGroups: [""], resources: [pods], verbs: [list], ' \
        'labelSelector: {requirements: [{key: team, operator: In, values: [red]}]}}\n'


def record(decision="allow", ts="2026-11-22T10:00:00.000000Z", groups=("dev",), more=None, **request):
    request = {"kind": "resource", "verb": "get", "resource": "pods", "namespace": "a", "name": "x", **request}
    return {"v": 1, "ts": ts, "seq": 1, "type": "authz.decision", "id": "01", "node": "n", "chain": "c",
            "user": {"name": "ann", "groupsCount": len(groups), "groups": list(groups)},
            "request": {k: v for k, v in request.items() if v is not None}, "decision": decision,
            "rule": "old", **(more or {}), "prev": "0", "hash": "0"}


def event(decision="allow", verb="get", user="ann", groups=("dev",), uri="/api/v1/namespaces/a/pods/x",
          ref=True, stage="ResponseComplete", **more):
    out = {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "1", "stage": stage,
           "requestURI": uri, "verb": verb, "user": {"username": user, "groups": list(groups)},
           "requestReceivedTimestamp": "2026-11-22T10:00:00.000000Z",
           "annotations": {"authorization.k8s.io/decision": decision, "authorization.k8s.io/reason": ""}, **more}
    if ref:
        out["objectRef"] = {"resource": "pods", "namespace": "a", "name": "x", "apiVersion": "v1"}
    return out


@pytest.fixture
def replay(tmp_path):
    def go(lines, *options, policy=READ):
        (tmp_path / "p.yaml").write_text(HEAD + policy)
        (tmp_path / "audit.jsonl").write_text(
            "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
        return run([program("portcullis"), "policy", "replay", "--policy", tmp_path / "p.yaml", "--audit",
                    tmp_path / "audit.jsonl", *options])
    return go


@pytest.fixture
def counts(replay):
    def go(lines, **kw):
        got = replay(lines, "--output", "json", **kw)
        out = json.loads(got.stdout)
        assert got.returncode == (1 if out["flips"] else 0), got
        return out
    return go


def test_what_the_policy_still_says_is_no_flip(replay):
    got = replay([record(), record("noOpinion", verb="delete")])
    assert (got.returncode, got.stdout) == (0, "0 of 2 decisions flip\n")


def test_flips_are_grouped_by_rule_and_counted(replay, tmp_path):
    got = replay([record(verb="delete")] * 3 + [record("deny")] + [record()])
    assert got.returncode == 1
    log = tmp_path / "audit.jsonl"
    assert got.stdout.startswith(
        f"1 times: deny by old -> allow by read (p.yaml:5)\n    first at 2026-11-22T10:00:00.000000Z ({log}:4)\n")
    assert f"3 times: allow by old -> noOpinion as no rule decides\n    first at 2026-11-22T10:00:00.000000Z ({log}:1)\n" \
        in got.stdout
    assert got.stdout.endswith("4 of 5 decisions flip\n")


def test_an_example_runs_through_eval(replay, tmp_path):
    out = json.loads(replay([record("noOpinion")], "-o", "json").stdout)
    got = run([program("portcullis"), "policy", "eval", "--policy", tmp_path / "p.yaml"],
              stdin=json.dumps(out["flips"][0]["example"]) + "\n")
    assert json.loads(got.stdout)["status"]["allowed"] is True


def test_the_time_of_the_record_is_now(counts):
    inside = record(ts="2026-11-20T12:00:00.000000Z")
    out = counts([inside, record()], policy=READ + TIMED)
    assert [(f["before"], f["after"], f["count"]) for f in out["flips"]] == [("allow", "deny", 1)]
    assert out["flips"][0]["ts"] == "2026-11-20T12:00:00.000000Z"


def test_selectors_and_paths_are_replayed(counts):
    red = [{"key": "team", "op": "In", "values": ["red"]}]
    blue = [{"key": "team", "op": "In", "values": ["blue"]}]
    rules = LABEL + '- {id: path, effect: allow, subjects: {groups: [ops]}, nonResourceURLs: ["/x"], verbs: [get]}\n'
    path = {"kind": "nonResource", "resource": None, "namespace": None, "name": None, "path": "/x"}
    out = counts([record(groups=["ops"], verb="list", name=None, labelSelector=red),
                  record("noOpinion", groups=["ops"], verb="list", name=None, labelSelector=blue),
                  record(groups=["ops"], **path), record("noOpinion", groups=["ops"], **{**path, "path": "/y"})],
                 policy=rules)
    assert (out["decisions"], out["flipped"]) == (4, 0)


def test_what_was_not_recorded_whole_is_counted_and_not_guessed(counts):
    few = record(verb="delete")
    few["user"]["groupsCount"] = 2
    cut = record(verb="delete", more={"truncated": ["request.name"]})
    harmless = record(verb="delete", more={"truncated": ["user.extraKeys"]})
    undecided = [record("error"), record("noOpinion", more={"evaluationError": "both are set"})]
    out = counts([few, cut, harmless, *undecided])
    assert out["notReplayed"] == {"groups": 1, "truncated": 1, "undecided": 2, "selectors": 0, "masters": 0}
    assert (out["decisions"], out["flipped"]) == (1, 1)


def test_gaps_and_other_records_are_told(replay, counts):
    gap = {"v": 1, "ts": "2026-11-22T10:00:00.000000Z", "seq": 9, "type": "audit.gap",
           "audit": {"from": 3, "to": 8, "count": 6}}
    used = {**record(verb="delete"), "type": "breakglass.used"}
    out = counts([gap, used, record()])
    assert (out["lostRecords"], out["otherRecords"], out["decisions"]) == (6, 1, 1)
    assert "6 records are missing from the log (audit.gap)\n" in replay([gap, record()]).stdout


def test_bad_lines_are_told_with_their_place_and_do_not_stop_it(replay, tmp_path):
    got = replay([record(), '{"type":"authz.dec\n', "\n", "[]\n", '{"a":1}\n', record(verb="delete")])
    assert got.returncode == 1
    assert got.stdout.endswith("1 of 2 decisions flip\n3 lines are no records\n")
    for line in (2, 4, 5):
        assert f"{tmp_path}/audit.jsonl:{line}: " in got.stderr
    assert replay(["nonsense\n"]).returncode == 2


def test_zeros_that_a_crash_left_are_no_record(replay, tmp_path):
    got = replay([record(), "\0" * 100 + "\n"])
    assert got.returncode == 0 and got.stdout.endswith("1 lines are no records\n")
    assert f"{tmp_path}/audit.jsonl:2: " in got.stderr


def test_a_log_cannot_drive_the_terminal(replay):
    got = replay([record("deny", more={"rule": "r\x1b[2J\n0 of 1 decisions flip\u202e"})])
    assert got.returncode == 1 and "\x1b" not in got.stdout and "\u202e" not in got.stdout
    assert 'deny by "r\\u001b[2J\\n0 of 1' in got.stdout


def test_kubernetes_events_are_compared_by_what_all_authorizers_came_to(counts):
    lines = [event(), event("forbid", "delete"), event("allow", "delete"), event("forbid"),
             event(stage="RequestReceived", annotations={}), event(stage="ResponseStarted"),
             event("forbid", groups=["system:masters"]),
             event("allow", "list", uri="/api/v1/pods?labelSelector=a%3Db"),
             event("forbid", uri="/version?timeout=3s", ref=False),
             event("forbid", user="root", groups=[], impersonatedUser={"username": "ann", "groups": ["dev"]})]
    out = counts(lines)
    assert out["decisions"] == 6 and out["otherRecords"] == 2
    assert out["notReplayed"]["masters"] == 1 and out["notReplayed"]["selectors"] == 1
    assert sorted((f["before"], f["after"], f["count"]) for f in out["flips"]) == [
        ("allow", "noOpinion", 1), ("forbid", "allow", 2)]


def test_limit_and_several_files(replay, tmp_path):
    (tmp_path / "two.jsonl").write_text(json.dumps(record("deny", verb="delete")) + "\n")
    out = json.loads(replay([record(verb="delete")], tmp_path / "two.jsonl", "-o", "json", "--limit", "1").stdout)
    assert (out["flipped"], len(out["flips"]), out["leftOut"]) == (2, 1, 1)
    assert replay([record()], "--limit", "x").returncode == 2
    assert replay([record()], tmp_path / "none.jsonl").returncode == 2


def test_the_daemons_own_log_replays_to_what_it_said(daemon, tmp_path):
    d = daemon(policy=POLICY)
    for user, verb in (("ann", "list"), ("bob", "get"), ("bob", "delete"), ("eve", "create")):
        d.access_review(user, groups=["dev", "ops"], verb=verb, resource="pods", namespace="team-a")
    d.wait_audit("authz.decision", after=3)
    same = tmp_path / "same.yaml"
    same.write_text(json.dumps(POLICY) + "\n")
    got = run([program("portcullis"), "policy", "replay", "-p", same, "-a", d.audit_path, "-o", "json"])
    out = json.loads(got.stdout)
    assert (out["decisions"], out["flipped"], out["badLines"], got.returncode) == (4, 0, 0, 0)
    other = {**POLICY, "rules": [{"id": "no", "effect": "deny", "subjects": {"all": "everyone"}, "resources": ["*"],
                                  "verbs": ["*"]}]}
    same.write_text(json.dumps(other) + "\n")
    got = run([program("portcullis"), "policy", "replay", "-p", same, "-a", d.audit_path, "-o", "json"])
    out = json.loads(got.stdout)
    assert out["flipped"] > 0 and {f["after"] for f in out["flips"]} == {"deny"} and got.returncode == 1
