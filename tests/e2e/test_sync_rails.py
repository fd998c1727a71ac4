"""Attempts to get past the rails of rbac-sync on a real kube-apiserver, under the rights that it prints for itself."""
import signal

import pytest

from support.https import Client, tls_context
from support.proc import Process, wait_until
from support.rbac_sync import Worker
from support.spool import key
from support.sync_world import MERGE, RBAC, RECORDS, SyncWorld, binding_path, role_ref, rule, subject

V = "rbac.authorization.k8s.io"
TEAM = {"name": "team", "match": {"groups": ["devs"]}, "grants": [{"clusterRole": "view", "namespaces": ["team-a"]}]}


@pytest.fixture(scope="module")
def world(tmp_path_factory, etcd_server):
    with SyncWorld(tmp_path_factory.mktemp("rails"), etcd_server) as w:
        for ns in ("team-a", "team-b"):
            w.api.namespace(ns)
        yield w


@pytest.fixture
def start(world, tmp_path):
    """Runs a worker with these templates and the rights for them."""
    made, roles = [], []

    def begin(templates, *options, **kw):
        w = Worker(tmp_path / f"worker{len(made)}", world.kubeconfig, templates, **kw)
        made.append(w)
        world.grant(world.rights(w, "--subject", f"User:{world.user}"))
        w.process = Process(w.argv(*options), w.path("worker.log"), name="portcullis-rbac-sync")
        return w.start()

    def role(name, *args, **kw):
        roles.append(f"{RBAC}/clusterroles/{name}")
        return world.role(name, *args, **kw)

    begin.role = role
    yield begin
    for w in made:
        assert w.stop() in (0, None), w.process.output()
    for path in roles:
        world.api.delete(path)
    world.delete_records()
    world.delete_bindings("team-a", "team-b")


def give(name, role, **kw):
    return {"name": name, "match": {"groups": ["devs"]}, "grants": [{"clusterRole": role, **kw}]}


def settled(world, w, user, groups=("devs",), **kw):
    """USER comes; gives the Refused condition, or None, once the record says what became of it."""
    w.spool.put(user, list(groups), **kw)
    provider = kw.get("provider", "ldap:corp")

    def done():
        told = ((world.record(user, provider) or {}).get("status") or {}).get("conditions") or []
        ready = [c for c in told if c["type"] == "Ready"]
        return ready and ready[0]["reason"] != "Unknown" and told
    told = w.process.wait_for(done, f"{user} to be settled")
    return next((c for c in told if c["type"] == "Refused" and c["status"] == "True"), None)


def as_user(world, name, org=()):
    return Client(world.api.port, tls_context(world.api.ca, world.api.ca.client(name, org=org)))


# --- roles ---

# Rule, and where the role would be bound.
DANGERS = {
    "everything": (rule(["*"], ["*"], "*"), {"namespaces": ["team-a"]}),
    "bind": (rule(["bind"], ["clusterroles"], V), {"namespaces": ["team-a"]}),
    "impersonate": (rule(["impersonate"], ["users"]), {"namespaces": ["team-a"]}),
    "labels": (rule(["patch"], ["namespaces"]), {"namespaces": ["team-a"]}),
    "exec": (rule(["create"], ["*/exec"]), {"scope": "cluster"}),
    "secrets": (rule(["get", "list"], ["secrets"]), {"scope": "cluster"}),
    "webhooks": (rule(["*"], ["*"], "admissionregistration.k8s.io"), {"scope": "cluster"}),
}


@pytest.mark.parametrize("what", DANGERS)
def test_a_dangerous_role_under_a_harmless_name(world, start, what):
    content, where = DANGERS[what]
    start.role("harmless-reader", [content])
    w = start([give("bad", "harmless-reader", **where), TEAM])
    refused = settled(world, w, "alice")
    assert refused["reason"] == "DangerousRole" and "harmless-reader" in refused["message"]
    # The rest of what is due is there.
    assert world.grants("team-a") == {("team-a", "view", "alice")}
    assert w.process.wait_for(lambda: [e for e in world.events("RefusedPrivilegedRole")
                                       if e["regarding"]["name"] == key("ldap:corp", "alice")], "the event")


