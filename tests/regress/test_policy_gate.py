"""What a new policy is held to while the server runs: generations, shrinking, guards, signatures; and the policy in its
shadow, which decides nothing."""
import concurrent.futures
import json
import mmap
import os
import re
import shutil
import threading

import pytest

from support import yamlio
from support.paths import program
from support.portcullisd import POLICY
from support.proc import run, wait_until
from support.signing import Signer, verify

SEES = {"groups": ["dev"], "namespace": "team-a"}
DENIED = {"groups": ["dev"], "namespace": "kube-system"}


def policy(generation, drop=(), extra=(), **metadata):
    return {**POLICY, "metadata": {"name": "test", "generation": generation, **metadata},
            "rules": [r for r in POLICY["rules"] if r["id"] not in drop] + list(extra)}


def rule(name, effect="allow", **kw):
    return {"id": name, "effect": effect, "subjects": {"groups": ["dev"]}, "apiGroups": [""],
            "resources": ["pods"], "verbs": ["list"], **kw}


def status(d):
    """What `portcullis policy status` says, and its exit code."""
    got = run([program("portcullis"), "policy", "status", "--config", d.config_path, "--output", "json"])
    return (json.loads(got.stdout) if got.stdout else None), got.returncode


def generation(d, **kw):
    return int(d.access_review("bob", **{**SEES, **kw}).headers["X-Policy-Generation"])


def rejected(d, doc, stage, *parts, **kw):
    """Writes DOC, which must be refused in STAGE with each of PARTS in the message."""
    before = d.metric("portcullis_policy_load_failures_total", stage=stage)
    record = d.break_policy(doc, **kw)
    told(d, record, stage, parts, before)
    return record


def told(d, record, stage, parts, before):
    assert record["stage"] == stage, record
    for part in parts:
        assert part in record["error"], record
    assert d.metric("portcullis_policy_load_failures_total", stage=stage) == before + 1


# --- generations ---

def test_an_older_generation_is_refused_also_after_a_restart(daemon):
    d = daemon()
    d.change_policy(policy(5))
    rejected(d, policy(4), "generation", "is 4", "but 5 was in force")
    assert generation(d) == 5
    d.stop()
    d.start()
    d.wait_audit("policy.rejected", after=1)
    assert generation(d) == 5
    got, code = status(d)
    assert code == 1 and got["status"]["policy"]["source"] == "copy"
    assert got["status"]["highestGeneration"] == 5
    assert d.metric("portcullis_policy_info", generation="5", source="copy") == 1
    # Neither does it help to take the copy away.
    d.stop()
    os.unlink(os.path.join(d.state, "last-good-policy"))
    d.start(ready=False)
    d.wait_audit("policy.rejected", after=2)
    assert d.access_review("bob", **SEES).status == 503
    # On purpose: the old rules with a generation above.
    d.write_policy(policy(6))
    d.process.wait_for(d.ready, "the policy to be loaded")


@pytest.mark.parametrize("spoil", [None, "", "portcullis-generation 1 3 x\n"])
def test_what_is_in_force_counts_when_the_file_of_generations_does_not(daemon, spoil):
    d = daemon(edit=lambda c: c["authorization"].update(requireGeneration=True))
    d.change_policy(policy(5))
    kept = os.path.join(d.state, "policy-generation")

    def lose():
        os.unlink(kept)
        if spoil is not None:
            yamlio.write(kept, spoil)
    lose()
    rejected(d, policy(4), "generation", "is 4", "but 5 was in force")
    assert status(d)[0]["status"]["highestGeneration"] == 5
    d.stop()
    # The same policy is not another one of the same generation, and the file is made anew.
    d.write_policy(policy(5))
    before = len(d.audit("policy.loaded"))
    d.start()
    d.wait_audit("policy.loaded", after=before)
    got, code = status(d)
    assert code == 0 and got["status"]["highestGeneration"] == 5 and got["status"]["policy"]["source"] == "files"
    d.stop()
    lose()
    d.write_policy(policy(4))
    before = len(d.audit("policy.rejected"))
    d.start()
    assert d.wait_audit("policy.rejected", after=before)["stage"] == "generation"
    assert generation(d) == 5


