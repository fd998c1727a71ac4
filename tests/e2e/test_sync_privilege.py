"""The rights that `portcullis sync rbac` prints are enough for everything the worker does, and each of them is needed."""
import copy
import itertools
import signal
import time

import pytest

from support import authorizer
from support.proc import WaitError, wait_until
from support.rbac_sync import Worker
from support.spool import key
from support.sync_world import MERGE, RECORDS, SYSTEM, SyncWorld, binding_path, rule

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/portcullis-rbac-sync"
NODE = "portcullis-intake:node-1"
QUOTA, LIMITS, POLICY = (("v1", "ResourceQuota", {"hard": {"pods": "20"}}),
                         ("v1", "LimitRange", {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}),
                         ("networking.k8s.io/v1", "NetworkPolicy", {"podSelector": {}, "policyTypes": ["Ingress"]}))
TEMPLATES = [
    {"name": "devs", "match": {"groups": ["devs"]},
     "namespace": {"name": "u-${user.slug}-${user.hash10}", "onGC": "delete", "labels": {"made": "yes"}},
     "grants": [{"clusterRole": "edit"}]},
    {"name": "team", "match": {"groups": ["team"]}, "namespaces": ["team-a"],
     "grants": [{"clusterRole": "view", "scope": "cluster"}, {"role": "local"}],
     "objects": [{"apiVersion": v, "kind": k, "metadata": {"name": "o"}, "spec": spec}
                 for v, k, spec in (QUOTA, LIMITS, POLICY)]},
]
PLURALS = {"ResourceQuota": "/api/v1/namespaces/{}/resourcequotas/{}",
           "LimitRange": "/api/v1/namespaces/{}/limitranges/{}",
           "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies/{}"}
FAST = {"leaderElection": {"enabled": True, "leaseDuration": "1s", "renewDeadline": "800ms", "retryPeriod": "100ms"},
        # Whoever was not seen for an hour is disabled, and a second later deleted.
        "gc": {"staleAfter": "0s", "disableAfter": "3600s", "deleteAfter": "3601s", "maxDeletePercent": 100,
               "window": "1s", "maxDeletesPerRun": 10000}}


class Halves:
    """Intake and reconciler as processes of their own, with users of their own; each in a fresh folder."""

    def __init__(self, folder, world):
        self.world, self.name = world, folder.name
        self.intake = Worker(folder / "intake", world.credential(NODE, org=("portcullis-intake",)), TEMPLATES,
                             mode="intake", **FAST)
        self.reconcile = Worker(folder / "reconcile", world.kubeconfig, TEMPLATES, mode="reconcile", **FAST)
        self.new, self.old, self.gone = (f"{who}-{self.name}" for who in ("new", "old", "gone"))

    def rights(self):
        return {"intake": self.world.rights(self.intake),
                "reconcile": self.world.rights(self.reconcile, "--subject", f"User:{self.world.user}")}

    def stop(self):
        for w in (self.intake, self.reconcile):
            assert w.stop() in (0, None, -9), w.process.output()


class Denied(Exception):
    """What had to happen did not, because a right was missing."""


