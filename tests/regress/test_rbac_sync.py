"""portcullis-rbac-sync against a scripted apiserver: what new users get, what is refused, how it is used."""
import json
import os
import shutil
import signal

import pytest
import yaml

from support import kubeconfig, yamlio
from support.paths import TOP, program
from support.proc import run
from support.rbac_sync import DEVS, VIEW
from support.spool import Spool, digest, event, group_key, key


def by_role(api):
    return {(ns, o["roleRef"]["name"]): o for (ns, _), o in api.objects.items()}


# --- the straight way ---

def test_a_new_user_gets_what_is_due(worker, fake_api):
    w = worker((DEVS, VIEW))
    w.spool.put("alice@x.org", ["eng-blue", "eng-red", "ops"])
    got = w.once()
    assert got.returncode == 0, got.stderr
    assert w.spool.empty() and not w.spool.names("dead")
    have = by_role(fake_api)
    assert set(have) == {("blue", "edit"), ("red", "edit"), (None, "view")}
    o = have[("blue", "edit")]
    record = key("ldap:corp", "alice@x.org")
    assert o["kind"] == "RoleBinding"
    assert o["metadata"]["name"].startswith("portcullis:devs:")
    assert o["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "portcullis", "portcullis.dev/record": record,
        "portcullis.dev/template": "devs"}
    notes = o["metadata"]["annotations"]
    assert notes["portcullis.dev/user"] == "alice@x.org"
    assert notes["portcullis.dev/provider"] == "ldap:corp"
    assert set(notes) == {"portcullis.dev/" + k for k in ("user", "provider", "spec-hash", "generation")}
    assert o["subjects"] == [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice@x.org"}]
    owner = fake_api.record("alice@x.org")["metadata"]
    assert o["metadata"]["ownerReferences"] == [
        {"apiVersion": "portcullis.dev/v1alpha1", "kind": "UserRecord", "name": record, "uid": owner["uid"],
         "controller": True, "blockOwnerDeletion": False}]
    patch = fake_api.seen("PATCH", "rolebindings")[0]
    assert patch.path.endswith("?fieldManager=portcullis-sync&force=true")
    assert patch.headers["Content-Type"] == "application/apply-patch+yaml"
    assert patch.token == "secret-token"


def test_the_record_says_what_became_of_it(worker, fake_api):
    w = worker((DEVS, VIEW))
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 0
    record = fake_api.record("alice")
    status = record["status"]
    assert record["metadata"]["name"] == key("ldap:corp", "alice")
    assert status["phase"] == "Ready" and status["bindingCount"] == 2
    assert status["firstSeen"] == status["lastSeen"] == "2023-11-14T22:13:20Z" and status["nodes"] == ["test"]
    assert status["observedDigest"] == digest(event("alice", ["eng-blue"]))
    assert {(b["kind"], b.get("namespace"), b["template"]) for b in status["bindings"]} == {
        ("RoleBinding", "blue", "devs"), ("ClusterRoleBinding", None, "everybody")}
    live = {o["metadata"]["uid"] for o in fake_api.objects.values()}
    assert {b["uid"] for b in status["bindings"]} == live
    (ready,) = [c for c in status["conditions"] if c["type"] == "Ready"]
    assert ready["status"] == "True"


def test_a_second_run_writes_nothing(worker, fake_api):
    w = worker((DEVS, VIEW))
    for _ in range(2):
        w.spool.put("alice", ["eng-blue"])
        assert w.once().returncode == 0
    assert len(fake_api.wrote()) == 2
    before = json.dumps(sorted(fake_api.objects.items(), key=str))
    fake_api.forget()
    assert w.once().returncode == 0
    assert [r for r in fake_api.seen() if r.method != "GET"] == []
    w.spool.put("alice", ["eng-blue"], seen_at=1800000000)
    assert w.once().returncode == 0
    assert not fake_api.wrote() and json.dumps(sorted(fake_api.objects.items(), key=str)) == before


def test_group_bindings_are_shared_by_members(worker, fake_api):
    t = {"name": "teams", "match": {"groups": ["eng-*"]}, "grants": [
        {"clusterRole": "view", "scope": "cluster", "subject": {"kind": "Group", "name": "${group}"}}]}
    w = worker([t])
    w.spool.put("alice", ["eng-blue"])
    w.spool.put("bob", ["eng-blue", "ops"])
    assert w.once().returncode == 0
    assert len(fake_api.wrote()) == 1
    (o,) = fake_api.objects.values()
    assert o["subjects"][0]["kind"] == "Group" and o["subjects"][0]["name"] == "eng-blue"
    assert o["metadata"]["labels"]["portcullis.dev/record"] == group_key("ldap:corp", "eng-blue")
    assert "ownerReferences" not in o["metadata"]
    # It stands in the inventory of each.
    for user in ("alice", "bob"):
        (b,) = fake_api.record(user)["status"]["bindings"]
        assert b["uid"] == o["metadata"]["uid"]


def test_who_is_due_nothing_gets_a_record_alone(worker, fake_api):
    w = worker((DEVS,))
    w.spool.put("alice", ["ops"])
    assert w.once().returncode == 0
    assert w.spool.empty() and not fake_api.wrote()
    assert fake_api.phase("alice") == "Ready"


def test_a_running_worker_takes_events_as_they_come(worker, fake_api):
    w = worker((DEVS,)).start()
    for n, user in enumerate(("alice", "bob", "carol")):
        w.spool.put(user, ["eng-blue"])
        w.wait_for(lambda u=user: fake_api.phase(u) == "Ready", f"{user}'s binding")
        assert len(fake_api.objects) == n + 1
        w.wait_empty()
    w.wait_for(lambda: w.process.output().count('"is":"Ready"') == 3, "the last answer")
    assert w.stop() == 0
    assert w.metric("portcullis_sync_events_processed_total", '{result="done"}') == 3
    assert w.metric("portcullis_sync_apply_total", '{kind="RoleBinding",result="written"}') == 3
    assert w.metric("portcullis_sync_spool_depth") == 0
    assert w.metric("portcullis_sync_records", '{phase="Ready"}') == 3
    assert w.metric("portcullis_sync_first_login_to_binding_seconds_count") == 3


def test_changed_groups_change_bindings(worker, fake_api):
    w = worker((DEVS,)).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: fake_api.phase("alice") == "Ready", "alice's binding")
    w.spool.put("alice", ["eng-red"], seen_at=1700000100)
    w.wait_for(lambda: set(by_role(fake_api)) == {("red", "edit")}, "the other binding alone")