def test_a_role_that_only_aggregates_danger(world, start):
    """Nobody has copied the rules: none of the role's own is dangerous."""
    start.role("collector", gathers=[{"matchLabels": {"site/collect": "yes"}}])
    start.role("hidden", [rule(["*"], ["*"], "*")], {"site/collect": "yes"})
    w = start([give("bad", "collector", namespaces=["team-a"])])
    assert settled(world, w, "alice")["reason"] == "DangerousRole"
    assert not world.grants("team-a")


def test_a_role_that_becomes_dangerous_is_taken_back(world, start):
    start.role("worker-role", [rule(["get"], ["pods"])])
    w = start([give("roles", "worker-role", namespaces=["team-a"])])
    assert settled(world, w, "alice") is None
    assert world.grants("team-a") == {("team-a", "worker-role", "alice")}
    world.api.patch(f"{RBAC}/clusterroles/worker-role", {"rules": [rule(["*"], ["*"], "*")]})
    w.process.signal(signal.SIGHUP)  # now, and not within a minute
    w.process.wait_for(lambda: not world.grants("team-a"), "the binding to be taken back")
    assert w.logged('"msg":"grant refused","user":"alice"'), "nobody was told why"
    w.process.wait_for(lambda: w.metric("portcullis_sync_refused_total", '{reason="dangerousRole"}') > 0, "the count")
    w.process.wait_for(lambda: [e for e in world.events("RefusedPrivilegedRole") if "worker-role" in e["note"]], "the event")
    assert settled(world, w, "bob")["reason"] == "DangerousRole"
    assert not world.grants("team-a")
    # And back.
    world.api.patch(f"{RBAC}/clusterroles/worker-role", {"rules": [rule(["get"], ["pods"])]})
    w.process.signal(signal.SIGHUP)
    w.process.wait_for(lambda: len(world.grants("team-a")) == 2, "both bindings")


def test_a_role_that_is_not_there_is_not_bound_in_advance(world, start):
    """Whoever makes a role of that name later would decide what the binding gives."""
    w = start([give("later", "not-yet", namespaces=["team-a"]), TEAM])
    w.spool.put("alice", ["devs"])
    w.process.wait_for(lambda: world.grants("team-a") == {("team-a", "view", "alice")}, "what is due otherwise")
    start.role("not-yet", [rule(["*"], ["*"], "*")])
    w.process.signal(signal.SIGHUP)
    w.process.wait_for(lambda: (world.condition("alice", "Refused") or {}).get("reason") == "DangerousRole", "the refusal")
    assert world.grants("team-a") == {("team-a", "view", "alice")}


def test_a_role_that_disappears_takes_nothing_away(world, start):
    start.role("passing", [rule(["get"], ["pods"])])
    w = start([give("roles", "passing", namespaces=["team-a"])])
    assert settled(world, w, "alice") is None
    world.api.delete(f"{RBAC}/clusterroles/passing")
    w.process.signal(signal.SIGHUP)
    w.process.wait_for(lambda: world.condition("alice", "Ready")["status"] == "False", "the record to tell")
    assert world.grants("team-a") == {("team-a", "passing", "alice")}


def test_privileged_grants_need_the_template_and_the_process(world, start):
    start.role("strong", [rule(["*"], ["*"], "*")])
    template = give("strong", "strong", namespaces=["team-a"], allowPrivileged=True)
    w = start([template])
    assert settled(world, w, "alice")["reason"] == "DangerousRole"
    w.stop()
    w = start([give("strong", "strong", namespaces=["team-a"])], "--allow-privileged-grants")
    assert settled(world, w, "bob")["reason"] == "DangerousRole"
    w.stop()
    assert not world.grants("team-a")
    w = start([template], "--allow-privileged-grants")
    assert settled(world, w, "carol") is None
    assert ("team-a", "strong", "carol") in world.grants("team-a")


# --- subjects and namespaces ---

def test_reserved_subjects(world, start):
    """Whatever the directory calls them: no user and no group of the control plane is bound."""
    groups = ["system:masters", "system:nodes", "kubeadm:cluster-admins", "devs"]
    everyone = {"name": "everyone", "match": {"groups": ["*"]}, "grants": [
        {"clusterRole": "view", "scope": "cluster", "subject": {"kind": "Group", "name": "${group}"}}]}
    w = start([everyone, TEAM])
    assert settled(world, w, "alice", groups)["reason"] == "ReservedSubject"
    for user in ("system:admin", "SYSTEM:apiserver", "kubernetes-admin", "kubeadm:x"):
        assert settled(world, w, user, ["devs"])["reason"] == "ReservedSubject"
    assert world.grants("team-a") == {(None, "view", "devs"), ("team-a", "view", "alice")}