@pytest.mark.parametrize("strict", [True, False])
def test_a_copy_from_before_does_not_come_back_unnoticed(daemon, strict):
    d = daemon(edit=lambda c: c["authorization"].update(requireGeneration=strict))
    copy = os.path.join(d.state, "last-good-policy")
    shutil.copy(copy, d.path("old-copy"))
    d.change_policy(policy(2, extra=[rule("new")]))
    d.stop()
    shutil.copy(d.path("old-copy"), copy)
    d.write_policy("broken")
    d.start(ready=not strict)
    d.process.wait_port(d.ops_port)
    d.wait_audit("policy.rejected")
    d.wait_log("the copy is of generation 1, but 2 was in force")
    if strict:
        assert d.access_review("bob", **SEES).status == 503
    else:
        assert generation(d) == 1


def test_another_policy_of_the_same_generation(daemon):
    d = daemon(edit=lambda c: c["authorization"].update(requireGeneration=True))
    rejected(d, policy(1, extra=[rule("more")]), "generation", "is 1 as before", "raise it")
    rejected(d, {**POLICY, "metadata": {"name": "x"}}, "generation", "metadata.generation is missing")
    d.change_policy(policy(2, extra=[rule("more")]))
    # Without the strictness it is a warning.
    d.config["authorization"]["requireGeneration"] = False
    before = len(d.audit("config.loaded"))
    d.write_config()
    d.wait_audit("config.loaded", after=before)
    d.change_policy(policy(2, extra=[rule("other"), rule("more")]))
    d.wait_log("is 2 as before")


# --- files ---

@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_no_file_of_rules_is_passed_over(daemon, make):
    d = daemon(start=False)
    make(os.path.join(d.policy_dir, "denies.yaml"))
    d.start(ready=False)
    record = d.wait_audit("policy.rejected")
    assert record["stage"] == "read" and "denies.yaml: not a regular file" in record["error"]
    assert d.access_review("bob", **SEES).status == 503


# --- shrinking ---

@pytest.mark.parametrize("doc,parts", [
    (policy(2, drop=["protect-kube-system"], extra=[rule("a"), rule("b")]), ["rule `protect-kube-system`", "denies"]),
    (policy(2, drop=["protect-kube-system"],
            extra=[{**POLICY["rules"][1], "mode": "shadow"}]), ["rule `protect-kube-system`"]),
    ({**policy(2), "defaults": {"exempt": {"groups": ["other"]}}}, ["exemption of group system:nodes"]),
])
def test_what_takes_access_away_does_not_leave_unnoticed(daemon, doc, parts):
    d = daemon()
    rejected(d, doc, "shrink", *parts, "allowShrink")
    assert d.verdict("bob", **DENIED) == "deny"
    d.change_policy({**doc, "metadata": {**doc["metadata"], "allowShrink": True}})
    assert generation(d) == 2


def test_leave_to_shrink_does_not_stay(daemon):
    d = daemon()
    d.change_policy(policy(2, extra=[rule("no-pods", "deny"), rule("no-more", "deny")], allowShrink=True))
    d.change_policy(policy(3, extra=[rule("no-pods", "deny")], allowShrink=True))
    rejected(d, policy(3, allowShrink=True), "shrink", "rule `no-pods`", "raise metadata.generation")
    d.stop()
    d.start()
    d.wait_audit("policy.rejected", lambda r: r["stage"] == "shrink", after=1)
    assert generation(d) == 3
    d.change_policy(policy(4, allowShrink=True))


def test_many_rules_do_not_leave_unnoticed_also_after_a_restart(daemon):
    d = daemon()
    d.change_policy(policy(2, extra=[rule(f"r{i}") for i in range(10)]))
    few = policy(3, extra=[rule("r0")])
    rejected(d, few, "shrink", "9 of 12 rules are gone, more than 50 %")
    d.stop()
    d.start()
    d.wait_audit("policy.rejected", lambda r: r["stage"] == "shrink", after=1)
    assert generation(d) == 2
    before = len(d.audit("policy.loaded"))
    d.config["authorization"]["maxShrink"] = 80
    d.write_config()
    d.wait_audit("policy.loaded", after=before)
    assert generation(d) == 3


