"""Users who leave, on a real kube-apiserver: phases, directories, limits, confirmation and undo. The worker has the
rights that `portcullis sync rbac` prints for it, and no others."""
import json
import time

import pytest
import yaml

from support import authorizer, kubeconfig, pki
from support.apiserver import ApiServer
from support.fakeldap import FakeLdap, Hangup, entry, search_done
from support.kubectl import Kubectl
from support.paths import program
from support.proc import run, wait_until
from support.rbac_sync import RBAC, RECORDS, Worker, aggregate, install_crd
from support.spool import key

OURS = "?labelSelector=app.kubernetes.io/managed-by=portcullis"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/portcullis-system/leases/portcullis-rbac-sync"
NOTE = "portcullis.dev/gc-blocked"

VIEWERS = {"name": "viewers", "match": {"providers": ["*"], "groups": ["dev"]},
           "grants": [{"clusterRole": "view", "namespaces": ["team-a"], "subject": {"kind": "User"}}]}
EDITORS = {"name": "editors", "match": {"providers": ["*"], "groups": ["dev"]},
           "grants": [{"clusterRole": "edit", "namespaces": ["team-b"], "subject": {"kind": "User"}}]}
OTHERS = {"name": "others", "match": {"groups": ["nobody-is-in-it"]}, "grants": EDITORS["grants"]}

NEVER = {"staleAfter": "0s"}


@pytest.fixture(scope="module", name="cluster")
def fixture_cluster(tmp_path_factory, etcd_server):
    with ApiServer(tmp_path_factory.mktemp("cluster"), etcd_server) as api:
        aggregate(api)
        install_crd(api)
        for ns in ("team-a", "team-b", "portcullis-system"):
            api.namespace(ns)
        yield api


class Bench:
    """One worker, and the admin's view of what it does."""

    def __init__(self, cluster, folder):
        self.cluster, self.folder = cluster, folder
        self.worker = self.admin = None

    def start(self, templates=(VIEWERS, EDITORS), gc=None, **config):
        """GC: the section. The Lease's times are short."""
        worker_pair = self.cluster.ca.client("portcullis-rbac-sync", folder=self.folder / "pki")
        credentials = kubeconfig.write(self.folder / "kubeconfig", self.cluster.url, self.cluster.ca, worker_pair)
        self.admin = Kubectl(self.folder, self.cluster, "admin", pair=self.cluster.admin)
        lease = {"enabled": True, "namespace": "portcullis-system", "leaseDuration": "3s", "renewDeadline": "2s",
                 "retryPeriod": "500ms"}
        self.worker = Worker(self.folder / "worker", credentials, list(templates), leaderElection=lease,
                             gc=gc or NEVER, **config)
        rights = self.cli("rbac")
        assert rights.returncode == 0, rights.stderr
        self.admin.ok("apply", "--validate=false", "-f", "-", stdin=rights.stdout)
        authorizer.wait_rights(self.cluster, yaml.safe_load_all(rights.stdout))
        self.worker.start()
        self.worker.process.wait_line('"acting')
        return self.worker

    def cli(self, command, *args, admin=False):
        extra = [f"--kubeconfig={self.admin.config}"] if admin else []
        return run([program("portcullis"), "sync", command, f"--config={self.worker.config_path}", *extra, *args])

    def gc(self):
        """Exit code and what it tells."""
        got = self.cli("gc", "--output=json", admin=True)
        assert got.returncode in (0, 1), got.stderr
        return got.returncode, json.loads(got.stdout)

    def see(self, *users, groups=("dev",), age=0, **kw):
        for user in users:
            self.worker.spool.put(user, groups, seen_at=int(time.time()) - age, **kw)

    def see_until(self, check, what, user):
        """Sees USER each second until CHECK holds: whatever has to be found before time goes on for them is found."""
        seen = set()

        def look():
            if int(time.time()) not in seen:
                seen.add(int(time.time()))
                self.see(user)
            return check()
        self.wait(look, what)

    def record(self, user, provider="ldap:corp"):
        return self.cluster.get(f"{RECORDS}/{key(provider, user)}")

    def phase(self, user, **kw):
        return ((self.record(user, **kw) or {}).get("status") or {}).get("phase")

    def change(self, user, patch):
        return self.cluster.patch(f"{RECORDS}/{key('ldap:corp', user)}", patch)

    def bindings(self):
        """Users by the namespaces where they are bound."""
        have = {}
        for ns in ("team-a", "team-b"):
            for b in self.cluster.get(f"{RBAC}/namespaces/{ns}/rolebindings{OURS}")["items"]:
                for s in b["subjects"]:
                    have.setdefault(s["name"], set()).add(ns)
        return have

    def wait(self, check, what, **kw):
        self.worker.process.wait_for(check, what, **kw)

    def wait_phase(self, user, phase, **kw):
        self.wait(lambda: self.phase(user, **kw) == phase, f"{user} to be {phase}")

    def note(self):
        have = self.cluster.get(LEASE)
        return ((have or {}).get("metadata") or {}).get("annotations", {}).get(NOTE)

    def metric(self, name, labels=""):
        return self.worker.metric("portcullis_sync_" + name, labels)

    def events(self, reason):
        with self.cluster.client() as c:
            items = c.get("/apis/events.k8s.io/v1/events").json["items"]
        return [e for e in items if e.get("reason") == reason]

    def clean(self):
        if self.worker:
            self.worker.process.stop()
        for ns in ("team-a", "team-b"):
            self.cluster.delete(f"{RBAC}/namespaces/{ns}/rolebindings{OURS}")
        self.cluster.delete(RECORDS)
        self.cluster.delete(LEASE)


