"""Rules with `valid` and `breakGlass` in the running daemon, and in the tools that ask for a given time."""
import datetime
import json

import pytest

from support.paths import program
from support.portcullisd import POLICY
from support.proc import run

UTC = datetime.timezone.utc


def moment(seconds):
    """SECONDS from now, in whole seconds."""
    return datetime.datetime.now(UTC).replace(microsecond=0) + datetime.timedelta(seconds=seconds)


def rule(name, effect="allow", **more):
    return {"id": name, "effect": effect, "subjects": {"users": ["bob"]}, "apiGroups": [""],
            "resources": ["secrets"], "verbs": ["get"], **more}


def policy(*rules, generation=1):
    return {**POLICY, "metadata": {"name": "test", "generation": generation}, "rules": POLICY["rules"] + list(rules)}


def valid(start=None, end=None):
    bounds = {"from": start, "until": end}
    return {k: v.strftime("%Y-%m-%dT%H:%M:%SZ") for k, v in bounds.items() if v}


def no_cache(config):
    config["authorization"]["apiserverAuthorizedTTL"] = "0s"


def glass(start, end):
    return rule("glass", valid=valid(start, end),
                breakGlass={"ticket": "INC-4711", "approvedBy": ["carol", "dave"], "maxDuration": "4h"})


def secret(d, user="bob"):
    return d.access_review(user, verb="get", resource="secrets", namespace="payments", name="db")


def allowed(d, **kw):
    return secret(d, **kw).json["status"]["allowed"]


# --- the daemon ---

def test_each_use_of_a_break_glass_rule_is_told(daemon):
    end = moment(3600)
    d = daemon(policy=policy(glass(moment(-3600), end)))
    assert d.metric("portcullis_breakglass_uses_total", rule="glass") == 0
    assert 'portcullis_breakglass_uses_total{rule="glass"}' in d.metrics()
    status = secret(d).json["status"]
    assert status["allowed"] is True
    assert "rule=glass" in status["reason"] and f"breakGlass=INC-4711 until={end:%Y-%m-%dT%H:%M:%SZ}" in status["reason"]
    used = d.wait_audit("breakglass.used")
    assert used["breakGlass"] == {"ticket": "INC-4711", "approvedBy": ["carol", "dave"],
                                  "until": end.strftime("%Y-%m-%dT%H:%M:%S.000000Z")}
    assert used["user"]["name"] == "bob" and used["request"]["resource"] == "secrets"
    decision = d.wait_audit("authz.decision", lambda r: r["id"] == used["id"])
    assert decision["breakGlass"] == used["breakGlass"] and decision["seq"] + 1 == used["seq"]
    assert d.metric("portcullis_breakglass_uses_total", rule="glass") == 1
    # Others' requests are none.
    assert not allowed(d, user="eve")
    other = d.wait_audit("authz.decision", lambda r: r["user"]["name"] == "eve")
    assert "breakGlass" not in other and len(d.audit("breakglass.used")) == 1
    assert d.metric("portcullis_policy_next_boundary_timestamp_seconds") == end.timestamp()


@pytest.mark.parametrize("audit", [None, {"path": "/dev/full"}])
def test_break_glass_gives_nothing_while_its_use_cannot_be_recorded(daemon, audit):
    def edit(config):
        del config["audit"]
        if audit:
            config["audit"] = audit
    d = daemon(policy=policy(glass(moment(-3600), moment(3600))), edit=edit)
    if audit:
        d.process.wait_for(lambda: d.metric("portcullis_audit_write_errors_total") > 0, "a write that fails")
    else:
        d.wait_log("`glass` gives nothing")
    got = secret(d)
    assert got.status == 503 and "cannot be recorded" in got.json["message"]
    assert "X-Policy-Generation" not in got.headers
    assert d.metric("portcullis_breakglass_uses_total", rule="glass") == 0
    # What needs no glass is answered as ever.
    assert secret(d, user="eve").status == 200


def test_no_allow_outlives_its_end_in_the_apiservers_memory(daemon):
    d = daemon(policy=policy(rule("soon", valid=valid(end=moment(120)))))
    assert not allowed(d)  # remembered for five minutes, it would
    assert d.metric("portcullis_policy_propagation_bound_seconds") == 307
    no_cache(d.config)
    before = len(d.audit("config.loaded"))
    d.write_config()
    d.wait_audit("config.loaded", after=before)
    assert allowed(d)
    d.process.wait_for(lambda: d.metric("portcullis_policy_propagation_bound_seconds") == 7, "the new bound")