# --- guards ---

GUARDS = """\
apiVersion: portcullis.dev/v1alpha1
kind: AccessGuards
metadata: {name: never lock out}
tests:
- name: controllers are never denied
  as: {user: "system:kube-controller-manager"}
  can: {verb: update, apiGroup: apps, resource: deployments, namespace: kube-system}
  expect: noOpinion
"""


@pytest.fixture
def guarded(daemon):
    d = daemon(start=False, edit=lambda c: c["authorization"].update(guards="guards.yaml"))
    yamlio.write(d.path("guards.yaml"), GUARDS)
    return d.start()


def test_a_policy_that_fails_a_guard_is_refused(guarded):
    d = guarded
    lock_out = {**rule("lock-out", "deny"), "subjects": {"all": "everyone"}, "apiGroups": ["*"], "resources": ["*"],
                "verbs": ["*"]}
    rejected(d, policy(2, extra=[lock_out]), "guard", "guards.yaml:5:3", "guard `controllers are never denied` failed",
             "lock-out")
    assert d.verdict("system:kube-controller-manager") == "noOpinion"
    d.change_policy(policy(3, extra=[rule("fine")]))
    assert generation(d) == 3
    got = run([program("portcullis"), "check", "--config", d.config_path])
    assert got.returncode == 0, got
    d.write_policy(policy(4, extra=[lock_out]))
    got = run([program("portcullis"), "check", "--config", d.config_path])
    assert got.returncode == 1 and "guard `controllers" in got.stderr
    got = run([program("portcullisd"), "--check", "--config", d.config_path])
    assert got.returncode == 1 and "guard `controllers" in got.stderr


@pytest.mark.parametrize("text,part", [("", "empty"), (GUARDS.replace("tests", "test"), "unknown key"),
                                       (GUARDS.replace("AccessGuards", "AccessPolicy"), "not guards"),
                                       (None, "guards.yaml")])
def test_guards_that_cannot_be_read_refuse_every_policy(guarded, text, part):
    d = guarded
    before = d.metric("portcullis_policy_load_failures_total", stage="guard")
    if text is None:
        os.unlink(d.path("guards.yaml"))
    else:
        yamlio.write_atomic(d.path("guards.yaml"), text)
    told(d, d.wait_audit("policy.rejected"), "guard", [part], before)
    assert generation(d) == 1
    yamlio.write_atomic(d.path("guards.yaml"), GUARDS)
    d.change_policy(policy(2))


# --- signatures ---

@pytest.fixture
def people(tmp_path):
    return [Signer(tmp_path, name) for name in ("ann", "ben", "eve")]


def signed(daemon, people, threshold=2, **kw):
    """A daemon that trusts the first two of PEOPLE."""
    def edit(c):
        c["authorization"]["signatures"] = {
            "publicKeys": [p.public for p in people[:2]], "threshold": threshold}
    return daemon(edit=edit, **kw)


