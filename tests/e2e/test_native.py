"""A kube-apiserver that verifies our login tokens by itself, against our discovery document and keys, without
asking any webhook."""
import json
import os
import time

import pytest

from support import slapd
from support.apiserver import ApiServer
from support.crypto_jws import new_es256
from support.https import Client, tls_context
from support.portcullisd import API_AUDIENCE, Portcullisd
from support.proc import wait_until

ALICE, ALICE_PASSWORD = "alice", slapd.DEFAULT_PEOPLE["alice"][0]
BOB, BOB_PASSWORD = "bob", slapd.DEFAULT_PEOPLE["bob"][0]


@pytest.fixture(scope="module")
def native(tmp_path_factory, etcd_server, e2e_directory):
    """(portcullisd, apiserver)"""
    folder = tmp_path_factory.mktemp("native")
    p = Portcullisd(folder / "portcullis", ldap=[e2e_directory.config()],
                    login={"groupsClaim": True}).start()
    api = ApiServer(folder / "api", etcd_server, extra={
        "oidc-issuer-url": p.config["login"]["issuer"],
        "oidc-ca-file": p.server_ca.crt,
        "oidc-client-id": API_AUDIENCE,
        "oidc-signing-algs": "ES256",
        "oidc-username-claim": "preferred_username",
        "oidc-username-prefix": "-",
        "oidc-groups-claim": "groups",
        "oidc-required-claim": "directory=corp"}).start()
    api.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
        "metadata": {"name": "ops-see-pods"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "corp:ops"}]})
    yield p, api
    api.stop()
    assert p.stop() == 0


def status(api, token):
    """Of a list of pods with TOKEN: 200, 403 (known, not allowed), 401 (unknown)."""
    with Client(api.port, tls_context(api.ca)) as c:
        return c.get("/api/v1/namespaces/default/pods", headers={"Authorization": f"Bearer {token}"}).status


def test_name_and_groups_come_out_of_the_token(native):
    p, api = native
    asked = p.metric("portcullis_token_reviews_total")
    token = p.login_token(ALICE, ALICE_PASSWORD)
    wait_until(lambda: status(api, token) == 200, "the apiserver to have our keys", interval=0.2)
    with Client(api.port, tls_context(api.ca)) as c:
        got = c.get("/api/v1/namespaces/default/secrets",
                    headers={"Authorization": f"Bearer {p.login_token(BOB, BOB_PASSWORD)}"})
    assert got.status == 403 and 'User "corp:bob"' in got.json["message"]
    assert p.metric("portcullis_token_reviews_total") == asked


def test_a_refresh_handle_is_no_token_there_either(native):
    p, api = native
    got = p.login(ALICE, ALICE_PASSWORD).json
    wait_until(lambda: status(api, got["token"]) == 200, "the apiserver to have our keys", interval=0.2)
    assert status(api, got["refreshToken"]) == 401
    assert status(api, got["token"][:-8] + "AAAAAAAA") == 401
    with p.login_client() as c:
        renewed = c.post("/refresh", json={"refreshToken": got["refreshToken"]}).json["token"]
    assert status(api, renewed) == 200


def test_it_follows_a_new_key(native):
    p, api = native
    old = p.login_token(ALICE, ALICE_PASSWORD)
    wait_until(lambda: status(api, old) == 200, "the apiserver to have our keys", interval=0.2)
    path = os.path.join(p.state, "login-keys")
    with open(path, encoding="ascii") as f:
        text = f.read()

    def change(to):
        before = len(p.audit("server.event"))
        with open(path + ".new", "w", encoding="ascii") as f:
            f.write(to)
        os.chmod(path + ".new", 0o600)
        os.replace(path + ".new", path)
        p.wait_audit("server.event", lambda r: r.get("event") == "login.keys", after=before)
    change(text + json.dumps({**new_es256("second"), "nbf": int(time.time())}) + "\n")
    new = p.login_token(ALICE, ALICE_PASSWORD)
    # An apiserver that keeps our keys for as long as we allow does not know one that signs at once: this is
    # why ours are published an hour ahead. It still takes what it knew, and ours goes the webhook's way.
    assert status(api, old) == 200
    assert p.user_of(new)["username"] == "corp:alice"
    change(text)  # the other tests' logins are signed by what the apiserver knows