def test_a_deny_begins_before_the_apiserver_remembers_an_allow_past_it(daemon):
    d = daemon(policy=policy(rule("read"), rule("later", effect="deny", valid=valid(start=moment(120)))))
    assert secret(d).json["status"]["denied"] is True


def test_rules_begin_and_end_by_the_clock(daemon):
    d = daemon(edit=no_cache)
    # Loaded before the turn, however slow this machine is.
    for generation, ahead in enumerate((4, 16, 64), start=2):
        turn = moment(ahead)
        d.change_policy(policy(rule("until", valid=valid(end=turn)), rule("from", valid=valid(start=turn)),
                               rule("from-too", valid=valid(start=turn)), generation=generation))
        reason = secret(d).json["status"].get("reason", "")
        boundary = d.metric("portcullis_policy_next_boundary_timestamp_seconds")
        if moment(0) < turn:
            break
    assert "rule=until" in reason and boundary == turn.timestamp()
    started = d.wait_audit("policy.rule_started", lambda r: r["policy"]["generation"] == generation)
    expired = d.wait_audit("policy.rule_expired", lambda r: r["policy"]["generation"] == generation)
    assert started["rules"] == ["from", "from-too"] and started["rulesCount"] == 2 and "final" not in started
    assert expired["rules"] == ["until"] and expired["final"] is True
    assert len(started["policy"]["sha256"]) == 64
    assert "rule=from " in secret(d).json["status"]["reason"]
    d.process.wait_for(lambda: d.metric("portcullis_policy_next_boundary_timestamp_seconds") == 0, "no boundary")
    for kind in ("policy.rule_started", "policy.rule_expired"):
        assert sum(r["policy"]["generation"] == generation for r in d.audit(kind)) == 1


def test_a_shadow_deny_is_told_and_changes_nothing(daemon):
    d = daemon(policy=policy(rule("read"), rule("trial", effect="deny", mode="shadow")))
    assert allowed(d)
    record = d.wait_audit("authz.decision")
    assert record["decision"] == "allow" and record["rule"] == "read"
    assert record["shadow"]["decision"] == "deny" and record["shadow"]["rule"] == "trial"
    assert d.metric("portcullis_shadow_divergence_total", **{"from": "allow", "to": "deny"}) == 1


@pytest.mark.parametrize("zone,found", [("Europe/Berln", "did you mean `Europe/Berlin`?"),
                                        ("../../etc/passwd", "not the name of a time zone")])
def test_an_unknown_zone_refuses_the_policy(daemon, zone, found):
    d = daemon()
    text = json.dumps(policy(rule("r", valid={"tz": zone, "days": ["mon-fri"]}), generation=2)) + "\n"
    assert found in d.break_policy(text)["error"]
    assert d.verdict("bob", groups=["dev"], namespace="team-a") == "allow"


# --- the tools ---

def review():
    return json.dumps({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
        "user": "bob", "resourceAttributes": {"verb": "get", "resource": "secrets", "namespace": "payments"}}}) + "\n"


HOURS = {"from": "2026-11-22T10:00:00Z", "until": "2026-11-22T12:00:00Z"}


@pytest.mark.parametrize("now,ttl,verdict", [
    ("2026-11-22T09:59:59Z", "0s", False),
    ("2026-11-22T10:00:00Z", "0s", True),
    ("2026-11-22T11:59:58Z", "1s", True),
    ("2026-11-22T11:59:58Z", "10s", False),
    ("2026-11-22T12:00:00Z", "0s", False),
    ("2026-11-22T11:54:59Z", None, True),
    ("2026-11-22T11:55:00Z", None, False),
])
def test_eval_and_explain_ask_for_a_time(tmp_path, now, ttl, verdict):
    path = tmp_path / "p.yaml"
    path.write_text(json.dumps(policy(rule("r", valid=HOURS))) + "\n")
    args = ["--policy", path, "--now", now] + (["--authorized-ttl", ttl] if ttl else [])
    got = run([program("portcullis"), "policy", "eval", *args], stdin=review())
    assert got.returncode == 0, got
    assert json.loads(got.stdout)["status"]["allowed"] is verdict
    got = run([program("portcullis"), "policy", "explain", *args], stdin=review())
    assert got.returncode == (0 if verdict else 1), got
    if not verdict:
        assert "does not hold at this time" in got.stdout


def test_a_wrong_ttl_is_wrong_usage(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(json.dumps(policy()) + "\n")
    got = run([program("portcullis"), "policy", "eval", "--policy", path, "--authorized-ttl", "soon"], stdin="")
    assert got.returncode == 2 and "--authorized-ttl: expected a duration" in got.stderr