def test_two_people_must_have_signed(daemon, people):
    ann, ben, eve = people
    d = signed(daemon, people, start=False)
    d.start(ready=False)
    first = d.wait_audit("policy.rejected")
    assert first["stage"] == "signature" and "policy.sig" in first["error"] and "not signed" in first["error"]
    assert d.access_review("bob", **SEES).status == 503
    for who in (ann, eve, ann):
        before = len(d.audit("policy.rejected"))
        who.sign(d.policy_dir)
        if who is not ann or before == 1:
            record = d.wait_audit("policy.rejected", after=before)
            assert "signed by 1 of the configured keys, 2 are needed" in record["error"], record
    assert verify(d.policy_dir, [ann, ben], 2).returncode == 1
    text = ben.sign(d.policy_dir)
    assert "generation 1\n" in text and "policy.yaml" in text and ben.id in text
    loaded = d.wait_audit("policy.loaded")
    assert loaded["policy"]["signedBy"] == f"{ann.id},{ben.id}"
    assert [f["name"].rsplit("/", 1)[1] for f in loaded["policy"]["fileList"]] == ["policy.yaml"]
    assert loaded["policy"]["fileList"][0]["owner"] == os.getuid()
    d.process.wait_for(d.ready, "the policy to serve")
    assert d.verdict("bob", **SEES) == "allow"
    assert d.wait_audit("authz.decision", lambda r: r["decision"] == "allow")["policy"]["signedBy"] == f"{ann.id},{ben.id}"
    got, code = status(d)
    assert code == 0 and got["status"]["policy"]["signedBy"] == [ann.id, ben.id]
    assert got["status"]["signatures"] == {"threshold": 2, "keys": [ann.id, ben.id]}
    got = verify(d.policy_dir, [ann, ben], 2)
    assert got.returncode == 0 and json.loads(got.stdout)["signedBy"] == [ann.id, ben.id]


def spoil_strip(d, sig):
    os.unlink(sig)


def spoil_edit(d, sig):
    d.write_policy(policy(1, extra=[rule("slipped-in", verbs=["delete"])]))


def spoil_add(d, sig):
    d.write_policy({"apiVersion": POLICY["apiVersion"], "kind": POLICY["kind"],
                    "rules": [rule("slipped-in", verbs=["delete"])]}, "more.yaml")


def spoil_rename(d, sig):
    os.rename(os.path.join(d.policy_dir, "policy.yaml"), os.path.join(d.policy_dir, "a.yaml"))


def spoil_generation(d, sig):
    with open(sig, encoding="utf-8") as f:
        text = f.read()
    yamlio.write_atomic(sig, text.replace("generation 1\n", "generation 2\n"))


def spoil_one_twice(d, sig):
    with open(sig, encoding="utf-8") as f:
        lines = f.readlines()
    yamlio.write_atomic(sig, "".join(lines[:-1] + [lines[-2]]))


def spoil_empty(d, sig):
    yamlio.write_atomic(sig, "")


def spoil_key(d, sig):
    os.unlink(d.config["authorization"]["signatures"]["publicKeys"][1])


def spoil_key_text(d, sig):
    yamlio.write_atomic(d.config["authorization"]["signatures"]["publicKeys"][1], "no key\n")


@pytest.mark.parametrize("spoil", [spoil_strip, spoil_edit, spoil_add, spoil_rename, spoil_generation, spoil_one_twice,
                                   spoil_empty, spoil_key, spoil_key_text])
def test_nothing_that_was_not_signed_serves(daemon, people, spoil):
    d = signed(daemon, people, start=False)
    for who in people[:2]:
        who.sign(d.policy_dir)
    d.start()
    spoil(d, os.path.join(d.policy_dir, "policy.sig"))
    record = d.wait_audit("policy.rejected")
    assert record["stage"] == "signature", record
    assert d.verdict("bob", **SEES) == "allow" and generation(d) == 1
    assert d.verdict("bob", verb="delete", **SEES) != "allow"
    # The copy was signed by both: it serves after a restart as long as both keys can be read.
    d.stop()
    keys = "key" in spoil.__name__
    d.start(ready=not keys)
    d.process.wait_port(d.ops_port)
    d.wait_audit("policy.rejected", after=1)
    assert d.access_review("bob", **SEES).status == (503 if keys else 200)


def test_verify_tells_no_from_cannot_tell(people, tmp_path):
    ann, ben, eve = people
    folder = tmp_path / "policy"
    folder.mkdir()
    yamlio.write(folder / "policy.yaml", policy(1))
    assert verify(folder, [ann]).returncode == 1
    ann.sign(folder)
    assert verify(folder, [ann]).returncode == 0
    assert verify(folder, [eve]).returncode == 1
    os.unlink(ben.public)
    got = verify(folder, [ann, ben])
    assert got.returncode == 2 and "ben" in got.stderr


