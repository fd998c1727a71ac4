"""portcullis-rbac-sync with an apiserver, neighbours and tenants that mean no good."""
import pytest

from support.fake_apiserver import Hold, status
from support.rbac_sync import DEVS


# Far less than what is waited for otherwise: a request's minute, or the 300 s that the apiserver asks for.
SOON = 20


@pytest.mark.parametrize("options", [(), ("--once",)], ids=["running", "once"])
@pytest.mark.parametrize("method,path", [("POST", "/userrecords"), ("GET", "/userrecords/")])
def test_sigterm_while_a_record_is_asked_for_in_vain(worker, fake_api, method, path, options):
    hold = Hold(before=True)
    fake_api.on(method, path, hold)
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
    w.wait_for(lambda: fake_api.seen("PATCH", "rolebindings"), "the answer that asks for peace")
    w.spool.put("bob", ["eng-blue"])
    w.wait_for(lambda: w.spool.names("cur"), "bob's event to be worked on")
    assert w.process.stop(SOON) == 0
    assert not fake_api.record("bob") and not w.spool.empty()