def test_dry_run_prints_and_touches_nothing(worker, fake_api):
    w = worker((DEVS, VIEW))
    w.spool.put("alice", ["eng-blue"])
    w.spool.put("system:admin", ["eng-blue"])
    before = w.spool.names()
    for option in ("--dry-run", "--dry-run=client"):
        got = w.run(option)
        assert got.returncode == 0, got.stderr
        docs = [json.loads(line) for line in got.stdout.splitlines()]
        assert {d["kind"] for d in docs} == {"RoleBinding", "ClusterRoleBinding"} and len(docs) == 2
        assert "reservedSubject" in got.stderr
    assert w.spool.names() == before and not fake_api.seen()


def test_dry_run_of_the_server_asks_and_changes_nothing(worker, fake_api):
    w = worker((DEVS, VIEW))
    w.spool.put("alice", ["eng-blue"])
    before = w.spool.names()
    version = fake_api.version
    got = w.run("--dry-run=server")
    assert got.returncode == 0, got.stderr
    docs = [json.loads(line) for line in got.stdout.splitlines()]
    assert {d["kind"] for d in docs} == {"RoleBinding", "ClusterRoleBinding"} and len(docs) == 2
    writes = [r for r in fake_api.seen() if r.method != "GET"]
    assert writes and all("dryRun=All" in r.path for r in writes)
    assert w.spool.names() == before and fake_api.version == version