def test_reserved_namespaces(world, start):
    mine = {"name": "mine", "match": {"groups": ["*"]}, "grants": [{"clusterRole": "view", "namespaces": ["${group}"]}]}
    reserved = ["kube-system", "kube-public", "default", "portcullis-system", "openshift-config", "team-b"]
    w = start([mine], protectedNamespaces=["team-b"])
    assert settled(world, w, "alice", [*reserved, "team-a"])["reason"] == "ReservedNamespace"
    assert world.grants("team-a", *reserved) == {("team-a", "view", "alice")}


# --- names ---

def test_two_names_with_one_slug_never_share_a_namespace(world, start):
    own = {"name": "own", "match": {"groups": ["devs"]},
           "namespace": {"name": "u-${user.slug}-${user.hash6}"}, "grants": [{"clusterRole": "edit"}]}
    w = start([own])
    users = ["Ann.Lee", "ann-lee", "ANN LEE", "ann_lee@corp"]
    spaces = {}
    for user in users:
        assert settled(world, w, user) is None, user
        (spaces[user],) = [b["name"] for b in world.record(user)["status"]["bindings"] if b["kind"] == "Namespace"]
    assert len(set(spaces.values())) == len(users) and all(s.startswith("u-ann-lee") for s in spaces.values())
    for user, space in spaces.items():
        assert world.grants(space) == {(space, "edit", user)}


def test_a_namespace_that_was_there_is_nobodys(world, start):
    """Whoever guesses the name of a user's namespace and makes it first keeps what is in it."""
    own = {"name": "own", "match": {"groups": ["devs"]}, "namespace": {"name": "u-${user.slug}-${user.hash10}"},
           "grants": [{"clusterRole": "edit"}]}
    space = f"u-victim-{key('ldap:corp', 'victim')[:10]}"
    made = world.api.create("/api/v1/namespaces", {"metadata": {
        "name": space, "labels": {"who": "somebody-else"},
        "annotations": {"portcullis.dev/user": "mallory", "portcullis.dev/provider": "ldap:corp"}}})
    w = start([own])
    w.spool.put("victim", ["devs"])
    w.process.wait_for(lambda: (world.condition("victim", "Conflict") or {}).get("status") == "True", "the conflict")
    assert world.api.get(f"/api/v1/namespaces/{space}") == made
    assert not world.grants(space)
    assert w.process.wait_for(lambda: world.events("NamespaceCollision"), "the event")


# --- labels, owners and names of ours on what is not ours ---

def test_marks_alone_make_nothing_ours(world, start):
    """Objects with our labels, annotations, owner and name, in no inventory, survive all that happens to the user."""
    w = start([TEAM])
    assert settled(world, w, "alice") is None
    record = world.record("alice")
    ((_, name), real), = world.bindings("team-a").items()
    meta = {"labels": real["metadata"]["labels"], "annotations": real["metadata"]["annotations"],
            "ownerReferences": real["metadata"]["ownerReferences"]}
    fakes = ["precious", "portcullis:team:aaaaaaaaaa", name + "x"]
    for fake in fakes:
        world.bind("team-a", fake, "view", subject("carol"), meta=meta)
    w.spool.put("alice", ["others"], seen_at=1700000001)
    w.process.wait_for(lambda: world.api.get(binding_path("team-a", name)) is None, "the real one to go")
    w.process.wait_for(lambda: not world.record("alice")["status"].get("bindings"), "an empty inventory")
    assert {n for _, n in world.bindings("team-a")} == set(fakes)
    assert world.record("alice")["metadata"]["uid"] == record["metadata"]["uid"]


def test_an_inventory_cannot_be_made_to_remove_what_is_not_ours(world, start):
    """Whoever writes into a record's status does not use the worker's right to delete."""
    w = start([TEAM])
    assert settled(world, w, "alice") is None
    precious = world.bind("team-a", "precious", "edit", subject("carol"))
    named = world.bind("team-a", "portcullis:team:bbbbbbbbbb", "edit", subject("carol"))
    entries = [{"kind": "RoleBinding", "namespace": "team-a", "name": o["metadata"]["name"],
                "uid": o["metadata"]["uid"], "template": "team", "hash": "0" * 16} for o in (precious, named)]
    have = world.record("alice")["status"]["bindings"]
    with world.api.client() as c:
        got = c.request("PATCH", f"{RECORDS}/{key('ldap:corp', 'alice')}/status", headers=MERGE,
                        json={"status": {"bindings": have + entries}})
        assert got.status == 200, got
    w.process.wait_for(lambda: world.record("alice")["status"]["bindings"] == have, "the inventory to be put right")
    for o in (precious, named):
        assert world.api.get(binding_path("team-a", o["metadata"]["name"])) == o
        world.api.delete(binding_path("team-a", o["metadata"]["name"]))


