"""Issue by issue what a cluster's people see; every test runs with webhook versions v1 and v1beta1."""
import json

import pytest

from support.portcullisd import Load
from support.proc import wait_until

from .conftest import forbidden

KINDS = ["oidc", "ldap"]


def bind(stack, namespace, user, role="view"):
    """By RBAC alone, as an admin does it."""
    stack.api.create(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings", {
        "metadata": {"generateName": "by-hand-"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]})


# --- who may do what ---

@pytest.mark.parametrize("kind", KINDS)
def test_allowed_by_policy(stack, kind):
    kubectl = stack.kubectl(kind, "bob")
    assert "pod-of-team-a" in kubectl.ok("get", "pods", "-n", "team-a")


@pytest.mark.parametrize("kind", KINDS)
def test_denied_by_policy_names_rule_and_generation(stack, kind):
    text = forbidden(stack.kubectl(kind, "carol")("get", "pods", "-n", "team-a"))
    assert stack.name(kind, "carol") in text
    assert "no-contractors" in text
    assert f"gen={stack.generation()}" in text
    assert "contractors stay out of team namespaces" in text


@pytest.mark.parametrize("kind", KINDS)
def test_deny_holds_against_an_rbac_grant(stack, kind):
    bind(stack, "team-a", stack.name(kind, "carol"), "cluster-admin")
    forbidden(stack.kubectl(kind, "carol")("get", "pods", "-n", "team-a"))


@pytest.mark.parametrize("kind", KINDS)
def test_abstain_falls_through_to_rbac(stack, kind):
    """alice is dev, whom the policy allows in team-b, and ops, for whom it abstains there."""
    kubectl = stack.kubectl(kind, "alice")
    kubectl.ok("get", "pods", "-n", "team-a")
    forbidden(kubectl("get", "pods", "-n", "team-b"))
    bind(stack, "team-b", stack.name(kind, "alice"))
    wait_until(lambda: kubectl("get", "pods", "-n", "team-b").returncode == 0, "RBAC's grant to alice")


@pytest.mark.parametrize("kind", KINDS)
def test_no_opinion_falls_through_to_rbac(stack, kind):
    kubectl = stack.kubectl(kind, "bob")
    forbidden(kubectl("get", "pods", "-n", "team-c"))
    bind(stack, "team-c", stack.name(kind, "bob"))
    wait_until(lambda: kubectl("get", "pods", "-n", "team-c").returncode == 0, "RBAC's grant to bob")


def test_reserved_groups_never_arrive(stack):
    """mallory's issuer says system:masters, which would be everything."""
    with stack.api.client() as c:
        version = stack.version
        got = c.post(f"/apis/authentication.k8s.io/{version}/tokenreviews", json={
            "apiVersion": f"authentication.k8s.io/{version}", "kind": "TokenReview",
            "spec": {"token": stack.issuer.id_token("mallory")}}).json
    assert got["status"]["authenticated"] is True
    user = got["status"]["user"]
    assert user["username"] == "oidc:mallory@example.com"
    assert not [g for g in user["groups"] if g.startswith("system:") and g != "system:authenticated"]
    forbidden(stack.kubectl("oidc", "mallory")("get", "secrets", "-n", "kube-system"))


def test_a_bad_token_is_refused(stack):
    from support.kubectl import Kubectl
    token = stack.issuer.id_token("bob")
    head, claims, signature = token.split(".")
    for bad in ("garbage", f"{head}.{claims}.{signature[:-8]}AAAAAAAA", f"{head}.{claims}."):
        got = Kubectl(stack.folder, stack.api, "bad", token=bad)("get", "pods", "-n", "team-a")
        assert got.returncode != 0
        assert "provide credentials" in got.stderr or "Unauthorized" in got.stderr


def test_the_reason_leads_to_the_audit_record(stack):
    """The decision id in what the user reads is that of the record."""
    text = forbidden(stack.kubectl("oidc", "carol")("get", "pods", "-n", "team-a"))
    record = stack.portcullis.wait_audit(
        "authz.decision", lambda r: r["id"] in text and r["decision"] == "deny")
    assert record["rule"] == "no-contractors"
    assert record["user"]["name"] == "oidc:carol@example.com"
    assert record["apiVersion"] == f"authorization.k8s.io/{stack.version}"