@pytest.fixture(name="bench")
def fixture_bench(cluster, tmp_path):
    b = Bench(cluster, tmp_path)
    yield b
    b.clean()


BOTH = {"team-a", "team-b"}
MANY = [f"user{i:02}" for i in range(30)]


def everybody(bench, users=MANY):
    bench.see(*users)
    bench.wait(lambda: bench.bindings() == {u: BOTH for u in users}, "all bindings")


# --- time and the admin ---

def test_stale_by_time_and_seen_again(bench):
    bench.start(gc={"staleAfter": "3s", "disableAfter": "1h"})
    bench.see_until(lambda: bench.phase("alice") == "Ready" and bench.bindings() == {"alice": BOTH}, "alice to be here",
                    "alice")
    bench.wait_phase("alice", "Stale")
    assert bench.bindings() == {"alice": BOTH}
    bench.see_until(lambda: bench.phase("alice") == "Ready", "being seen to undo it", "alice")


def test_disabled_by_time_and_the_undo(bench):
    bench.start(gc={"staleAfter": "0s", "disableAfter": "4s"})
    bench.see("kept")
    bench.wait(lambda: bench.record("kept"), "the record")
    bench.change("kept", {"metadata": {"labels": {"portcullis.dev/keep": "true"}}})
    bench.see_until(lambda: {bench.phase("alice"), bench.phase("kept")} == {"Ready"}
                    and bench.bindings() == {"alice": BOTH, "kept": BOTH}, "both to be here", "alice")
    status = bench.record("alice")["status"]
    assert status["disableAfter"] > status["lastSeen"]
    bench.wait_phase("alice", "Disabled")
    bench.wait(lambda: "alice" not in bench.bindings(), "the bindings to go")
    assert bench.bindings() == {"kept": BOTH}
    assert bench.phase("kept") == "Ready"
    record = bench.record("alice")
    assert record["spec"]["identity"]["username"] == "alice" and not record["status"].get("bindings")
    code, told = bench.gc()
    assert code == 0 and told["blocked"] is None
    assert [(u["user"], u["phase"]) for u in told["leaving"]] == [("alice", "Disabled")]
    got = bench.cli("undo", "alice", admin=True)
    assert got.returncode == 0, got.stderr
    bench.wait(lambda: bench.bindings() == {"alice": BOTH, "kept": BOTH}, "the bindings to be back")
    bench.wait_phase("alice", "Ready")
    # The word is taken back: time decides again, and so does being seen.
    assert bench.cli("undo", "alice", "--clear", admin=True).returncode == 0
    bench.wait_phase("alice", "Disabled")
    bench.see_until(lambda: bench.bindings().get("alice") == BOTH, "being seen to undo it", "alice")