def test_somebody_elses_object_under_our_name_is_left_alone(world, start):
    w = start([TEAM])
    assert settled(world, w, "alice") is None
    ((_, name), real), = world.bindings("team-a").items()
    w.stop()
    world.api.delete(binding_path("team-a", name))
    taken = world.bind("team-a", name, "edit", subject("mallory"), meta={"labels": real["metadata"]["labels"]})
    w = start([TEAM])
    w.process.wait_for(lambda: (world.condition("alice", "Conflict") or {}).get("status") == "True", "the conflict")
    assert world.api.get(binding_path("team-a", name)) == taken
    world.api.delete(binding_path("team-a", name))


# --- people with rights of their own ---

ADMIN = {"name": "admins", "match": {"groups": ["admins"]},
         "grants": [{"clusterRole": "admin", "namespaces": ["team-b"]}]}


@pytest.fixture
def admin(world, start):
    """A person with admin in team-b by a template: client, name of the binding, the worker."""
    w = start([ADMIN])
    assert settled(world, w, "eve", ["admins"]) is None
    ((_, name), _), = world.bindings("team-b").items()
    with as_user(world, "eve") as c:
        wait_until(lambda: c.get(binding_path("team-b")).status == 200, "eve's rights")
        yield c, name, w


EDITS = {
    "another subject": {"subjects": [subject("eve"), subject("mallory")]},
    "a group": {"subjects": [subject("system:authenticated", "Group")]},
    "nobody": {"subjects": []},
    "labels": {"metadata": {"labels": {"app.kubernetes.io/managed-by": None, "portcullis.dev/record": None}}},
    "another record": {"metadata": {"labels": {"portcullis.dev/record": key("ldap:corp", "mallory")}}},
    "another owner": {"metadata": {"annotations": {"portcullis.dev/user": "mallory"}}},
    "no marks at all": {"metadata": {"labels": None, "annotations": None}},
}


@pytest.mark.parametrize("what", EDITS)
def test_a_namespaces_admin_who_edits_the_own_binding(world, admin, what):
    c, name, w = admin
    path = binding_path("team-b", name)
    was = world.api.get(path)
    assert c.request("PATCH", path, json=EDITS[what], headers=MERGE).status == 200

    def whole():
        have = world.api.get(path)
        return all(have.get(k) == was[k] for k in ("subjects", "roleRef")) and \
            all(have["metadata"].get(k) == was["metadata"].get(k) for k in ("labels", "annotations"))
    w.process.wait_for(whole, "the repair")
    assert world.grants("team-b") == {("team-b", "admin", "eve")}


STAYS = {
    "keep": {"labels": {"portcullis.dev/keep": "true"}},
    "finalizer": {"finalizers": ["example.com/mine"]},
    "both": {"finalizers": ["example.com/mine", "example.com/other"], "labels": {"portcullis.dev/keep": "true"}},
}


@pytest.mark.parametrize("what", STAYS)
def test_a_namespaces_admin_cannot_stay_beyond_what_is_due(world, admin, what):
    """Neither a label nor a finalizer on the own binding outlives the group."""
    c, name, w = admin
    path = binding_path("team-b", name)
    assert c.request("PATCH", path, json={"metadata": STAYS[what]}, headers=MERGE).status == 200
    w.spool.put("eve", ["others"], seen_at=1700000001)
    w.process.wait_for(lambda: world.api.get(path) is None, "the binding to go")
    w.process.wait_for(lambda: not world.record("eve")["status"].get("bindings"), "an empty inventory")