# --- rails ---

def test_reserved_users_and_groups_are_never_bound(worker, fake_api):
    everything = {"name": "all", "match": {"groups": ["*"]}, "grants": [
        {"clusterRole": "view", "scope": "cluster"},
        {"clusterRole": "view", "scope": "cluster", "subject": {"kind": "Group"}},
        {"clusterRole": "view", "namespaces": ["${group.slug}"]}]}
    w = worker([everything])
    for user in ("system:admin", "System:Masters", "kubernetes-admin", "kubeadm:x", " root", "a\x1bb"):
        w.spool.put(user, ["system:masters", "kube-system", "kubeadm:cluster-admins", "default"])
    got = w.once()
    assert got.returncode == 0, got.stderr
    assert not fake_api.wrote()
    w.spool.put("alice", ["system:masters", "kube-system", "kubeadm:cluster-admins", "System:Nodes"])
    got = w.once()
    assert got.returncode == 0, got.stderr
    # kube-system is a fine name for a group, and for nothing else.
    assert sorted(o["subjects"][0]["name"] for o in fake_api.objects.values()) == ["alice", "kube-system"]
    assert not any(ns for ns, _ in fake_api.objects)
    assert w.metric("portcullis_sync_refused_total", '{reason="reservedSubject"}') == 3
    assert w.metric("portcullis_sync_refused_total", '{reason="reservedNamespace"}') > 0
    (refused,) = [c for c in fake_api.record("alice")["status"]["conditions"] if c["type"] == "Refused"]
    assert refused["status"] == "True" and fake_api.phase("alice") == "Degraded"


def test_hostile_spool_files_are_buried_and_cost_nothing(worker, fake_api, tmp_path):
    w = worker((DEVS,))
    outside = tmp_path / "outside"
    outside.write_text("{}")
    os.symlink(outside, os.path.join(w.spool.folder, "new", key("p", "link")))
    w.spool.put_raw(key("p", "x"), b'{"v":1}')
    w.spool.put_raw("..hidden-but-not", b"x")
    w.spool.put_raw("; rm -rf ~", b"x")
    w.spool.put_raw(key("ldap:corp", "mallory"), json.dumps({}).encode())
    w.spool.put("alice", ["eng-blue"])
    assert w.once().returncode == 1
    assert len(fake_api.objects) == 1
    assert outside.exists()
    assert w.spool.names() == ["..hidden-but-not"]
    assert len([n for n in w.spool.names("dead") if not n.endswith(".reason")]) == 4


# --- templates while running ---

def test_templates_are_reloaded_and_a_bad_file_changes_nothing(worker, fake_api):
    w = worker((DEVS,)).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: fake_api.phase("alice") == "Ready", "alice's binding")
    w.write_templates("apiVersion: sync.portcullis.dev/v1alpha1\nkind: SyncConfig\ntemplates:\n"
                      "- name: bad\n  match: {groups: [a]}\n"
                      "  grants: [{clusterRole: cluster-admin, scope: cluster}]\n")
    w.wait_logged("templates.yaml:6:26: ")
    w.spool.put("bob", ["eng-blue"])
    w.wait_for(lambda: fake_api.phase("bob") == "Ready", "bob's binding")
    assert set(by_role(fake_api)) == {("blue", "edit")} and len(fake_api.objects) == 2
    # Nothing at all is no templates either: whoever emptied the file by accident takes nothing away.
    w.write_templates("apiVersion: sync.portcullis.dev/v1alpha1\nkind: SyncConfig\ntemplates: []\n")
    w.wait_for(lambda: w.process.output().count("templates rejected") == 2, "the second rejection")
    os.unlink(w.templates_path)
    w.wait_for(lambda: w.process.output().count("templates rejected") == 3, "the third rejection")
    assert "templates.yaml: No such file" in w.process.output()
    assert len(fake_api.objects) == 2
    # The file is repaired.
    w.write_templates([DEVS])
    w.wait_logged("the template file is again what is in force")
    w.write_templates([VIEW])
    w.wait_logged("templates loaded")
    # All users are looked at again, and what is no longer due goes.
    w.wait_for(lambda: set(by_role(fake_api)) == {(None, "view")} and len(fake_api.objects) == 2, "the new bindings")
    w.spool.put("carol")
    w.wait_for(lambda: len(fake_api.objects) == 3, "carol's binding")
    assert w.stop() == 0
    assert w.metric("portcullis_sync_config_reload_total", '{result="rejected"}') == 3
    assert w.metric("portcullis_sync_config_reload_total", '{result="ok"}') == 2
    assert w.metric("portcullis_sync_config_generation") == 2