class Scenario:
    """Everything the worker does, on users of its own."""

    def __init__(self, halves):
        self.h, self.world, self.api = halves, halves.world, halves.world.api
        self.start = self.world.audit_end()
        self.new, self.old, self.gone = halves.new, halves.old, halves.gone

    def refusals(self):
        """What the apiserver refused either half since the start: (verb, group, resource)."""
        return [(e["verb"], e["objectRef"].get("apiGroup", ""),
                 "/".join(e["objectRef"][k] for k in ("resource", "subresource") if k in e["objectRef"]))
                for user in (NODE, self.world.user) for e in self.world.audit(user, self.start)
                if e["responseStatus"]["code"] == 403]

    def until(self, check, what):
        def look():
            if self.refusals():
                raise Denied
            return check()
        return wait_until(look, lambda: f"{what}\n{self.h.intake.process.tail()}\n{self.h.reconcile.process.tail()}")

    def inventory(self, user=None):
        return ((self.world.record(user or self.new) or {}).get("status") or {}).get("bindings") or []

    @staticmethod
    def path(b):
        name, ns = b["name"], b.get("namespace")
        if b["kind"] in PLURALS:
            return PLURALS[b["kind"]].format(ns, name)
        return f"/api/v1/namespaces/{name}" if b["kind"] == "Namespace" else binding_path(ns, name)

    def run(self):
        now = int(time.time())
        self.h.intake.spool.put(self.new, ["devs", "team"], seen_at=now)
        self.h.intake.spool.put(self.gone, ["devs"], seen_at=now)
        self.h.intake.spool.put(self.old, ["devs"], seen_at=1700000000)
        self.h.intake.process.start()
        self.h.reconcile.process.start()
        for user in (self.new, self.gone):
            self.until(lambda u=user: self.world.phase(u) == "Ready", f"{user} to have everything")
        self.until(self.h.intake.spool.empty, "the spool to be empty")
        self.has_all()
        self.repairs()
        self.leaves(self.contends(now))
        self.goes()
        self.tells()

    def has_all(self):
        made = self.inventory()
        assert sorted(b["kind"] for b in made) == [
            "ClusterRoleBinding", "LimitRange", "Namespace", "NetworkPolicy", "ResourceQuota", "RoleBinding",
            "RoleBinding"]
        for b in made:
            assert self.api.get(self.path(b)), b

    def repairs(self):
        """Each kind of object, after an admin's hand; twice, since the second event makes a series of the first."""
        for b in 2 * self.inventory():
            path = self.path(b)
            was = self.api.get(path)["metadata"]
            if b["kind"] == "Namespace":
                self.api.patch(path, {"metadata": {"labels": {"made": "no"}}})
                self.until(lambda: self.api.get(path)["metadata"]["labels"]["made"] == "yes", f"{path} repaired")
            else:
                self.api.delete(path)
                self.until(lambda: (self.api.get(path) or {"metadata": was})["metadata"]["uid"] != was["uid"],
                           f"{path} to be made again")

    def contends(self, now):
        """Somebody else writes the record just when the halves do, until each has to look what stands there. The time then."""
        path = f"{RECORDS}/{key('ldap:corp', self.new)}"
        tries = itertools.count(1)

        def looked(user):
            return any(e["verb"] == "get" and e["objectRef"]["resource"] == "userrecords"
                       for e in self.world.audit(user, self.start))

        def once():
            with self.api.client() as c:
                for n in itertools.islice(tries, 30):
                    self.h.intake.spool.put(self.new, ["devs", "team"], seen_at=now + n, uid=str(n))
                    got = c.request("PATCH", path, json={"metadata": {"annotations": {"n": str(n)}}}, headers=MERGE)
                    assert got.status == 200, got
            return looked(NODE) and looked(self.world.user)
        self.until(once, "writes of both halves between reading and writing")
        return now + next(tries)

    def leaves(self, now):
        """Out of the group: what was made goes, but for the namespace."""
        gone = [b for b in self.inventory() if b["kind"] != "Namespace"]
        self.h.intake.spool.put(self.new, ["others"], seen_at=now)
        for b in gone:
            self.until(lambda p=self.path(b): self.api.get(p) is None, f"{b} to go")

    def goes(self):
        """One who was not seen for years goes with the record; one whose record an admin deletes goes with the namespace."""
        self.until(lambda: self.world.record(self.old) is None, "the old record to be deleted")
        (space,) = [self.path(b) for b in self.inventory(self.gone) if b["kind"] == "Namespace"]
        self.api.delete(f"{RECORDS}/{key('ldap:corp', self.gone)}")
        self.until(lambda: "deletionTimestamp" in self.api.get(space)["metadata"], f"{space} to go")

    def tells(self):
        self.until(lambda: any(e.get("series") for e in self.world.events("DriftRepaired")), "a series of events")
        assert self.api.get(LEASE)["spec"]["holderIdentity"]


@pytest.fixture(scope="module")
def world(tmp_path_factory, etcd_server):
    with SyncWorld(tmp_path_factory.mktemp("privilege"), etcd_server) as w:
        w.api.namespace("team-a")
        w.role("local", [rule(["get"], ["pods"])], namespace="team-a")
        yield w


@pytest.fixture
def halves(tmp_path_factory, world):
    made = []

    def make():
        made.append(Halves(tmp_path_factory.mktemp("halves"), world))
        return made[-1]

    yield make
    for h in made:
        h.stop()


