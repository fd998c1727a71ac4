"""Files edited while the server runs: what is good takes effect, what is not changes nothing and is told."""
import json
import mmap
import os
import re
import shutil

import pytest

from support import yamlio
from support.paths import program
from support.ports import free_port
from support.portcullisd import POLICY, Load, Portcullisd
from support.proc import run, wait_until

BOB = "token-bob-41d0"
SEES = {"groups": ["dev"], "namespace": "team-a"}


def policy(generation, effect="deny"):
    """The test policy with one more rule for team-a."""
    rule = {"id": f"edit-{generation}", "effect": effect, "subjects": {"groups": ["dev"]},
            "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "namespaces": ["team-a"]}
    return {**POLICY, "metadata": {"name": "test", "generation": generation, "allowShrink": True},
            "rules": POLICY["rules"] + [rule]}


BROKEN = """\
apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: {name: test, generation: 7}
rules:
- id: x
  effect: allow
  subject: {groups: [dev]}
"""


def readyz(d):
    with d.ops() as c:
        return c.get("/readyz?verbose")


def line_of(d, name):
    return next(line for line in readyz(d).text.splitlines() if line.startswith(("[+]" + name, "[-]" + name)))


# --- policy ---

def test_an_edit_flips_the_next_verdict(daemon):
    d = daemon()
    assert d.verdict("bob", **SEES) == "allow"
    loaded = d.change_policy(policy(2))
    got = d.access_review("bob", **SEES)
    assert got.json["status"]["denied"] is True
    assert got.headers["X-Policy-Generation"] == "2"
    assert "gen=2" in got.json["status"]["reason"]
    assert loaded["policy"]["generation"] == 2
    assert d.metric("portcullis_policy_info", generation="2") == 1
    assert d.metric("portcullis_policy_info", generation="1") == 0
    assert "generation=2" in line_of(d, "policy")
    d.change_policy({**POLICY, "metadata": {"name": "test", "generation": 3, "allowShrink": True}})
    assert d.verdict("bob", **SEES) == "allow"


def test_an_edit_without_any_event_is_found_all_the_same(daemon):
    """Writing through a mapping tells inotify nothing, as a write by another client of a network file system does."""
    d = daemon()
    d.change_policy(policy(2))
    assert d.verdict("bob", **SEES) == "deny"
    before = len(d.audit("policy.loaded"))
    with open(os.path.join(d.policy_dir, "policy.yaml"), "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        for old, new in ((b"generation: 2", b"generation: 3"), (b"team-a", b"team-b")):
            at = m.rfind(old)
            m[at:at + len(old)] = new
        # Closing would be an event: not before it was found.
        d.wait_audit("policy.loaded", after=before)
    assert d.verdict("bob", **SEES) == "allow"


@pytest.mark.parametrize("hup", [False, True])
def test_a_broken_edit_changes_nothing_and_is_told_with_its_place(daemon, hup):
    d = daemon()
    record = d.break_policy(BROKEN, hup=hup)
    place = r"policy\.yaml:7:3"
    assert re.search(place, json.dumps(record)), record
    assert d.verdict("bob", **SEES) == "allow"
    assert d.access_review("bob", **SEES).headers["X-Policy-Generation"] == "1"
    told = d.wait_log(r'.*"msg":"policy rejected.*"line":7,"col":3.*').group(0)
    assert "policy.yaml" in told and "subject" in told
    got = readyz(d)
    assert got.status == 200
    assert re.search(r"\[\+\]policy ok: generation=1 .*stale since .*" + place, got.text), got.text
    assert d.metric("portcullis_policy_load_failures_total", stage="schema") == 1
    assert d.metric("portcullis_config_reloads_total", what="policy", result="rejected") == 1
    d.change_policy(policy(8))
    assert d.verdict("bob", **SEES) == "deny"
    assert "stale" not in readyz(d).text


def test_a_rejected_edit_is_told_once_and_again_on_hup(daemon):
    d = daemon()
    d.break_policy(BROKEN)
    # A change of something else makes the server look at everything.
    before = len(d.audit("config.loaded"))
    d.config["webhook"]["deadline"] = "4s"
    d.write_config()
    d.wait_audit("config.loaded", after=before)
    assert len(d.audit("policy.rejected")) == 1
    d.reload()
    d.wait_audit("policy.rejected", after=1)


def test_the_last_good_policy_survives_a_restart(daemon):
    d = daemon()
    d.change_policy(policy(3))
    d.break_policy(BROKEN)
    assert d.stop() == 0
    d.start()
    assert d.verdict("bob", **SEES) == "deny"
    text = readyz(d).text
    assert re.search(r"\[\+\]policy ok: generation=3 .*last good.*policy\.yaml:7:3", text), text
    d.wait_audit("policy.rejected", after=1)
    # It goes on: a good edit is taken, and is the last good one from then on.
    d.change_policy(policy(4))
    assert "last good" not in readyz(d).text
    d.kill()
    d.write_policy(BROKEN)
    d.start()
    assert "generation=4" in line_of(d, "policy")


def test_a_damaged_copy_is_not_served(daemon):
    d = daemon()
    d.stop()
    path = os.path.join(d.state, "last-good-policy")
    with open(path, "r+b") as f:
        data = f.read()
        assert b"protect-kube-system" in data
        f.seek(0)
        f.write(data.replace(b"protect-kube-system", b"protect-kube-systen"))
    d.write_policy(BROKEN)
    d.start(ready=False)
    assert d.access_review("bob", **SEES).status == 503
    assert readyz(d).status == 503 and "[-]policy failed" in readyz(d).text
    d.write_policy(policy(9))
    d.process.wait_for(d.ready, "the policy to be loaded")


@pytest.mark.parametrize("what", ["empty", "gone", "half", "folder gone", "unreadable kind"])
def test_what_is_no_policy_any_more_keeps_the_old(daemon, what):
    d = daemon()
    path = os.path.join(d.policy_dir, "policy.yaml")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if what == "gone":
        os.unlink(path)
    elif what == "folder gone":
        shutil.rmtree(d.policy_dir)
    else:
        d.write_policy({"empty": "", "half": text[:len(text) // 2], "unreadable kind": "kind: Secret\n"}[what])
    d.wait_audit("policy.rejected")
    assert d.verdict("bob", **SEES) == "allow"
    os.makedirs(d.policy_dir, exist_ok=True)
    d.change_policy(policy(5))
    assert d.verdict("bob", **SEES) == "deny"


def test_a_configmap_swap_is_seen(daemon):
    """The folder holds links into ..data, which is itself a link that is replaced."""
    d = daemon(policy=False, start=False)

    def version(name, doc):
        folder = os.path.join(d.policy_dir, name)
        os.makedirs(folder)
        d.write_policy(doc, os.path.join(name, "policy.yaml"))
        os.symlink(name, os.path.join(d.policy_dir, "..data_tmp"))
        os.replace(os.path.join(d.policy_dir, "..data_tmp"), os.path.join(d.policy_dir, "..data"))

    version("..2026_1", POLICY)
    os.symlink("..data/policy.yaml", os.path.join(d.policy_dir, "policy.yaml"))
    d.start()
    assert d.verdict("bob", **SEES) == "allow"
    version("..2026_2", policy(2))
    d.wait_audit("policy.loaded", lambda r: r["policy"]["generation"] == 2)
    assert d.verdict("bob", **SEES) == "deny"


def test_edits_of_the_same_length_in_one_second_are_seen(daemon):
    d = daemon()
    for i in range(4):
        effect = "deny" if i % 2 == 0 else "allow"
        before = len(d.audit("policy.loaded"))
        d.write_policy(policy(20 + i, effect))
        d.wait_audit("policy.loaded", lambda r, g=20 + i: r["policy"]["generation"] == g, after=before)
        assert d.verdict("bob", **SEES) == effect


def test_every_verdict_under_edits_is_of_one_whole_policy(daemon):
    d = daemon()
    seen = set()

    def work(_):
        got = d.access_review("bob", **SEES)
        assert got.status == 200, got
        status = got.json["status"]
        generation = int(got.headers["X-Policy-Generation"])
        assert f"gen={generation} " in status["reason"] + " "
        # Odd generations deny, even ones and the first allow.
        assert status.get("denied", False) == (generation % 2 == 1 and generation > 1), got
        assert status["allowed"] != status.get("denied", False)
        seen.add(generation)

    with Load(work, threads=4) as load:
        for g in range(2, 10):
            before = len(d.audit("policy.loaded"))
            d.write_policy(policy(g, "deny" if g % 2 else "allow"))
            d.wait_audit("policy.loaded", after=before)
            load.wait_more(8)
    assert load.errors == []
    assert len(seen) >= 5


# --- configuration and token files ---

def test_a_token_file_edit_takes_effect(daemon):
    d = daemon()
    assert d.user_of("token-new-1") is None
    with open(d.path("tokens.csv"), "a", encoding="utf-8") as f:
        f.write('token-new-1,zoe,77,"dev"\n')
    wait_until(lambda: d.user_of("token-new-1"), "the new token")
    os.replace(d.path("tokens.csv"), d.path("old.csv"))
    d.wait_audit("config.rejected")
    assert d.user_of("token-new-1")["username"] == "zoe"
    assert "[+]config ok" in readyz(d).text and "stale since" in line_of(d, "config")
    os.replace(d.path("old.csv"), d.path("tokens.csv"))
    wait_until(lambda: "stale" not in line_of(d, "config"), "the configuration to be good again")


@pytest.mark.parametrize("text,place", [
    ("apiVersion: portcullis.dev/v1alpha1\nkind: PortcullisConfiguration\nwebhok: {}\n", r"3:1"),
    ("", r"1:1"),
    ("apiVersion: [\n", r"portcullis\.yaml"),
])
def test_a_broken_configuration_changes_nothing_and_is_told(daemon, text, place):
    d = daemon()
    with open(d.config_path, "w", encoding="utf-8") as f:
        f.write(text)
    record = d.wait_audit("config.rejected")
    assert re.search(place, json.dumps(record)), record
    d.wait_log(r'"msg":"configuration rejected')
    assert d.user_of(BOB)["username"] == "bob"
    assert d.verdict("bob", **SEES) == "allow"
    assert re.search("stale since .*" + place, line_of(d, "config"))
    assert d.metric("portcullis_config_reloads_total", what="config", result="rejected") == 1
    before = len(d.audit("config.loaded"))
    d.write_config()
    d.wait_audit("config.loaded", after=before)
    assert "stale" not in line_of(d, "config")


def test_a_configuration_that_names_a_broken_policy_is_rejected_whole(daemon):
    d = daemon()
    os.makedirs(d.path("policy2"))
    with open(d.path("policy2", "p.yaml"), "w", encoding="utf-8") as f:
        f.write(BROKEN)
    d.config["authorization"]["policy"] = "policy2/"
    d.config["authentication"]["tokenFiles"] = []
    d.config["authentication"].pop("tokenFiles")
    d.write_config()
    record = d.wait_audit("config.rejected")
    assert "p.yaml:7:3" in json.dumps(record)
    assert d.verdict("bob", **SEES) == "allow"
    assert d.user_of(BOB)["username"] == "bob"
    # Only the policy is mended: the configuration that waits for it takes effect.
    d.write_policy(policy(6), os.path.join("..", "policy2", "p.yaml"))
    wait_until(lambda: d.verdict("bob", **SEES) == "deny", "the new policy")
    assert d.user_of(BOB) is None


def test_the_audit_log_moves_with_the_configuration(daemon):
    d = daemon()
    d.user_of(BOB)
    d.config["audit"]["path"] = d.path("second.jsonl")
    d.write_config()
    wait_until(lambda: os.path.exists(d.path("second.jsonl")), "the second audit log")

    def second():
        with open(d.path("second.jsonl"), encoding="utf-8") as f:
            return '"authn.review"' in f.read()
    wait_until(lambda: d.user_of(BOB) and second(), "a review in the second log")


def test_hup_reopens_the_audit_log(daemon):
    d = daemon()
    d.user_of(BOB)
    d.wait_audit("authn.review")
    os.rename(d.audit_path, d.audit_path + ".1")
    d.reload()
    wait_until(lambda: os.path.exists(d.audit_path), "the new audit log")
    d.user_of(BOB)
    d.wait_audit("authn.review")


def test_a_login_section_taken_out_closes_the_door(daemon):
    directory = {"name": "corp", "urls": [f"ldaps://127.0.0.1:{free_port()}"],
                 "userSearch": {"baseDN": "ou=people,dc=example,dc=org", "username": "uid"},
                 "usernamePrefix": "corp:"}
    d = daemon(ldap=[directory])
    with d.login_client() as c:
        assert c.get("/jwks").status == 200
    login = d.config.pop("login")
    del d.config["authentication"]["ldap"]
    d.write_config()
    d.wait_log("takes effect after a restart")

    def closed():
        try:
            with d.login_client() as c:
                c.get("/jwks")
            return False
        except OSError:
            return True
    wait_until(closed, "the login listener to refuse")
    assert d.user_of(BOB)["username"] == "bob"
    d.config["login"] = login
    d.config["authentication"]["ldap"] = [directory]
    d.write_config()
    wait_until(lambda: not closed(), "the login listener to serve again")


def test_a_listener_change_is_told_to_need_a_restart(daemon):
    d = daemon()
    d.config["ops"]["listen"] = "127.0.0.1:1"
    d.write_config()
    d.wait_log("takes effect after a restart")
    assert d.ready()


# --- start ---

@pytest.mark.parametrize("edit,told", [
    (lambda c: c["webhook"].update(certificateFile="missing.crt"), "missing.crt"),
    (lambda c: c["webhook"].update(clientCAFile="portcullis.yaml"), "CA certificate"),
    (lambda c: c["authentication"].update(tokenFiles=["missing.csv"]), "missing.csv"),
    (lambda c: c["webhook"].update(listen="192.0.2.1:1"), "192.0.2.1:1"),
])
def test_what_cannot_serve_does_not_start(tmp_path, edit, told):
    d = Portcullisd(tmp_path, edit=edit)
    d.process.start()
    assert d.process.wait() == 1
    assert told in d.process.output()


def test_check_says_what_would_keep_it_from_starting(daemon):
    d = daemon(start=False)
    got = run([program("portcullisd"), "--check", "--config", d.config_path])
    assert (got.returncode, got.stderr) == (0, "")
    d.write_policy(BROKEN)
    got = run([program("portcullisd"), "--check", "--config", d.config_path])
    assert got.returncode == 1 and "policy.yaml:7:3: error: " in got.stderr
    assert not os.path.exists(os.path.join(d.state, "last-good-policy"))
    assert run([program("portcullisd"), "--nonsense"]).returncode == 2
    assert run([program("portcullisd"), "extra"]).returncode == 2
    assert run([program("portcullisd"), "--version"]).stdout.startswith("portcullisd ")


def test_a_policy_that_came_with_a_refused_configuration_is_not_the_last_good_one(daemon):
    d = daemon()
    with open(os.path.join(d.state, "last-good-policy"), "rb") as f:
        before = f.read()
    os.mkdir(d.path("other"))
    yamlio.write_atomic(d.path("other", "policy.yaml"), {**POLICY, "metadata": {"name": "other"}})
    d.config["authorization"]["policy"] = "other/"
    d.config["audit"]["path"] = d.path("nowhere", "audit.jsonl")
    d.write_config()
    d.reload()
    d.wait_audit("config.rejected")
    with open(os.path.join(d.state, "last-good-policy"), "rb") as f:
        assert f.read() == before