def test_counters_are_there_before_anything_is_counted(worker):
    """No query sees the first event of a series that begins with it."""
    w = worker((VIEW,)).start()
    assert w.stop() == 0
    with open(w.metrics_path, encoding="utf-8") as f:
        told = f.read().splitlines()
    for series in ('config_reload_total{result="rejected"}', 'events_processed_total{result="dead"}',
                   'spool_rejected_total{reason="maxUsers"}', 'refused_total{reason="dangerousRole"}',
                   'gc_deleted_total{kind="RoleBinding"}', "drift_fights_total", "expired_total"):
        assert f"portcullis_sync_{series} 0" in told, series
    assert any(line.startswith('portcullis_build_info{version="') for line in told)


def test_what_is_wrong_with_the_credentials_is_told(worker, fake_config, tmp_path):
    with open(fake_config, encoding="utf-8") as f:
        doc = yaml.safe_load(f)
    doc["users"][0]["user"] = {"client-certificate": str(tmp_path / "no.crt"), "client-key": str(tmp_path / "no.key")}
    w = worker((VIEW,), kubeconfig_path=yamlio.write(tmp_path / "bad.kubeconfig", doc))
    got = run([program("portcullis"), "sync", "plan", "--config", w.config_path])
    assert got.returncode == 2 and f"{tmp_path}/no.crt: No such file or directory" in got.stderr


def test_sighup_retries_at_once(worker, fake_api):
    fake_api.on("PATCH", "rolebindings", *[("answer", 403, {}, {"kind": "Status", "message": "no"})])
    w = worker((DEVS,)).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_logged("object refused")
    w.wait_logged('"is":"Degraded","reason":"RoleBinding/blue/portcullis:devs:')
    w.process.signal(signal.SIGHUP)
    w.wait_for(lambda: fake_api.phase("alice") == "Ready", "alice's binding")


def test_sighup_reads_the_kubeconfig_for_all_threads(worker, fake_api, tmp_path):
    """Records, bindings, watches, events and the Lease: the old token is as good as the new one, so no 401 helps."""
    fake_api.tokens.add("next-token")
    config = kubeconfig.write(tmp_path / "own.yaml", fake_api.url, fake_api.ca, token="secret-token")
    w = worker((DEVS,), kubeconfig_path=config,
               leaderElection={"leaseDuration": "1s", "renewDeadline": "800ms", "retryPeriod": "100ms"}).start()
    w.spool.put("alice", ["eng-blue"])
    w.wait_for(lambda: fake_api.phase("alice") == "Ready", "alice's binding")
    kubeconfig.write(tmp_path / "own.yaml", fake_api.url, fake_api.ca, token="next-token")
    w.process.signal(signal.SIGHUP)

    def with_new(method, path):
        return any(r.token == "next-token" for r in fake_api.seen(method, path))
    for method, path in (("PUT", "/leases/"), ("GET", "/userrecords.*watch=1"), ("GET", "/rolebindings.*watch=1")):
        w.wait_for(lambda m=method, p=path: with_new(m, p), f"{method} {path} with the new token")
    bob = w.spool.put("bob", ["eng-red"])
    w.wait_for(lambda: fake_api.phase("bob") == "Ready", "bob's binding")

    def about_bob(path):
        return [r for r in fake_api.seen(path=path) if any(t in f"{r.path} {r.body}" for t in (bob, "eng-red"))]
    for path in ("/userrecords", "/rolebindings", "/events"):
        w.wait_for(lambda p=path: about_bob(p), f"{path} for bob")
    assert {r.token for r in about_bob("")} == {"next-token"}
    assert "next-token" not in w.process.output()


