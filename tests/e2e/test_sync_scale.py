"""Ten thousand users on a real kube-apiserver: they appear, have what is due, and cost nothing once they have it."""
import os
import statistics
import time

import pytest

from support import kubeconfig, yamlio
from support.apiserver import ApiServer
from support.etcd import Etcd
from support.paths import program
from support.ports import free_port
from support.proc import run
from support.rbac_sync import HEAD, Worker, aggregate, install_crd, install_rbac
from support.sync_scale import (LIMITS, PROD, TEAMS, TEMPLATES, WRITES, Appearances, Cluster, Metrics, Usage, people)

USERS = int(os.environ.get("PORTCULLIS_SCALE_USERS", "10000"))
IDLE = float(os.environ.get("PORTCULLIS_SCALE_IDLE", "10"))  # seconds
LOST = 300  # seconds without any progress: something hangs
WHOLE = 3600  # seconds: the longest of all, on whatever machine
NOW = 1790000000
pytestmark = pytest.mark.plain_only


class Scale:
    """One apiserver with an etcd of its own, and the worker with its printed rights."""

    def __init__(self, folder):
        self.etcd = Etcd(folder / "etcd")
        self.api = None
        self.folder = folder
        self.users = {}

    def start(self):
        self.etcd.start()
        # What the apiserver takes decides how long this lasts.
        self.api = ApiServer(self.folder / "api", self.etcd, extra={"enable-priority-and-fairness": "false"})
        self.api.process.env = {"GOGC": "400"}
        self.api.start()
        install_crd(self.api)
        aggregate(self.api)
        for ns in (*TEAMS, *PROD):
            self.api.namespace(ns)
        for ns in PROD:
            self.api.patch(f"/api/v1/namespaces/{ns}", {"metadata": {"labels": {"tier": "prod"}}})
        user = "portcullis-rbac-sync"
        config = kubeconfig.write(self.folder / "kubeconfig", self.api.url, self.api.ca,
                                  self.api.ca.client(user, folder=self.folder / "pki"))
        self.port = free_port()
        self.worker = Worker(
            self.folder / "worker", config, TEMPLATES, requests={"qps": 10000, "burst": 10000},
            ops={"listen": f"127.0.0.1:{self.port}"}, scanInterval="5s", retryInitial="1s", retryMax="5s",
            gc={"staleAfter": "0s", "maxDeletesPerRun": 100000, "maxDeletePercent": 100})
        yamlio.write_atomic(self.worker.templates_path, {**HEAD, "subjectMode": "group-first", "limits": LIMITS,
                                                         "templates": TEMPLATES})
        got = run([program("portcullis"), "sync", "rbac", "--config", self.worker.config_path,
                   "--subject", f"User:{user}"], check=True)
        install_rbac(self.api, got.stdout)
        self.cluster = Cluster(self.api)
        return self

    def stop(self):
        self.worker.stop()
        if self.api:
            self.api.stop()
        self.etcd.stop()

    def tell(self, users, seen_at=NOW):
        for user, groups in users.items():
            self.worker.spool.put(user, groups, seen_at=seen_at)
        self.users.update(users)

    def metrics(self):
        return Metrics(self.port)

    def settle(self, ready, what):
        """Waits until READY records, and no others, are Ready and all is told; gives the figures of then."""
        most, since = -1, time.monotonic()

        def look():
            nonlocal most, since
            m = self.metrics()
            if m.value("portcullis_sync_records", phase="Ready") > most:
                most, since = m.value("portcullis_sync_records", phase="Ready"), time.monotonic()
            assert time.monotonic() < since + LOST, f"{most:.0f} Ready for {LOST} s: {what}"
            done = (m.value("portcullis_sync_records", phase="Ready") == m.value("portcullis_sync_records") == ready
                    and self.worker.spool.empty() and self.worker.logged('"all records were looked at"'))
            return m if done else None
        return self.worker.process.wait_for(look, what, deadline=WHOLE, interval=0.25)

    def usages(self):
        return {name: Usage(p.pid) for name, p in (("worker", self.worker.process), ("apiserver", self.api.process),
                                                   ("etcd", self.etcd.process))}


    def restart(self):
        self.worker.stop()
        began = time.monotonic()
        self.worker.start()
        m = self.settle(len(self.users), "all records to be looked at again")
        return m, time.monotonic() - began


def report(title, **figures):
    print(f"\n{title}: " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in figures.items()))