def test_a_signed_set_does_not_come_back(daemon, people):
    d = signed(daemon, people, threshold=1, start=False)
    people[0].sign(d.policy_dir)
    d.start()
    shutil.copytree(d.policy_dir, d.path("old"))
    d.write_policy(policy(2))
    people[1].sign(d.policy_dir)
    d.wait_audit("policy.loaded", lambda r: r["policy"]["generation"] == 2)
    for name in ("policy.yaml", "policy.sig"):
        os.replace(d.path("old", name), os.path.join(d.policy_dir, name))
    record = d.wait_audit("policy.rejected", lambda r: r["stage"] == "generation")
    assert "is 1, but 2 was in force" in record["error"]
    assert generation(d) == 2


def test_the_copy_is_judged_by_the_keys_of_today(daemon, people):
    d = signed(daemon, people, threshold=1, start=False)
    people[0].sign(d.policy_dir)
    d.start()
    d.stop()
    d.config["authorization"]["signatures"]["publicKeys"] = [people[2].public]
    d.write_config()
    d.start(ready=False)
    d.wait_audit("policy.rejected")
    assert d.access_review("bob", **SEES).status == 503
    people[2].sign(d.policy_dir)
    d.process.wait_for(d.ready, "the signed policy to serve")


def test_keys_that_come_with_the_configuration_need_a_signed_policy(daemon, people):
    d = daemon()
    d.config["authorization"]["signatures"] = {"publicKeys": [people[0].public]}
    d.write_config()
    record = d.wait_audit("config.rejected")
    assert "not signed" in json.dumps(record)
    assert d.verdict("bob", **SEES) == "allow"
    people[0].sign(d.policy_dir)
    loaded = d.wait_audit("policy.loaded", after=1)
    assert loaded["policy"]["signedBy"] == people[0].id


def test_a_private_key_that_others_read_signs_nothing(tmp_path, people):
    path = yamlio.write(tmp_path / "p.yaml", POLICY)
    for mode in (0o640, 0o604, 0o620):
        os.chmod(people[0].key, mode)
        got = run([program("portcullis"), "policy", "sign", "--key", people[0].key, path])
        assert got.returncode == 2 and "chmod 600" in got.stderr, got
        assert not os.path.exists(path + ".sig")
    os.chmod(people[0].key, 0o600)
    people[0].sign(path)
    assert verify(path, people[:1]).returncode == 0
    yamlio.write(path, {**POLICY, "metadata": {"name": "no generation"}})
    got = run([program("portcullis"), "policy", "sign", "--key", people[0].key, path])
    assert got.returncode == 2 and "metadata.generation is missing" in got.stderr
    yamlio.write(path, "kind: [\n")
    got = run([program("portcullis"), "policy", "sign", "--key", people[0].key, path])
    assert got.returncode == 1


def test_signatures_of_another_state_go(tmp_path, people):
    path = yamlio.write(tmp_path / "p.yaml", POLICY)
    people[0].sign(path)
    people[1].sign(path)
    yamlio.write(path, policy(2))
    got = run([program("portcullis"), "policy", "sign", "--key", people[0].key, path])
    assert got.returncode == 0 and "2 signatures of what it was are gone" in got.stderr
    assert verify(path, people[:2], 2).returncode == 1
    assert verify(path, people[:2], 1).returncode == 0


# --- the shadow policy ---

