"""New users: from their first login through the spool and the worker to what RBAC lets them do."""
import itertools
import os

import pytest

from support import kubeconfig, rbac_sync
from support.apiserver import API_AUDIENCE
from support.paths import TOP
from support.proc import wait_until
from support.rbac_sync import Worker

from .conftest import forbidden

BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/team-c/rolebindings"
TEMPLATES = [{"name": "newcomers",
              "match": {"groups": ["oidc:newcomers", "corp:newcomers"]},
              "grants": [{"clusterRole": "view", "namespaces": ["team-c"]}]}]
_n = itertools.count()


@pytest.fixture
def worker(stack, tmp_path):
    """The worker with the rights of deploy/rbac-sync and no others; not yet started."""
    rbac_sync.install_crd(stack.api)
    rbac_sync.install_rbac(stack.api, os.path.join(rbac_sync.DEPLOY, "rbac.yaml"))
    pair = stack.api.ca.client("portcullis-rbac-sync", folder=tmp_path / "pki")
    config = kubeconfig.write(tmp_path / "kubeconfig", stack.api.url, stack.api.ca, pair)
    w = Worker(tmp_path / "worker", config, TEMPLATES, spool=stack.portcullis.spool_dir,
               retryInitial="100ms", retryMax="1s")
    yield w
    w.process.stop()


def new_person(stack, kind):
    """Nobody this cluster has seen; member of newcomers."""
    name = f"new{next(_n)}-{stack.version}"
    if kind == "oidc":
        stack.issuer.set_user(name, email=f"{name}@example.com", email_verified=True, groups=["newcomers"])
    else:
        stack.directory.add_person(name, f"secret-of-{name}", ["newcomers"])
    return name


def bindings(stack, user=None):
    """The worker's bindings in team-c, of one user or all, by user."""
    items = stack.api.get(BINDINGS)["items"]
    ours = {b["subjects"][0]["name"]: b for b in items
            if b["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "portcullis"}
    return ours.get(user) if user else ours


def review(stack, token):
    """As if a client showed the token to the apiserver."""
    got = stack.api.create(f"/apis/authentication.k8s.io/{stack.version}/tokenreviews", {
        "apiVersion": f"authentication.k8s.io/{stack.version}", "kind": "TokenReview",
        "spec": {"token": token, "audiences": [API_AUDIENCE]}})
    return got["status"]


@pytest.mark.parametrize("kind", ["oidc", "ldap"])
def test_a_new_user_can_do_what_the_template_grants(stack, worker, kind):
    worker.start()
    name = new_person(stack, kind)
    user = stack.name(kind, name)
    assert bindings(stack, user) is None
    kubectl = stack.kubectl(kind, name)
    wait_until(lambda: kubectl("get", "pods", "-n", "team-c").returncode == 0, "the grant of the template")
    forbidden(kubectl("get", "secrets", "-n", "team-c"))

    b = bindings(stack, user)
    assert b["metadata"]["name"].startswith("portcullis:newcomers:")
    labels, notes = b["metadata"]["labels"], b["metadata"]["annotations"]
    assert labels["app.kubernetes.io/managed-by"] == "portcullis"
    assert labels["portcullis.dev/template"] == "newcomers"
    assert labels["portcullis.dev/record"]
    assert notes["portcullis.dev/user"] == user
    assert b["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    assert b["subjects"] == [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
    assert {m["manager"] for m in b["metadata"]["managedFields"]} == {"portcullis-sync"}


def test_a_second_run_changes_nothing(stack, worker):
    name = new_person(stack, "oidc")
    token = stack.issuer.id_token(name)
    assert review(stack, token)["authenticated"] is True
    assert worker.once().returncode == 0
    first = bindings(stack, stack.name("oidc", name))
    assert first
    # A restarted server tells of everybody again.
    stack.portcullis.kill()
    stack.portcullis.start()
    assert stack.portcullis.user_of(token)  # the apiserver itself still knows the token for ten seconds
    assert not worker.spool.empty()
    got = worker.once()
    assert got.returncode == 0, got.stderr
    assert worker.spool.empty()
    assert bindings(stack, stack.name("oidc", name)) == first


def test_kill_9_of_server_and_worker_loses_no_event(stack, worker):
    """The server dies right after each answer; the worker dies again and again while it drains the spool."""
    users = []
    for _ in range(6):
        name = new_person(stack, "oidc")
        token = stack.issuer.id_token(name)
        assert review(stack, token)["authenticated"] is True
        stack.portcullis.kill()
        users.append(stack.name("oidc", name))
        stack.portcullis.start()
    assert not worker.spool.empty()
    for done in range(1, len(users)):
        worker.process.start()
        # Dies as soon as one more binding stands in the cluster: between PATCH and unlink, or just after.
        worker.process.wait_for(lambda n=done: len([u for u in users if u in bindings(stack)]) >= n,
                                f"{done} bindings", interval=0.001)
        worker.process.kill()
    worker.start()
    worker.wait_for(lambda: set(users) <= set(bindings(stack)), "the other bindings")
    worker.wait_empty()


# The apiserver's start and the watches' pauses take long, and know nothing of webhooks: once is enough.
@pytest.mark.parametrize("stack", ["v1"], indirect=True)
def test_the_worker_waits_for_an_apiserver_that_is_down(stack, worker):
    name = new_person(stack, "oidc")
    assert stack.portcullis.user_of(stack.issuer.id_token(name))
    stack.api.stop()
    try:
        worker.start()
        worker.process.wait_line("(?i)trouble|unavailable|refused|connect")
        assert not worker.spool.empty()
    finally:
        stack.api.start()
    worker.wait_for(lambda: bindings(stack, stack.name("oidc", name)), "the binding")
    worker.wait_empty()


def test_the_static_pod_is_accepted_by_the_apiserver(stack):
    out = stack.admin.ok("apply", "--dry-run=server", "--validate=false", "-o", "name", "-f",
                         os.path.join(TOP, "deploy", "static-pod", "portcullisd.yaml"))
    assert out.strip() == "pod/portcullisd"