# --- living policy ---

def test_an_edit_flips_the_next_verdict(stack):
    kubectl = stack.kubectl("oidc", "bob")
    kubectl.ok("get", "pods", "-n", "team-a")
    stack.set_policy(drop=["dev-read"])
    wait_until(lambda: kubectl("get", "pods", "-n", "team-a").returncode != 0, "the edit to take effect")
    stack.set_policy()
    wait_until(lambda: kubectl("get", "pods", "-n", "team-a").returncode == 0, "the second edit")


def test_a_broken_edit_changes_nothing_and_survives_a_restart(stack):
    p = stack.portcullis
    kubectl, carol = stack.kubectl("oidc", "bob"), stack.kubectl("oidc", "carol")
    before = stack.set_policy()
    broken = "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\nrules:\n- id: x\n  efect: allow\n"
    record = p.break_policy(broken)
    assert "policy.yaml:5:3" in json.dumps(record), record
    kubectl.ok("get", "pods", "-n", "team-a")
    assert f"gen={before}" in forbidden(carol("get", "pods", "-n", "team-a"))
    p.kill()
    p.start()
    wait_until(lambda: kubectl("get", "pods", "-n", "team-a").returncode == 0, "the kept policy")
    assert f"gen={before}" in forbidden(carol("get", "pods", "-n", "team-a"))
    stack.set_policy()


# --- renewal and failure ---

def test_certificates_are_replaced_under_load(stack):
    """A new serving certificate and a new client CA beside the old: kubectl's calls and ours go on."""
    p = stack.portcullis
    kubectl = stack.kubectl("oidc", "bob")
    old = p.server.pem

    def served():
        with p.client() as c:
            c._open()  # pylint: disable=protected-access
            return c.conn.sock.getpeercert()["serialNumber"]

    first = served()
    kept = [p.client(reopen=False) for _ in range(3)]

    def work(i):
        if i == 3:
            kubectl.ok("get", "pods", "-n", "team-a")
            return
        client = kept[i] if i < 2 else p.client(reopen=False)
        got = p.access_review("oidc:bob@example.com", groups=["oidc:dev"], namespace="team-a",
                              version=stack.version, client=client)
        assert got.json["status"]["allowed"] is True, got
        if i == 2:
            client.close()

    from support import pki
    with Load(work, threads=4) as load:
        load.wait_more(20)
        new_ca = pki.CA(p.path("pki"), "client-ca-2")
        with open(p.client_ca.crt, encoding="ascii") as f:
            both = f.read() + new_ca.pem
        with open(p.path("pki", "client-ca.crt.new"), "w", encoding="ascii") as f:
            f.write(both)
        import os
        os.rename(p.path("pki", "client-ca.crt.new"), p.client_ca.crt)
        p.server = p.server_ca.server("server-2")
        os.rename(p.path("pki", "server-2.key"), p.path("pki", "server.key"))
        os.rename(p.path("pki", "server-2.crt"), p.path("pki", "server.crt"))
        p.server = pki.Pair(p.path("pki", "server.crt"), p.path("pki", "server.key"))
        wait_until(lambda: served() != first, "the new certificate to be served")
        renewed = new_ca.client("kube-apiserver-2", cn="kube-apiserver")

        def accepted():
            try:
                with p.client(renewed) as c:
                    return p.access_review("x", client=c).status == 200
            except OSError:
                return False
        wait_until(accepted, "the new client CA to be trusted")
        load.wait_more(20)
    assert not load.errors, load.errors[:3]
    assert p.server.pem != old


def test_keys_rotated_at_the_issuer(stack):
    """The first login after a rotation works, whether the old key stays published (v1) or not."""
    before = stack.kubectl("oidc", "bob")
    before.ok("get", "pods", "-n", "team-a")
    kept = stack.version == "v1"
    stack.issuer.rotate(keep=kept)
    stack.kubectl("oidc", "bob").ok("get", "pods", "-n", "team-a")
    if kept:
        before.ok("get", "pods", "-n", "team-a")