def test_they_are_enough_for_everything(world, halves):
    h = halves()
    for docs in h.rights().values():
        world.grant(docs)
    s = Scenario(h)
    s.run()
    h.stop()
    assert s.refusals() == []
    assert h.reconcile.metric("portcullis_sync_self_check_denied") == 0


def cuts(docs):
    """Each right alone: (role, index of the rule, verb, name or None)."""
    for doc in docs:
        for i, r in enumerate(doc.get("rules", [])):
            for verb in r["verbs"]:
                for name in r.get("resourceNames", [None]):
                    yield doc, i, verb, name


def without(doc, i, verb, name):
    """The rules of DOC without just that right."""
    rules = copy.deepcopy(doc["rules"])
    cut = rules[i]
    if name is not None and len(cut["resourceNames"]) > 1:
        rules.append({**cut, "resourceNames": [n for n in cut["resourceNames"] if n != name], "verbs": [verb]})
    cut["verbs"] = [v for v in cut["verbs"] if v != verb]
    return [r for r in rules if r["verbs"]]


def clean(world):
    """Nothing is left of the users before, so that everything has to be made anew."""
    world.delete_records()
    world.delete_bindings("team-a")
    with world.api.client() as c:
        for path in PLURALS.values():
            assert c.request("DELETE", path.format("team-a", "")).status == 200


def refused(r, verb):
    """How the audit log shows the refusal: what is made by server-side apply is a patch, as bindings are."""
    group, resource = r["apiGroups"][0], r["resources"][0]
    if verb == "bind":
        return {("patch", group, "rolebindings"), ("patch", group, "clusterrolebindings")}
    return {(v, group, resource) for v in ({"create", "patch"} if verb == "create" else {verb})}


def in_force(world, docs, what, allowed):
    """The apiserver knows that the right WHAT was taken away, or that it was given back."""
    doc, i, verb, name = what
    cut = {**doc["rules"][i], "verbs": [verb], **({"resourceNames": [name]} if name else {})}
    for subject, ns, role in authorizer.bound(docs):
        if role is doc:
            authorizer.wait_verdict(world.api, subject, authorizer.questions([cut], ns), allowed)


def misses(world, halves, half, what):
    """(the scenario met just that refusal, the check at start told of it) without the right WHAT."""
    doc, i, verb, name = what
    r, h = doc["rules"][i], halves()
    worker, s = getattr(h, half), Scenario(h)
    try:
        s.run()
        # What is told of the worker itself is told again when it is asked to look again.
        worker.process.signal(signal.SIGHUP)
        wait_until(s.refusals, "a refusal")
    except Denied:
        pass
    except WaitError:
        return False, True
    met = bool(refused(r, verb) & set(s.refusals()))
    group, resource, sub = r["apiGroups"][0], *(r["resources"][0].split("/") + [""])[:2]
    want = f'"cannot":"{verb} {resource}{"/" if sub else ""}{sub}{"." if group else ""}{group}' \
           f'{" " + name if name else ""}{" in " + doc["metadata"]["namespace"] if "namespace" in doc["metadata"] else ""}"'
    worker.process.wait_for(lambda: "self-check: " in worker.process.output(), "the self-check")
    told = worker.process.output().count('"cannot":') == 1 and want in worker.process.output()
    h.stop()
    return met, told


@pytest.mark.parametrize("half", ["intake", "reconcile"])
def test_each_of_them_is_needed(world, halves, half):
    """Without any one right the worker meets a refusal, which the check at start foretold."""
    rights = halves().rights()
    for docs in rights.values():
        world.grant(docs)
    found = {}
    for doc, i, verb, name in cuts(rights[half]):
        clean(world)
        if doc["rules"][i]["resources"] == ["leases"]:
            world.api.delete(LEASE)
        world.api.patch(world.role_path(doc), {"rules": without(doc, i, verb, name)})
        in_force(world, rights[half], (doc, i, verb, name), False)
        key = (doc["metadata"].get("namespace"), doc["rules"][i]["resources"][0], verb, name)
        found[key] = misses(world, halves, half, (doc, i, verb, name))
        world.api.patch(world.role_path(doc), {"rules": doc["rules"]})
        in_force(world, rights[half], (doc, i, verb, name), True)
    assert len(found) > (4 if half == "intake" else 50)
    assert not {k: v for k, v in found.items() if v != (True, True)}
