"""Two replicas of the worker on a real apiserver through what befalls clusters: whoever leads, whatever fails, the
cluster comes to hold just what is due, nothing twice; nobody else's object is touched, and none but the leader writes.
"""
import itertools

import pytest

from support.fault_proxy import Answer, Cut, Hold
from support.proc import wait_until
from support.sync_replicas import LEASE, RBAC, RECORDS, WORKERS, Cluster, Replica, now
from support.spool import key

DEVS = {"name": "devs", "match": {"groups": ["dev-*"]},
        "grants": [{"clusterRole": "dev", "namespaces": ["team-${group|replace:dev-:}"]},
                   {"clusterRole": "see", "scope": "cluster", "subject": {"kind": "Group", "name": "${group}"}}]}
NOBODY = {"name": "nobody", "match": {"groups": ["no-such-group"]},
          "grants": [{"clusterRole": "see", "scope": "cluster"}]}


class World:
    """Both replicas, and who is told to be in which groups."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.replicas = {n: Replica(cluster, n, [DEVS]) for n in cluster.names}
        self.people = {}
        self.clock = itertools.count(now() - 100000)
        self.steady = {}

    def stop(self):
        codes = [(r.stop(), r) for r in self.replicas.values()]
        for code, r in codes:
            assert code == 0, f"exit {code}\n{r.process.tail()}"

    # --- people ---
    def put(self, replica, user, *groups):
        """A login that the spool of REPLICA tells of."""
        self.people[user] = groups
        replica.worker.spool.put(user, groups, seen_at=next(self.clock))

    def want(self):
        due = [(f"team-{g[4:]}", "dev", "User", u) for u, groups in self.people.items() for g in groups]
        return due + [("", "see", "Group", g) for g in sorted({g for gs in self.people.values() for g in gs})]

    def settle(self):
        """What is due is there; so far nothing went wrong on the way."""
        self.cluster.expect(self.want())
        self.cluster.check_foreign()
        for user, uid in self.steady.items():
            assert self.uids()[user] == uid, f"{user}'s binding was made anew"
        assert self.cluster.prove_one_writer() > 0

    def quiet(self):
        """Settled, and every record says so: no write of anybody's is under way."""
        self.settle()

        def told():
            have = {o["spec"]["identity"]["username"]: o for o in self.cluster.api.get(RECORDS)["items"]}
            for user, groups in self.people.items():
                meta, status = have[user]["metadata"], have[user].get("status", {})
                listed = [b for b in status.get("bindings", []) if b.get("uid")]
                if status.get("observedGeneration") != meta["generation"] or len(listed) != 2 * len(groups) or \
                        len(status.get("bindings", [])) != len(listed):
                    return False
            return True
        wait_until(told, "all records to tell of what is due")

    def uids(self):
        return {m[3]: o["metadata"]["uid"] for m, o in self.cluster.bindings() if m[2] == "User"}

    # --- who leads ---
    def leader(self):
        """The replica that leads, and the other."""
        def look():
            user = self.cluster.leader()
            return next((r for r in self.replicas.values() if r.user == user), None)
        leading = wait_until(look, "somebody to lead")
        return leading, next(r for r in self.replicas.values() if r is not leading)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("ha"), ["a", "b"]) as cluster:
        w = World(cluster)
        try:
            for r in w.replicas.values():
                r.start()
            leading, _ = w.leader()
            for user in ("steady-1", "steady-2"):
                w.put(leading, user, "dev-a")
            w.put(leading, "steady-3", "dev-b")
            w.settle()
            w.steady = {u: uid for u, uid in w.uids().items() if u.startswith("steady")}
            yield w
        finally:
            w.stop()


@pytest.fixture(autouse=True)
def calm(world):
    """Each test begins with two well replicas, and ends with the proof."""
    for r in world.replicas.values():
        assert r.process.running
    world.leader()
    yield
    for r in world.replicas.values():
        r.proxy.clear()
        r.proxy.restore()
        r.thaw()


def release(rule):
    rule.drop()
    rule.action.release.set()


