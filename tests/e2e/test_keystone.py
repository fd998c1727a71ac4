"""kubectl -> kube-apiserver -> portcullisd -> Debian's Keystone: tokens and application credentials."""
import pytest

from support.apiserver import ApiServer, Webhooks
from support.keystone import Keystone
from support.kubectl import Kubectl
from support.portcullisd import Portcullisd
from support.proc import wait_until

from .conftest import forbidden

ALICE, BOB = "alice-secret-7710", "bob-secret-8821"

POLICY = {
    "apiVersion": "portcullis.dev/v1alpha1", "kind": "AccessPolicy",
    "metadata": {"name": "openstack", "generation": 1},
    "defaults": {"exempt": {"groups": ["system:nodes"], "users": ["system:kube-*", "system:apiserver"]}},
    "rules": [
        {"id": "developers-read", "effect": "allow", "subjects": {"groups": ["os:Default/team:developer"]},
         "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"], "namespaces": ["team"]},
    ],
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with Keystone(tmp_path_factory.mktemp("keystone")) as k:
        k.team, k.developer = k.project("team"), k.role("developer")
        k.alice, k.bob = k.user("alice", ALICE), k.user("bob", BOB)
        k.assign(k.alice, k.developer, k.team)
        k.assign(k.bob, k.role("watcher"), k.team)
        yield k


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_people_and_robots_of_openstack(tmp_path, etcd_server, cloud, version):
    def edit(doc):
        doc["authentication"]["keystone"] = [cloud.config(
            applicationCredentials=True, cacheTTL="0s", timeout="10s")]
        doc["webhook"]["deadline"] = "10s"

    with Portcullisd(tmp_path / "portcullis", policy=POLICY, edit=edit) as p, \
            ApiServer(tmp_path / "api", etcd_server, Webhooks(
                p.port, p.server_ca, p.apiserver, version, version)) as api:
        api.namespace("team")
        api.pod("team", "pod-of-team")

        def kubectl(name, token):
            return Kubectl(tmp_path, api, name, token=token)

        alice = cloud.token("alice", ALICE, "team")
        ident, secret = cloud.application_credential(cloud.alice, alice, f"robot-{version}")
        for name, token in (("alice", alice), ("by-credential", cloud.credential_token(ident, secret)),
                            ("robot", f"v3applicationcredential:cloud:{ident}:{secret}")):
            assert "pod-of-team" in kubectl(name, token).ok("get", "pods", "-n", "team")
        text = forbidden(kubectl("bob", cloud.token("bob", BOB, "team"))("get", "pods", "-n", "team"))
        assert "os:Default/bob" in text
        unscoped = kubectl("unscoped", cloud.token("alice", ALICE))("get", "pods", "-n", "team")
        assert unscoped.returncode != 0 and "logged in" in unscoped.stderr
        record = p.wait_audit("authn.review", lambda r: r["reason"] == "badScope")
        assert record["authenticator"] == "keystone:cloud"
        gone = cloud.token("alice", ALICE, "team")
        late = kubectl("late", gone)
        cloud.revoke(gone)
        wait_until(lambda: "logged in" in late("get", "pods", "-n", "team").stderr,
                   "a revoked token to be refused")