def test_deleted_after_disabled(bench):
    bench.start(gc={"staleAfter": "0s", "disableAfter": "3s", "deleteAfter": "7s"})
    bench.see_until(lambda: bench.phase("alice") == "Ready", "alice to be here", "alice")
    bench.wait(lambda: bench.record("alice") is None, "the record to go")
    assert bench.bindings() == {}
    # Whoever comes back begins anew.
    bench.see_until(lambda: bench.bindings() == {"alice": BOTH}, "a new beginning", "alice")


def test_suspended_at_once_whatever_the_limit(bench):
    bench.start(gc={**NEVER, "maxDeletesPerRun": 0})
    everybody(bench, ["alice", "bob"])
    assert bench.cli("suspend", "nobody", admin=True).returncode == 1
    assert bench.cli("suspend", "alice", admin=True).returncode == 0
    bench.wait(lambda: bench.bindings() == {"bob": BOTH}, "all to be taken from alice")
    assert bench.gc()[0] == 0
    assert bench.cli("undo", key("ldap:corp", "alice"), admin=True).returncode == 0
    bench.wait(lambda: bench.bindings() == {"alice": BOTH, "bob": BOTH}, "all to be given back")


def test_two_providers_of_one_name(bench):
    bench.start()
    bench.see("alice")
    bench.see("alice", provider="dex")
    bench.wait_phase("alice", "Ready")
    bench.wait_phase("alice", "Ready", provider="dex")
    got = bench.cli("suspend", "alice", admin=True)
    assert got.returncode == 1 and "--provider dex" in got.stderr
    assert bench.cli("suspend", "alice", "--provider=dex", admin=True).returncode == 0
    bench.wait(lambda: bench.record("alice", "dex")["spec"].get("state") == "Suspended", "the state")
    assert "state" not in bench.record("alice")["spec"]


# --- limits ---

def test_a_removed_template_is_blocked_until_confirmed(bench):
    bench.start()
    everybody(bench)
    bench.worker.write_templates([VIEWERS, OTHERS])
    bench.wait(lambda: bench.note() is not None, "the note on the Lease")
    bench.wait(lambda: bench.metric("gc_blocked") == 1, "the metric")
    bench.wait(lambda: bench.metric("gc_candidates") == 30, "all candidates")
    code, told = bench.gc()
    run_id = told["blocked"]["run"]
    assert code == 1 and told["blocked"]["allowed"] == 5
    assert bench.bindings() == {u: BOTH for u in MANY}

    def conditions():
        return [c for u in MANY for c in bench.record(u)["status"].get("conditions", [])
                if c["type"] == "GCBlocked" and c["status"] == "True"]
    bench.wait(lambda: len(conditions()) == 30, "the condition on each record")
    bench.wait(lambda: bench.events("GCBlocked"), "the event")
    text = bench.cli("gc", admin=True)
    assert text.returncode == 1 and f"portcullis sync gc --confirm --run-id {run_id}" in text.stdout

    # Only the right words let it go.
    for args, code in ((["--confirm"], 2), (["--run-id", run_id], 2), (["--confirm", "--run-id", "abcdefghijkl"], 1)):
        assert bench.cli("gc", *args, admin=True).returncode == code, args
    # The worker's own credentials do not need the right to confirm; it is the admin's.
    assert bench.bindings() == {u: BOTH for u in MANY}
    got = bench.cli("gc", "--confirm", "--run-id", run_id, admin=True)
    assert got.returncode == 0, got.stderr

    def gone():
        """On a machine that stalled for a second there is another run, of those that came later."""
        left = (bench.note() or run_id).split()[0]
        if left != run_id:
            bench.cli("gc", "--confirm", "--run-id", left, admin=True)
        return bench.bindings() == {u: {"team-a"} for u in MANY}
    bench.wait(gone, "the run to go")
    bench.wait(lambda: bench.note() is None, "the note to go")
    bench.wait(lambda: bench.metric("gc_blocked") == 0, "the metric")
    bench.wait(lambda: not conditions(), "the conditions to go")
    bench.wait(lambda: bench.metric("gc_deleted_total", '{kind="RoleBinding"}') == 30, "the count")
    assert bench.gc()[0] == 0