def test_one_worker_for_a_spool(worker):
    w = worker((DEVS,)).start()
    got = w.once()
    assert got.returncode == 1 and "another worker" in got.stderr
    assert w.process.running


# --- usage ---

def test_wrong_configurations_say_where(worker, tmp_path):
    w = worker((DEVS,))
    with open(w.config_path, encoding="utf-8") as f:
        good = f.read()
    for bad, finding in (
            (good + "spolDir: x\n", "unknown key `spolDir`, did you mean `spoolDir`?"),
            (good + "mode: some\n", "`all`, `intake` or `reconcile`"),
            (good.replace("templates: ", "#"), "templates is missing"),
            (good.replace("retryMax: 50ms", "retryMax: 10ms"), "retryMax is below"),
            ("", "rbac-sync.yaml:")):
        yamlio.write(w.config_path, bad)
        got = w.once()
        assert got.returncode == 2 and finding in got.stderr, got.stderr
        assert "rbac-sync.yaml:" in got.stderr
    yamlio.write(w.config_path, good)
    w.write_templates("kind: SyncConfig\n")
    got = w.once()
    assert got.returncode == 2 and "templates.yaml:1:" in got.stderr
    w.write_templates([DEVS])
    os.unlink(tmp_path / "kubeconfig")
    got = w.once()
    assert got.returncode == 2 and "kubeconfig" in got.stderr


def test_the_example_configuration_loads(tmp_path):
    etc = tmp_path / "etc"
    shutil.copytree(os.path.join(TOP, "deploy", "examples"), etc)
    text = (etc / "rbac-sync.yaml").read_text()
    assert "/var/lib/portcullis/spool" in text
    spool = Spool(tmp_path / "spool")
    yamlio.write(etc / "rbac-sync.yaml", text.replace("/var/lib/portcullis/spool", spool.folder))
    spool.put("corp:ann", ["corp:dev-a"])
    got = run([program("portcullis-rbac-sync"), "--config", etc / "rbac-sync.yaml", "--dry-run"])
    assert got.returncode == 0, got
    assert "team-a" in {json.loads(line)["metadata"].get("namespace") for line in got.stdout.splitlines()}


@pytest.mark.parametrize("options", [["--nonsense"], ["word"], ["--config"], ["--config", "/nonexistent"],
                                     ["--dry-run=all"], ["--mode"]])
def test_wrong_usage_is_exit_2(worker, options):
    got = run([worker((DEVS,)).argv()[0], *options])
    assert got.returncode == 2 and got.stderr


def test_the_mode_of_the_command_line_wins(worker, fake_api):
    w = worker((DEVS,))
    w.spool.put("alice", ["eng-blue"])
    got = w.run("--mode", "sideways", "--once")
    assert got.returncode == 2 and "sideways" in got.stderr
    assert w.run("--mode", "reconcile", "--once").returncode == 0
    assert not fake_api.records() and not w.spool.empty()
    assert w.run("--mode=intake", "--once").returncode == 0
    assert fake_api.record("alice") and not fake_api.objects
    assert w.run("--mode=reconcile", "--once").returncode == 0
    assert len(fake_api.objects) == 1