@pytest.fixture(scope="module")
def scale(tmp_path_factory):
    s = Scale(tmp_path_factory.mktemp("scale"))
    try:
        yield s.start()
    finally:
        s.stop()


def test_ten_thousand_users_appear(scale):
    scale.tell(people(USERS))
    before = {name: Usage(p.pid).cpu for name, p in (("api", scale.api.process), ("etcd", scale.etcd.process))}
    began = time.monotonic()
    scale.worker.start()
    m = scale.settle(USERS, "all users to be Ready")
    took = time.monotonic() - began
    use, calls = scale.usages(), m.requests()
    objects = scale.cluster.verify(scale.users)
    report("users appear", users=USERS, objects=objects, wall=f"{took:.1f} s",
           worker_CPU=f"{use['worker'].user:.2f} s user + {use['worker'].system:.2f} s system",
           worker_CPU_a_user=f"{use['worker'].cpu * 1000 / USERS:.2f} ms", peak=f"{use['worker'].peak:.1f} MiB",
           apiserver_CPU=f"{use['apiserver'].cpu - before['api']:.0f} s",
           etcd_CPU=f"{use['etcd'].cpu - before['etcd']:.0f} s",
           calls=dict(calls), calls_a_user=f"{sum(calls.values()) / USERS:.2f}")
    # One record made, its intent and its outcome, a look and the binding; what is shared is made once.
    extra = 3 * objects - 3 * USERS
    assert calls["patch"] < 2.2 * USERS + extra and calls["get"] < 1.2 * USERS + extra, calls
    assert calls["apply"] < 1.2 * USERS + extra, calls


def test_a_second_pass_writes_nothing(scale):
    versions = scale.cluster.versions()
    m, took = scale.restart()
    use, calls = scale.usages()["worker"], m.requests()
    # What asks for one's own rights is a create too, and makes nothing.
    asked = m.requests()["create"]
    report("second pass", users=USERS, wall=f"{took:.1f} s", worker_CPU=f"{use.cpu:.2f} s",
           worker_CPU_a_user=f"{use.cpu * 1e6 / USERS:.0f} us", peak=f"{use.peak:.1f} MiB", calls=dict(calls))
    assert not any(calls[v] for v in WRITES if v != "create"), calls
    assert asked < 100, calls
    assert m.value("portcullis_sync_kube_events_total") == 0
    assert scale.cluster.versions() == versions


def test_idle_costs_next_to_nothing(scale):
    before, calls = scale.usages()["worker"], scale.metrics().requests()
    time.sleep(IDLE)  # what is measured is the time in which nothing happens
    after = scale.usages()["worker"]
    report("idle", seconds=f"{IDLE:.0f}", worker_CPU=f"{(after.cpu - before.cpu) * 1000:.0f} ms",
           share=f"{(after.cpu - before.cpu) / (after.wall - before.wall) * 100:.2f} %",
           resident=f"{after.resident:.1f} MiB")
    now = scale.metrics().requests()
    assert not any(now[v] - calls[v] for v in WRITES), (calls, now)


def test_a_new_user_among_ten_thousand(scale):
    seen = Appearances(scale.api)
    took = []
    try:
        for i in range(100):
            user = f"newcomer{i:03}"
            began = time.monotonic()
            scale.tell({user: ["staff", f"team-{TEAMS[i % len(TEAMS)]}"]})
            took.append((seen.wait(user) - began) * 1000)
    finally:
        seen.stop()
    scale.settle(len(scale.users), "the newcomers to be Ready")
    took.sort()
    report("one new user", known=USERS, p50=f"{statistics.median(took):.0f} ms", p99=f"{took[-2]:.0f} ms",
           most=f"{took[-1]:.0f} ms")


def test_a_hundred_people_change_teams(scale):
    moved = {f"user{i:05}": ["staff", f"team-{TEAMS[(i + 1) % len(TEAMS)]}"] for i in range(USERS - 100, USERS)}
    before = scale.metrics().requests()
    began = time.monotonic()
    scale.tell(moved, seen_at=NOW + 10)

    def look():
        now = scale.metrics().requests()
        return now if now["delete"] - before["delete"] >= 100 and scale.worker.spool.empty() else None
    calls = scale.worker.process.wait_for(look, "the removals", deadline=LOST, interval=0.1)
    took = time.monotonic() - began
    scale.settle(len(scale.users), "all to be Ready")
    scale.cluster.verify(scale.users)
    report("people move", people=len(moved), wall=f"{took:.1f} s", calls={k: n - before[k] for k, n in calls.items()})