def test_a_block_ends_with_its_cause_and_outlives_its_leader(bench):
    bench.start()
    everybody(bench)
    bench.worker.write_templates([VIEWERS, OTHERS])
    bench.wait(lambda: bench.note() is not None, "the note on the Lease")
    bench.wait(lambda: bench.metric("gc_candidates") == 30, "all candidates")
    bench.worker.process.kill()
    bench.worker.start()
    leader = bench.cluster.get(LEASE)["spec"]["holderIdentity"]
    bench.wait(lambda: bench.cluster.get(LEASE)["spec"]["holderIdentity"] not in (leader, ""), "a new leader")
    bench.wait(lambda: bench.metric("gc_blocked") == 1, "the block to be known again")
    bench.wait(lambda: (bench.note() or "").endswith(" 5"), "the note of the new leader")
    assert bench.bindings() == {u: BOTH for u in MANY}
    bench.worker.write_templates([VIEWERS, EDITORS])
    bench.wait(lambda: bench.metric("gc_blocked") == 0, "the block to end")
    bench.wait(lambda: bench.note() is None, "the note to go")
    assert bench.bindings() == {u: BOTH for u in MANY}


def test_few_go_by_themselves(bench):
    bench.start()
    everybody(bench)
    bench.see(*MANY[:2], groups=["left"])
    bench.wait(lambda: not set(MANY[:2]) & set(bench.bindings()), "two to lose what was their group's")
    assert set(bench.bindings()) == set(MANY[2:])
    # Four are gone: two more users are four more removals, which is over the five.
    bench.see(*MANY[2:4], groups=["left"])
    bench.wait(lambda: bench.metric("gc_blocked") == 1, "the block")
    assert set(bench.bindings()) == set(MANY[2:])


def test_orphans_are_told_and_left(bench):
    bench.start()
    everybody(bench, ["alice"])
    stranger = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "portcullis:viewers:0123456789", "namespace": "team-a",
                             "labels": {"app.kubernetes.io/managed-by": "portcullis",
                                        "portcullis.dev/record": key("ldap:corp", "alice")}},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}]}
    bench.cluster.create(f"{RBAC}/namespaces/team-a/rolebindings", stranger, ok=(201,))
    bench.see("alice", groups=["left"])
    bench.wait(lambda: "alice" not in bench.bindings(), "alice to lose what is hers")
    assert bench.bindings() == {"mallory": {"team-a"}}
    (orphan,) = bench.gc()[1]["orphans"]
    assert (orphan["kind"], orphan["namespace"], orphan["name"]) == ("RoleBinding", "team-a", stranger["metadata"]["name"])
    assert orphan["gives"] == "ClusterRole view to User mallory"
    # With the worker's own rights too, which do not reach to kinds that no template makes.
    got = bench.cli("gc", "--output=json")
    assert got.returncode == 0 and json.loads(got.stdout)["orphans"] == bench.gc()[1]["orphans"]
    assert "may not list them: resourcequotas, limitranges, networkpolicies" in got.stderr


def test_an_orphan_goes_by_an_admins_word_alone(bench):
    """Of a group's binding whose records were deleted while no worker ran; and of nothing that a record knows of."""
    grant = {"clusterRole": "view", "namespaces": ["team-a"], "subject": {"kind": "Group"}}
    bench.start([{**VIEWERS, "grants": [grant]}, EDITORS])
    bench.see("alice")
    bench.wait_phase("alice", "Ready")
    assert bench.bindings() == {"dev": {"team-a"}, "alice": {"team-b"}}
    bench.worker.stop()
    path = f"{RBAC}/namespaces/team-a/rolebindings"
    (shared,) = bench.cluster.get(f"{path}{OURS}")["items"]
    known = next(f"RoleBinding/{b['namespace']}/{b['name']}"
                 for b in bench.record("alice")["status"]["bindings"] if b["namespace"] == "team-b")
    left = f"RoleBinding/team-a/{shared['metadata']['name']}"

    def remove(*names, **kw):
        return bench.cli("gc", *[f"--remove-orphan={n}" for n in names], **kw)
    # While alice's record names them, both are hers.
    for name in (known, left):
        assert remove(name, admin=True).returncode == 1
    bindings = [b for b in bench.record("alice")["status"]["bindings"] if b["namespace"] == "team-b"]
    with bench.cluster.client() as c:
        got = c.request("PATCH", f"{RECORDS}/{key('ldap:corp', 'alice')}/status",
                        headers={"Content-Type": "application/merge-patch+json"}, body=json.dumps({"status": {"bindings": bindings}}).encode())
        assert got.status == 200, got
    told = bench.cli("gc", admin=True)
    assert f"{left}: ClusterRole view to Group dev" in told.stdout and "--remove-orphan" in told.stdout
    # All or none.
    got = remove(left, known, admin=True)
    assert got.returncode == 1 and not got.stdout and known in got.stderr
    # What bears the label alone is nobody's to remove so, nor is what is to be kept.
    bench.cluster.patch(f"{path}/{shared['metadata']['name']}", {"metadata": {"labels": {"portcullis.dev/record": None}}})
    got = remove(left, admin=True)
    assert got.returncode == 1 and "one label of ours" in got.stderr
    bench.cluster.patch(f"{path}/{shared['metadata']['name']}", {"metadata": {"labels": shared["metadata"]["labels"]}})
    # The worker's own credentials do, too: it may delete bindings.
    got = remove(left)
    assert (got.returncode, got.stdout) == (0, f"removed: {left}\n"), got.stderr
    assert not bench.cluster.get(f"{path}{OURS}")["items"] and "alice" in bench.bindings()