def test_a_namespaces_admin_cannot_stay_by_deleting(world, admin):
    """A binding that terminates grants still: it is not left to who put a finalizer on it."""
    c, name, w = admin
    path = binding_path("team-b", name)
    assert c.request("PATCH", path, json={"metadata": STAYS["finalizer"]}, headers=MERGE).status == 200
    assert c.request("DELETE", path).status == 200
    assert world.api.get(path)["metadata"]["deletionTimestamp"]
    w.spool.put("eve", ["others"], seen_at=1700000001)
    w.process.wait_for(lambda: world.api.get(path) is None, "the binding to go")
    w.process.wait_for(lambda: not world.record("eve")["status"].get("bindings"), "an empty inventory")


def test_a_namespaces_admin_who_deletes_the_own_binding(world, admin):
    c, name, w = admin
    was = world.api.get(binding_path("team-b", name))["metadata"]["uid"]
    assert c.request("DELETE", binding_path("team-b", name)).status == 200
    w.process.wait_for(lambda: (world.api.get(binding_path("team-b", name)) or {"metadata": {"uid": was}})[
        "metadata"]["uid"] != was, "the binding to be made again")
    assert world.grants("team-b") == {("team-b", "admin", "eve")}


def test_a_namespaces_admin_cannot_stop_the_worker_by_size(world, admin):
    """etcd takes 1.5 MB; the apiserver writes each `<` of that in six bytes."""
    c, name, w = admin
    big = {"metadata": {"name": "portcullis:big", "labels": {"app.kubernetes.io/managed-by": "portcullis"}},
           "roleRef": role_ref("view"), "subjects": [subject("<" * 1_400_000)]}
    assert c.post(binding_path("team-b"), json=big).status == 201
    path = binding_path("team-b", name)
    # Its own one too, and out of the sight of the watch.
    huge = {"subjects": big["subjects"], "metadata": {"labels": None}}
    assert c.request("PATCH", path, json=huge, headers=MERGE).status == 200
    w.process.wait_for(lambda: world.grants("team-b") >= {("team-b", "admin", "eve")}, "the repair")
    assert w.stop() == 0
    assert c.request("PATCH", path, json=huge, headers=MERGE).status == 200
    w.start()
    w.process.wait_for(lambda: world.grants("team-b") >= {("team-b", "admin", "eve")}, "the repair after a restart")
    assert c.request("DELETE", binding_path("team-b", "portcullis:big")).status == 200


def test_what_a_namespaces_admin_cannot_do(world, admin):
    """Neither by the API nor by way of the worker."""
    c, _, _ = admin
    body = {"metadata": {"name": "more"}, "roleRef": role_ref("cluster-admin"), "subjects": [subject("eve")]}
    assert c.post(binding_path("team-b"), json=body).status == 403
    assert c.post(binding_path("team-a"), json={**body, "roleRef": role_ref("view")}).status == 403
    assert c.post(binding_path(None), json={**body, "roleRef": role_ref("view")}).status == 403
    labels = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
    for path in ("/api/v1/namespaces/team-b", "/api/v1/namespaces/team-b/status"):
        assert c.request("PATCH", path, json=labels, headers=MERGE).status == 403
    record = world.record("eve")
    path = f"{RECORDS}/{record['metadata']['name']}"
    groups = {"spec": {"identity": {**record["spec"]["identity"], "groups": ["admins", "devs"]}}}
    assert c.request("PATCH", path, json=groups, headers=MERGE).status == 403
    assert c.request("PATCH", f"{path}/status", json={"status": {"bindings": []}}, headers=MERGE).status == 403
    assert c.request("DELETE", path).status == 403


def own_record(user, groups, name=None):
    return {"apiVersion": "portcullis.dev/v1alpha1", "kind": "UserRecord",
            "metadata": {"name": name or key("ldap:corp", user)},
            "spec": {"identity": {"provider": "ldap:corp", "username": user, "groups": groups},
                     "observedAt": "2026-11-23T10:00:00Z"}}


def test_records_are_made_by_those_who_may(world, start):
    """A stranger cannot; one who may is told by the name that a record must have."""
    w = start([TEAM])
    with as_user(world, "mallory", org=("devs",)) as c:
        assert c.post(RECORDS, json=own_record("mallory", ["devs"])).status == 403
    # Another's name for it: the record of alice would be mallory's.
    world.api.create(RECORDS, own_record("mallory", ["devs"], name=key("ldap:corp", "alice")), ok=(201,))
    world.api.create(RECORDS, own_record("carol", ["devs"]), ok=(201,))
    w.process.wait_for(lambda: world.phase("carol") == "Ready", "carol's record")
    assert world.grants("team-a") == {("team-a", "view", "carol")}