def test_a_shadow_policy_is_told_of_and_decides_nothing(daemon):
    d = daemon(start=False, edit=lambda c: c["authorization"].update(shadowPolicy="next.yaml"))
    yamlio.write(d.path("next.yaml"), policy(7, extra=[rule("lockdown", "deny", namespaces=["team-*"])]))
    d.start()
    got = d.access_review("bob", **SEES)
    assert got.json["status"]["allowed"] is True and got.headers["X-Policy-Generation"] == "1"
    assert "lockdown" not in got.text
    record = d.wait_audit("authz.decision")
    assert record["shadow"] == {"decision": "deny", "rule": "lockdown", "generation": 7}
    assert d.metric("portcullis_shadow_divergence_total", **{"from": "allow", "to": "deny"}) == 1
    assert d.verdict("bob", **DENIED) == "deny"
    assert "shadow" not in d.wait_audit("authz.decision", after=1)
    loaded = d.wait_audit("policy.loaded", lambda r: r["policy"].get("shadow"))
    assert loaded["policy"]["generation"] == 7
    assert d.metric("portcullis_shadow_policy_info", generation="7") == 1
    # What is wrong with it is wrong with it alone.
    yamlio.write_atomic(d.path("next.yaml"), "kind: [\n")
    bad = d.wait_audit("policy.rejected")
    assert bad["policy"]["shadow"] is True and bad["stage"] == "parse"
    assert d.metric("portcullis_policy_load_failures_total") == 0
    doc, code = status(d)
    assert code == 0 and doc["status"]["shadowPolicy"]["state"] == "stale"
    assert doc["status"]["shadowPolicy"]["refused"]["stage"] == "parse"
    assert d.ready() and d.verdict("bob", **SEES) == "allow"
    d.wait_audit("authz.decision", lambda r: "shadow" in r, after=2)
    # Taken out of the configuration it is gone.
    del d.config["authorization"]["shadowPolicy"]
    d.write_config()
    wait_until(lambda: "shadowPolicy" not in status(d)[0]["status"], "the shadow policy to go")
    n = len(d.audit("authz.decision"))
    d.verdict("bob", **SEES)
    assert "shadow" not in d.wait_audit("authz.decision", after=n)


def test_a_broken_shadow_policy_does_not_keep_from_starting(daemon):
    d = daemon(start=False, edit=lambda c: c["authorization"].update(shadowPolicy="next.yaml"))
    d.start()
    assert d.verdict("bob", **SEES) == "allow"
    with d.ops() as c:
        assert re.search(r"\[\+\]shadowPolicy ok: none, stale since", c.get("/readyz?verbose").text)
    yamlio.write(d.path("next.yaml"), policy(3))
    d.wait_audit("policy.loaded", lambda r: r["policy"].get("shadow"))


# --- status ---

def test_status_tells_of_the_running_and_of_the_stopped(daemon):
    d = daemon()
    doc, code = status(d)
    assert code == 0 and doc["running"] is True
    now = doc["status"]["policy"]
    assert (now["state"], now["generation"], now["rules"], now["denyRules"]) == ("current", 1, 2, 1)
    assert d.metric("portcullis_policy_stale_seconds") == 0
    d.break_policy("rules: [\n")
    doc, code = status(d)
    assert code == 1 and doc["status"]["stale"] is True
    assert doc["status"]["policy"]["refused"]["stage"] == "parse"
    assert doc["status"]["policy"]["generation"] == 1
    wait_until(lambda: d.metric("portcullis_policy_stale_seconds") > 0, "the gauge")
    got = run([program("portcullis"), "policy", "status", "--config", d.config_path])
    assert got.returncode == 1 and "policy: stale" in got.stdout and "stage parse" in got.stdout
    d.stop()
    got = run([program("portcullis"), "policy", "status", "--config", d.config_path])
    assert got.returncode == 1 and "does not answer" in got.stderr and "policy: stale" in got.stdout
    doc, code = status(d)
    assert code == 1 and doc["running"] is False
    os.unlink(os.path.join(d.state, "policy-status.json"))
    assert status(d) == (None, 2)


def test_a_daemon_that_does_not_answer_decides_nothing(daemon):
    d = daemon()
    d.stop()
    doc, code = status(d)
    assert code == 1 and doc["running"] is False and doc["status"]["policy"]["state"] == "current"