# --- directories ---

TEN = [f"person{i}" for i in range(10)]


def people(names):
    return [entry(f"uid={n},ou=people,dc=example,dc=com", uid=n) for n in names]


def truncated(_):
    yield from people(TEN[:9])
    raise Hangup


BAD = {
    "empty": lambda _: [search_done()],
    "half": lambda _: people(TEN[:5]) + [search_done()],
    "truncated": truncated,
    "size limit": lambda _: people(TEN[:9]) + [search_done(4)],
    "refused": lambda _: [search_done(50)],
    "silence": lambda _: people(TEN[:9]),
}


class Directory:
    """A directory whose answer the test turns."""

    def __init__(self, folder):
        self.ca = pki.CA(folder / "ldap", "ldap-ca")
        self.answer = None
        self.fake = FakeLdap(self.ca.server(), on_search=self._search)

    def _search(self, base):
        return self.answer(base) if self.answer else people(TEN) + [search_done()]

    def config(self):
        return {"name": "corp", "url": self.fake.url, "ca": self.ca.crt, "userNameAttributes": ["uid"],
                "usersQuery": {"baseDN": "dc=example,dc=com", "timeout": 1}, "interval": "1s", "confirmAfter": "1s"}


@pytest.fixture(name="directory")
def fixture_directory(tmp_path):
    d = Directory(tmp_path)
    yield d
    d.fake.stop()


def polls(bench, *results):
    return sum(bench.metric("directory_polls_total", f'{{directory="corp",result="{r}"}}') for r in results)


def wait_polls(bench, n, *results):
    """N more polls of one of RESULTS."""
    until = polls(bench, *results) + n
    bench.wait(lambda: polls(bench, *results) >= until, f"{n} polls: {results}")


def test_gone_from_the_directory_and_back(bench, directory):
    bench.start(gc={**NEVER, "disableGone": True}, directories=[directory.config()])
    everybody(bench, TEN)
    wait_polls(bench, 3, "good")
    assert set(bench.bindings()) == set(TEN)
    directory.answer = lambda _: people(TEN[1:]) + [search_done()]
    bench.wait_phase(TEN[0], "Disabled")
    bench.wait(lambda: set(bench.bindings()) == set(TEN[1:]), "the bindings of who is gone to go")
    assert bench.record(TEN[0])["status"].get("missingSince")
    # A restart does not give them back, a failing directory neither.
    directory.answer = BAD["refused"]
    bench.worker.process.kill()
    bench.worker.start()
    wait_polls(bench, 3, "failed")
    bench.wait(lambda: "all records were looked at" in bench.worker.process.output().rsplit('"started"', 1)[-1],
               "a full pass")
    assert set(bench.bindings()) == set(TEN[1:]) and bench.phase(TEN[0]) == "Disabled"
    directory.answer = None
    bench.wait(lambda: set(bench.bindings()) == set(TEN), "who is back to be given back what is due")
    bench.wait_phase(TEN[0], "Ready")


