"""portcullis-rbac-sync with an apiserver, neighbours and tenants that mean no good."""
import pytest

from support.fake_apiserver import Hold, status
from support.paths import program
from support.proc import run
from support.rbac_sync import DEVS


# Far less than what is waited for otherwise: a request's minute, or the 300 s that the apiserver asks for.
SOON = 20


@pytest.mark.parametrize("options", [(), ("--once",)], ids=["running", "once"])
def test_sigterm_while_a_record_is_made_in_vain(worker, fake_api, options):
    hold = Hold(before=True)
    fake_api.on("POST", "/userrecords", hold)
    w = worker((DEVS,), requestTimeout="60s")
    w.process.argv += options
    w.spool.put("alice", ["eng-blue"])
    w.process.start()
    assert hold.reached.wait(60)
    assert w.process.stop(SOON) == (1 if options else 0)
    hold.release.set()
    assert not w.spool.empty()


def test_sigterm_while_the_apiserver_asks_for_peace(worker, fake_api):
    w = worker((DEVS,)).start()
    fake_api.on("PATCH", "rolebindings", status(429, {"Retry-After": "300"}))
    w.spool.put("alice", ["eng-blue"])
    w.wait_logged("the apiserver is in trouble")
    w.spool.put("bob", ["eng-blue"])
    w.wait_for(lambda: w.spool.names("cur"), "bob's event to be worked on")
    assert w.process.stop(SOON) == 0
    assert not fake_api.record("bob") and not w.spool.empty()


def test_sigterm_while_the_lease_is_renewed_in_vain(worker, fake_api):
    renew, back = Hold(before=True), Hold(before=True)
    w = worker((DEVS,), requestTimeout="60s", leaderElection={
        "enabled": True, "namespace": "blue", "leaseDuration": "300s", "renewDeadline": "200s", "retryPeriod": "1s"})
    # One of nobody's is taken at once.
    fake_api.put("leases", {"metadata": {"name": "portcullis-rbac-sync", "namespace": "blue"}, "spec": {}})
    w.start()
    w.wait_logged('"leading"')
    fake_api.on("PUT", "/leases/", renew, back)
    assert renew.reached.wait(60)
    w.process.popen.terminate()
    assert back.reached.wait(60)
    assert w.process.wait(SOON) == 0


def sync(w, *args):
    """What `portcullis sync` prints, for a terminal."""
    got = run([program("portcullis"), "sync", *args, "--config", w.config_path])
    return got.returncode, got.stdout + got.stderr


EVIL = "eve\x1b[2J\u202e"


def test_names_of_others_cannot_write_to_the_admins_terminal(worker, fake_api):
    w = worker((DEVS,))
    w.spool.put(EVIL, ["eng-blue"])
    assert w.run("--mode=intake", "--once").returncode == 0
    # Whoever may make bindings in a namespace of theirs may call them so.
    fake_api.put("rolebindings", {"metadata": {"name": "x\x1b]0;y\x07", "namespace": "blue", "labels": {
        "app.kubernetes.io/managed-by": "portcullis"}}, "roleRef": {"kind": "ClusterRole", "name": "view"}})
    fake_api.put("leases", {"metadata": {"name": "portcullis-rbac-sync", "namespace": "portcullis-system", "annotations": {
        "portcullis.dev/gc-blocked": "1;reboot 30 20"}}, "spec": {"holderIdentity": "a\x1b[31m"}})
    plan, explain = sync(w, "plan")[1], sync(w, "explain", EVIL)[1]
    code, suspended = sync(w, "suspend", EVIL)
    assert code == 0
    gc = sync(w, "gc")[1]
    for text in (plan, explain, suspended, gc):
        assert "eve" in text and "\x1b" not in text and "\u202e" not in text and "\x07" not in text, text
    assert "reboot" not in gc


def test_a_dry_run_leaves_the_metrics_of_the_worker(worker, fake_api):
    w = worker((DEVS,))
    with open(w.metrics_path, "w", encoding="utf-8") as f:
        f.write("of the worker\n")
    assert w.run("--dry-run=server").returncode == 0
    with open(w.metrics_path, encoding="utf-8") as f:
        assert f.read() == "of the worker\n"