def test_the_record_of_a_policy_stands_before_its_decisions(daemon):
    d = daemon()
    ends = threading.Event()

    def ask():
        while not ends.is_set():
            d.access_review("bob", **SEES)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        try:
            for g in range(2, 10):
                d.change_policy(policy(g))
                assert generation(d) == g and f"generation={g} " in d.ops().get("/readyz?verbose").text
        finally:
            ends.set()
        for a in asking:
            a.result()
    last = d.access_review("eve", **SEES)
    d.wait_audit("authz.decision", lambda r: r["user"]["name"] == "eve")
    assert last.status == 200
    loaded = 0
    for r in d.audit():
        if r["type"] == "policy.loaded":
            loaded = r["policy"]["generation"]
        elif r["type"] == "authz.decision":
            # Fewer: it was asked before.
            assert r["policy"]["generation"] <= loaded, r


# --- how changes are seen ---

def test_a_change_that_sends_no_event_is_seen(daemon):
    """Through a mapping, as on file systems that tell nobody."""
    d = daemon()
    with open(os.path.join(d.policy_dir, "policy.yaml"), "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        at = m.find(b"generation: 1\n")
        assert at > 0
        m[at:at + 13] = b"generation: 2"
        m.flush()
        d.wait_audit("policy.loaded", after=1)
        assert generation(d) == 2


def test_an_editor_that_renames_is_followed(daemon):
    """vim with backups: tries the folder with 4913, moves the file away, writes a new one, drops the backup."""
    d = daemon()
    path = os.path.join(d.policy_dir, "policy.yaml")
    for g in (2, 3):
        before = len(d.audit("policy.loaded"))
        probe = os.path.join(d.policy_dir, "4913")
        yamlio.write(probe, "")
        os.unlink(probe)
        yamlio.write(os.path.join(d.policy_dir, ".policy.yaml.swp"), "rules: [\n")
        os.rename(path, path + "~")
        yamlio.write(path, policy(g))
        os.unlink(path + "~")
        d.wait_audit("policy.loaded", lambda r, g=g: r["policy"]["generation"] == g, after=before)
    assert not [r for r in d.audit("policy.rejected") if "swp" in r["error"] or "4913" in r["error"]]


def test_a_replaced_folder_is_followed(daemon):
    d = daemon()
    for g in (2, 3):
        before = len(d.audit("policy.loaded"))
        shutil.copytree(d.policy_dir, d.path("new"))
        yamlio.write(d.path("new", "policy.yaml"), policy(g))
        os.rename(d.policy_dir, d.path(f"gone{g}"))
        os.rename(d.path("new"), d.policy_dir)
        d.wait_audit("policy.loaded", lambda r, g=g: r["policy"]["generation"] == g, after=before)


def test_imported_files_are_followed(daemon):
    d = daemon(policy=False, start=False)
    os.makedirs(os.path.join(d.policy_dir, "rbac"))
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "b"},
               "subjects": [{"kind": "User", "name": "zoe", "apiGroup": "rbac.authorization.k8s.io"}],
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}}
    yamlio.write(os.path.join(d.policy_dir, "rbac", "role.yaml"), role)
    yamlio.write(os.path.join(d.policy_dir, "rbac", "binding.yaml"), binding)
    d.write_policy({**policy(1), "imports": [{"rbac": {"path": "rbac/*.yaml"}}]})
    d.start()
    assert d.verdict("zoe") == "allow"
    role["rules"][0]["verbs"] = ["get"]
    yamlio.write_atomic(os.path.join(d.policy_dir, "rbac", "role.yaml"), role)
    d.wait_audit("policy.loaded", after=1)
    assert d.verdict("zoe") == "noOpinion"
    # A new file of the pattern, in the folder that no native file lies in.
    yamlio.write_atomic(os.path.join(d.policy_dir, "rbac", "more.yaml"), {**binding, "metadata": {"name": "c"}, "subjects": [
        {"kind": "User", "name": "max", "apiGroup": "rbac.authorization.k8s.io"}]})
    loaded = d.wait_audit("policy.loaded", after=2)
    assert {f["kind"] for f in loaded["policy"]["fileList"]} == {"native", "rbac"}
    assert d.verdict("max", verb="get") == "allow"
    yamlio.write_atomic(os.path.join(d.policy_dir, "rbac", "role.yaml"), "kind: [\n")
    d.wait_audit("policy.rejected")
    assert d.verdict("max", verb="get") == "allow"