def test_a_directory_in_trouble_deletes_nobody(bench, directory):
    bench.start(gc={**NEVER, "disableGone": True}, directories=[directory.config()])
    everybody(bench, TEN)
    wait_polls(bench, 2, "good")
    for what, answer in BAD.items():
        directory.answer = answer
        wait_polls(bench, 3, "failed", "doubted")
        assert bench.bindings() == {u: BOTH for u in TEN}, what
        directory.answer = None
        wait_polls(bench, 1, "good")
    directory.fake.stop()
    wait_polls(bench, 3, "failed")
    assert bench.metric("gc_deleted_total", '{kind="RoleBinding"}') == 0
    assert {bench.phase(u) for u in TEN} == {"Ready"}
    assert bench.bindings() == {u: BOTH for u in TEN}


def test_many_gone_at_once_are_blocked(bench, directory):
    """A directory may lose a fifth and be believed: then the limit holds."""
    config = {**directory.config(), "minRatioPercent": 1}
    bench.start(gc={**NEVER, "disableGone": True}, directories=[config])
    everybody(bench, TEN)
    wait_polls(bench, 2, "good")
    directory.answer = lambda _: people(TEN[:2]) + [search_done()]
    bench.wait(lambda: bench.metric("gc_blocked") == 1, "the block")
    assert {u: BOTH for u in TEN} == bench.bindings()
    directory.answer = None
    bench.wait(lambda: bench.metric("gc_blocked") == 0, "the block to end")
    assert {u: BOTH for u in TEN} == bench.bindings()


def test_a_directory_that_leaves_the_configuration_deletes_nobody(bench, directory):
    """Not even those whom it had declared gone, and whose removal was blocked."""
    bench.start(gc={**NEVER, "disableGone": True}, directories=[{**directory.config(), "minRatioPercent": 1}])
    everybody(bench, TEN)
    wait_polls(bench, 2, "good")
    directory.answer = lambda _: people(TEN[:2]) + [search_done()]
    bench.wait(lambda: bench.metric("gc_blocked") == 1, "the block")
    bench.wait(lambda: bench.note() is not None, "the note on the Lease")
    bench.worker.process.stop()
    with open(bench.worker.config_path, encoding="utf-8") as f:
        doc = yaml.safe_load(f)
    del doc["directories"]
    with open(bench.worker.config_path, "w", encoding="utf-8") as f:
        yaml.safe_dump(doc, f)
    bench.worker.start()
    bench.wait(lambda: "all records were looked at" in bench.worker.process.output().rsplit('"started"', 1)[-1],
               "a full pass")
    bench.wait(lambda: bench.note() is None, "the block to end")
    wait_until(lambda: {bench.phase(u) for u in TEN} == {"Ready"}, "all to be ready")
    assert {u: BOTH for u in TEN} == bench.bindings()
    assert bench.gc()[0] == 0


# --- groups ---

READERS = {"name": "readers", "match": {"providers": ["*"], "groups": ["dev"]},
           "grants": [{"clusterRole": "view", "namespaces": ["team-b"], "subject": {"kind": "Group", "name": "${group}"}}]}
GROUPS = "ou=groups,dc=example,dc=com"


class GroupDirectory(Directory):
    """All are in two groups, but for those who LEFT dev. BAD: an answer in place of the groups."""

    def __init__(self, folder):
        super().__init__(folder)
        self.left, self.bad = (), None

    def _search(self, base):
        if base != GROUPS:
            return super()._search(base)
        return self.bad(base) if self.bad else self.groups() + [search_done()]

    def groups(self):
        members = {"dev": [n for n in TEN if n not in self.left], "all": TEN}
        return [entry(f"cn={g},{GROUPS}", cn=g, member=[f"uid={n},ou=people,dc=example,dc=com" for n in names])
                for g, names in members.items()]

    def config(self):
        return {**super().config(), "groupsQuery": {"baseDN": GROUPS, "timeout": 1}, "groupNameAttributes": ["cn"],
                "groupMembershipAttributes": ["member"], "userUIDAttribute": "dn"}


@pytest.fixture(name="teams")
def fixture_teams(tmp_path):
    d = GroupDirectory(tmp_path)
    yield d
    d.fake.stop()


def full_pass(bench):
    bench.wait(lambda: "all records were looked at" in bench.worker.process.output().rsplit('"started"', 1)[-1],
               "a full pass")