def in_the_middle(world, who, people=12):
    """(leader, the other, rule) when all of the leader's reconcilers wait for answers to their writes of bindings. A
    leader that loses its Lease for slowness before that was none."""
    for groups in itertools.cycle(("dev-a", "dev-b")):
        leading, other = world.leader()
        held = leading.proxy.on("PATCH", "rolebindings/", Hold(), times=WORKERS)
        for i in range(people):
            world.put(other, f"{who}-{i}", groups)
        wait_until(lambda l=leading, h=held: h.hits >= WORKERS or world.cluster.leader() != l.user,
                   lambda l=leading: f"reconcilers in the middle of their work\n{l.proxy.told()}")
        if held.hits >= WORKERS:
            return leading, other, held
        release(held)
    raise AssertionError


# The order is for speed: what makes watches wait longer and longer comes before what starts replicas anew.

def test_watches_cut_in_the_middle_of_an_event(world):
    leading, _ = world.leader()
    rules = [leading.proxy.on("GET", r"/userrecords\?.*watch=", Cut(200), times=1),
             leading.proxy.on("GET", r"/rolebindings\?.*watch=", Cut(200), times=1)]
    wait_until(lambda: leading.proxy.kick(r"[?&]watch="), "a watch to be cut")
    for i in range(4):
        world.put(leading, f"watch-{i}", "dev-a")
    world.settle()
    # Changes by others are seen through broken watches too.
    target = next(o for m, o in world.cluster.bindings() if m[3] == "watch-0")
    path = f"{RBAC}/namespaces/team-a/rolebindings/{target['metadata']['name']}"
    world.cluster.api.delete(path)
    wait_until(lambda: world.cluster.api.get(path), "the binding to be made again")
    world.cluster.api.patch(path, {"subjects": []})
    world.settle()
    for rule in rules:
        rule.wait()


def test_apiserver_dies_under_load_and_comes_back_without_history(world):
    """The versions that the watches know are too old for the new process: 410, and all is listed anew."""
    leading, other = world.leader()
    for r in (leading, other):
        r.proxy.forget()
    for i in range(20):
        world.put((leading, other)[i % 2], f"load-{i}", "dev-a" if i % 3 else "dev-b")
    wait_until(lambda: any(r.proxy.seen("PATCH", "rolebindings/") for r in (leading, other)), "the load")
    world.cluster.api.process.kill()
    world.cluster.etcd.compact()
    for r in (leading, other):
        r.proxy.forget()
    for i in range(0, 20, 2):
        world.put((leading, other)[i % 2], f"load-{i}", "dev-c")
    world.cluster.restart_api()
    world.settle()
    leading.proxy.wait_request("GET", r"/userrecords\?(?!.*watch=)")  # listed anew


def test_leader_killed_in_the_middle(world):
    leading, other, held = in_the_middle(world, "killed")
    leading.process.kill()
    release(held)
    world.cluster.wait_leader(other)
    world.put(other, "killed-0")
    world.put(other, "killed-1", "dev-b")
    world.settle()
    leading.start()
    world.put(leading, "killed-2", "dev-c")
    world.settle()


def test_clean_stop_hands_over_at_once(world):
    leading, other = world.leader()
    assert leading.worker.stop() == 0
    world.cluster.wait_leader(other)
    turns = world.cluster.leaders()
    assert [u for _, u in turns[-2:]] == [None, other.user]
    world.put(other, "stopped-1", "dev-a")
    world.settle()
    leading.start()


def test_leader_paused_in_the_middle_writes_no_more(world):
    leading, other, held = in_the_middle(world, "paused")
    leading.freeze()
    lost = leading.told("no longer leading")
    world.cluster.wait_leader(other)
    # What the paused one was about to make is due no more: a late write of it would stay.
    for i in range(0, 12, 2):
        world.put(other, f"paused-{i}")
    world.put(other, "paused-1", "dev-c")
    world.settle()
    release(held)
    leading.thaw()
    wait_until(lambda: leading.told("no longer leading") > lost, leading.process.tail)
    world.put(leading, "paused-3", "dev-b")  # its spool's hand-over goes on; the other one acts on it
    # It leads again when it is its turn, and only then writes. The other one is not in the middle of anything.
    world.quiet()
    other.freeze()
    world.cluster.wait_leader(leading)
    world.put(leading, "paused-5", "dev-b")
    world.settle()
    other.thaw()
    world.put(other, "paused-5", "dev-a", "dev-b")
    world.settle()


def test_network_of_the_leader_is_cut_and_comes_back(world):
    leading, other = world.leader()
    lost = leading.told("no longer leading")
    leading.proxy.cut()
    world.cluster.wait_leader(other)
    world.put(other, "cut-1", "dev-a")
    world.put(leading, "cut-2", "dev-a")  # waits in its spool
    wait_until(lambda: leading.told("no longer leading") > lost, leading.process.tail)
    leading.proxy.restore()
    world.settle()
    other.worker.wait_empty()
    leading.worker.wait_empty()


def test_lease_deleted_by_an_admin(world):
    world.leader()
    holder = world.cluster.holder()
    world.cluster.api.delete(LEASE)
    wait_until(world.cluster.holder, "a new Lease")
    assert world.cluster.holder() == holder  # its leader makes it again, nobody else may
    world.put(world.leader()[0], "deleted-1", "dev-a")
    world.settle()


def test_storm_of_429(world):
    leading, other = world.leader()
    storms = [r.proxy.on(None, ".", Answer(429, reason="TooManyRequests", retry_after=1), times=8)
              for r in (leading, other)]
    for i in range(6):
        world.put((leading, other)[i % 2], f"storm-{i}", "dev-a")
    world.put(other, "storm-0")
    world.settle()
    for storm in storms:
        storm.wait(5)


def test_probes_tell_who_leads(world):
    """Both are ready; one leads."""
    def told():
        leading, other = world.leader()
        return ("[+]leading ok" in leading.page("/readyz?verbose").text
                and "[+]standby ok" in other.page("/readyz?verbose").text
                and "\nportcullis_sync_leader 1\n" in leading.page("/metrics").text
                and "\nportcullis_sync_leader 0\n" in other.page("/metrics").text)
    wait_until(told, lambda: "\n".join(r.page("/readyz?verbose").text for r in world.replicas.values()))
    for r in world.replicas.values():
        got = r.page("/readyz")
        assert (got.status, got.text) == (200, "ok")


def test_events_tell_of_it(world):
    """Who follows the cluster sees what happened, once for all that is the same."""
    def told():
        return {(e["reason"], e["regarding"]["kind"], e["regarding"]["name"])
                for e in world.cluster.api.get("/apis/events.k8s.io/v1/namespaces/kube-system/events")["items"]
                if e["reportingController"] == "portcullis.dev/rbac-sync"}
    wait_until(lambda: ("BindingApplied", "UserRecord", key("ldap:corp", "steady-1")) in told(), "the event")
    for r in world.replicas.values():
        assert r.worker.metric("portcullis_sync_kube_events_total", '{result="refused"}') == 0


def test_no_removal_while_replicas_work_by_different_templates(world):
    leading, other = world.leader()
    world.put(leading, "dissent-1", "dev-a", "dev-b")
    world.settle()
    other.worker.write_templates([DEVS, NOBODY])

    def dissent():
        notes = world.cluster.api.get(LEASE)["metadata"].get("annotations", {})
        return notes.get("portcullis.dev/dissent")
    wait_until(dissent, "the other one to disagree")
    world.put(leading, "dissent-1", "dev-b", "dev-c")
    extra = ("team-a", "dev", "User", "dissent-1")
    world.cluster.expect(world.want() + [extra])  # the new binding is made, the old one stays
    record = world.cluster.api.get(f"{RECORDS}/{key('ldap:corp', 'dissent-1')}")
    assert record["spec"]["identity"]["groups"] == ["dev-b", "dev-c"]
    world.cluster.expect(world.want() + [extra])
    leading.worker.write_templates([DEVS, NOBODY])
    wait_until(lambda: not dissent(), "both to agree again")
    world.settle()