def lost(bench, user):
    return [(g["name"], g["directory"]) for g in bench.record(user)["status"].get("lostGroups", [])]


def test_a_group_that_was_left_and_joined_again(bench, teams):
    bench.start(templates=[VIEWERS, READERS], directories=[teams.config()])
    three = TEN[:3]
    bench.see(*three)
    everybody_has = {**{u: {"team-a"} for u in three}, "dev": {"team-b"}}
    bench.wait(lambda: bench.bindings() == everybody_has, "all bindings")
    wait_polls(bench, 2, "good")
    # Members that are hidden have not left.
    teams.bad = lambda _: [entry(f"cn={g},{GROUPS}", cn=g) for g in ("dev", "all")] + [search_done()]
    wait_polls(bench, 3, "groups_doubted")
    assert bench.bindings() == everybody_has and not any(lost(bench, u) for u in three)
    teams.bad = None
    teams.left = TEN[:1]
    bench.wait(lambda: bench.bindings() == {**{u: {"team-a"} for u in three[1:]}, "dev": {"team-b"}},
               "what one has by the group to go, and what is others' too to stay")
    bench.wait(lambda: lost(bench, TEN[0]) == [("dev", "corp")], "the status to say so")
    status = bench.record(TEN[0])["status"]
    assert status["phase"] == "Ready"
    assert [c["status"] for c in status["conditions"] if c["type"] == "GroupsLost"] == ["True"]
    told = bench.cli("explain", TEN[0], admin=True)
    assert "group dev counts for nothing: directory corp does not confirm it since 20" in told.stdout, told.stdout
    assert "for dev (not confirmed)" in told.stdout
    told = json.loads(bench.cli("explain", TEN[0], "--output=json", admin=True).stdout)["users"][0]
    assert [g["name"] for g in told["lostGroups"]] == ["dev"]
    # Neither a token that says it again, nor a restart, nor a directory in trouble gives it back.
    bench.see(TEN[0], issuer="anew")
    teams.bad = BAD["refused"]
    bench.worker.process.kill()
    bench.worker.start()
    wait_polls(bench, 2, "failed")
    full_pass(bench)
    bench.wait(lambda: bench.record(TEN[0])["spec"]["identity"].get("issuer") == "anew", "the newer token")
    plan = bench.cli("plan", admin=True)
    assert plan.returncode == 0, plan.stdout
    assert TEN[0] not in bench.bindings() and lost(bench, TEN[0]) == [("dev", "corp")]
    # The binding of the group goes with the last of its members here.
    teams.bad, teams.left = None, three
    bench.wait(lambda: bench.bindings() == {}, "all to go")
    teams.left = TEN[1:3]
    bench.wait(lambda: bench.bindings() == {TEN[0]: {"team-a"}, "dev": {"team-b"}}, "who is back to have it again")
    bench.wait(lambda: not lost(bench, TEN[0]), "the status")
    # An admin's word counts more.
    assert bench.cli("undo", TEN[1], admin=True).returncode == 0
    bench.wait(lambda: bench.bindings().get(TEN[1]) == {"team-a"}, "the undo")


def test_many_who_left_a_group_are_blocked_and_no_memory_removes_them(bench, teams):
    bench.start(directories=[{**teams.config(), "minRatioPercent": 1}])
    everybody(bench, TEN)
    wait_polls(bench, 2, "good")
    teams.left = TEN[2:]
    bench.wait(lambda: bench.metric("gc_blocked") == 1, "the block")
    bench.wait(lambda: all(lost(bench, u) for u in TEN[2:]), "the status to say what is lost")
    teams.bad = BAD["refused"]
    bench.worker.process.kill()
    bench.worker.start()
    wait_polls(bench, 2, "failed")
    full_pass(bench)
    bench.wait(lambda: bench.note() is None, "the block to end")
    assert bench.bindings() == {u: BOTH for u in TEN}
    teams.bad = None
    bench.wait(lambda: bench.metric("gc_blocked") == 1, "the block to be back with the directory")
    teams.left = ()
    bench.wait(lambda: bench.metric("gc_blocked") == 0, "the block to end with its cause")
    bench.wait(lambda: not any(lost(bench, u) for u in TEN), "nothing to be lost")
    assert bench.bindings() == {u: BOTH for u in TEN}
