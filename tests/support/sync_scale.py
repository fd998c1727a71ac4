"""Ten thousand users for portcullis-rbac-sync: who they are, what they are due (told here, not asked of the worker), and what
the worker takes for it."""
import json
import os
import re
import socket
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter

from .rbac_sync import MANAGED
from .spool import group_key, key
from .sync_world import RBAC, RECORDS

PROVIDER = "ldap:corp"
TEAMS = [f"t{i:02}" for i in range(20)]
PROD = ("prod-a", "prod-b", "prod-c")  # what a selector finds
TICKS = os.sysconf("SC_CLK_TCK")
WRITES = ("create", "apply", "update", "patch", "delete")

TEMPLATES = [
    {"name": "members", "match": {"groups": ["team-*"]},
     "grants": [{"clusterRole": "view", "namespaces": ["${group|replace:team-:}"], "subject": {"kind": "User"}}]},
    {"name": "teams", "match": {"groups": ["team-*"]},
     "grants": [{"clusterRole": "edit", "namespaces": ["${group|replace:team-:}"]}]},
    {"name": "staff", "match": {"groups": ["staff"]}, "grants": [{"clusterRole": "view", "scope": "cluster"}]},
    {"name": "audit", "match": {"groups": ["audit"]},
     "grants": [{"clusterRole": "view", "namespaces": {"selector": "tier=prod"}}]},
    {"name": "sandbox", "match": {"groups": ["lab"]},
     "namespace": {"name": "u-${user.slug}-${user.hash10}"},
     "objects": [{"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "default"},
                  "spec": {"hard": {"pods": "20"}}}],
     "grants": [{"clusterRole": "edit"}]},
]
LIMITS = {"maxUsers": 20000, "maxNamespaces": 1000, "maxNewUsersPerMinute": 100000}


def people(n, labs=200, auditors=200):
    """user → groups: one team each; the first are auditors and have sandboxes too."""
    return {f"user{i:05}": ["staff", f"team-{TEAMS[i % len(TEAMS)]}"] + (["lab"] if i < labs else [])
            + (["audit"] if i < auditors else []) for i in range(n)}


def due(user, groups):
    """What USER is due: {(kind, namespace, name or role, subject)}."""
    out = set()
    for g in groups:
        team = g[len("team-"):] if g.startswith("team-") else None
        if team:
            out |= {("RoleBinding", team, "view", f"User:{user}"), ("RoleBinding", team, "edit", f"Group:{g}")}
        elif g == "staff":
            out.add(("ClusterRoleBinding", None, "view", "Group:staff"))
        elif g == "audit":
            out |= {("RoleBinding", ns, "view", "Group:audit") for ns in PROD}
        elif g == "lab":
            ns = f"u-{user}-{key(PROVIDER, user)[:10]}"
            out |= {("Namespace", None, ns, ""), ("ResourceQuota", ns, "default", ""),
                    ("RoleBinding", ns, "edit", f"User:{user}")}
    return out


def grown(kind, o):
    """The same of an object of the cluster."""
    meta = o["metadata"]
    if not kind.endswith("Binding"):
        return kind, meta.get("namespace"), meta["name"], ""
    (s,) = o["subjects"]
    return kind, meta.get("namespace"), o["roleRef"]["name"], f"{s['kind']}:{s['name']}"


class Cluster:
    """What stands in the cluster, by paged lists from the apiserver's cache or from etcd."""

    kinds = {"ClusterRoleBinding": f"{RBAC}/clusterrolebindings", "RoleBinding": f"{RBAC}/rolebindings",
             "Namespace": "/api/v1/namespaces", "ResourceQuota": "/api/v1/resourcequotas"}

    def __init__(self, api):
        self.api = api

    def pages(self, path):
        more = ""
        with self.api.client() as c:
            while more is not None:
                got = c.get(f"{path}{'&' if '?' in path else '?'}limit=2000{more}")
                assert got.status == 200, got
                doc = got.json
                yield from doc["items"]
                token = doc["metadata"].get("continue")
                more = f"&continue={urllib.parse.quote(token)}" if token else None

    def managed(self):
        """(kind, object) of all that bears our label."""
        return [(kind, o) for kind, path in self.kinds.items() for o in self.pages(f"{path}?{MANAGED}")]

    def records(self):
        return {o["spec"]["identity"]["username"]: o for o in self.pages(RECORDS)}

    def versions(self):
        """Place → resourceVersion of everything that the worker may write."""
        have = [*self.managed(), *(("UserRecord", o) for o in self.records().values())]
        return {(k, o["metadata"].get("namespace"), o["metadata"]["name"]): o["metadata"]["resourceVersion"]
                for k, o in have}

    def verify(self, users):
        """Everybody of USERS has just what is due; nobody else has anything."""
        want = {u: due(u, g) for u, g in users.items()}
        have = self.managed()
        told = Counter(grown(kind, o) for kind, o in have)
        every = set().union(*want.values())
        assert set(told) == every, (len(told), len(every), sorted(map(str, set(told) ^ every))[:5])
        assert max(told.values()) == 1, [k for k, n in told.items() if n > 1][:5]
        for kind, o in have:
            self._verify_marks(kind, o)
        named = {(kind, o["metadata"].get("namespace"), o["metadata"]["name"]): grown(kind, o) for kind, o in have}
        records = self.records()
        assert set(records) == set(users)
        for user, r in records.items():
            self._verify_record(r, users[user], want[user], named)
        return len(have)

    @staticmethod
    def _verify_marks(kind, o):
        meta = o["metadata"]
        notes, label = meta["annotations"], meta["labels"]["portcullis.dev/record"]
        user, group = notes.get("portcullis.dev/user"), notes.get("portcullis.dev/group")
        assert label == (key(PROVIDER, user) if user else group_key(PROVIDER, group)), meta
        if kind.endswith("Binding"):
            assert meta["name"].startswith(f"portcullis:{meta['labels']['portcullis.dev/template']}:"), meta
            assert grown(kind, o)[3] == (f"User:{user}" if user else f"Group:{group}"), o
        assert {m["manager"] for m in meta["managedFields"]} <= {"portcullis-sync", "kube-controller-manager"}, meta

    @staticmethod
    def _verify_record(r, groups, want, named):
        status = r["status"]
        assert status["phase"] == "Ready", r
        assert sorted(r["spec"]["identity"]["groups"]) == sorted(groups), r
        told = [named[(b["kind"], b.get("namespace"), b["name"])] for b in status["bindings"]]
        assert len(told) == len(want) and set(told) == want, (r, want)


class Usage:
    """Processor time and memory of a process since it began, from /proc."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        self.user, self.system = int(fields[11]) / TICKS, int(fields[12]) / TICKS
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            text = f.read()
        self.peak, self.resident = (int(re.search(rf"^{k}:\s+(\d+) kB", text, re.M).group(1)) / 1024
                                    for k in ("VmHWM", "VmRSS"))
        self.wall = time.monotonic()

    @property
    def cpu(self):
        return self.user + self.system


class Metrics:
    """One reading of an ops listener's /metrics."""

    def __init__(self, port):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as got:
                self.text = got.read().decode()
        except OSError:
            self.text = ""

    def value(self, name, **labels):
        """Sum of all series of NAME with these labels."""
        total = 0.0
        for m in re.finditer(rf"^{name}(?:\{{(.*)\}})? (\S+)$", self.text, re.M):
            if all(f'{k}="{v}"' in (m.group(1) or "") for k, v in labels.items()):
                total += float(m.group(2))
        return total

    def requests(self):
        """verb → how many, watches and lists among them."""
        out = Counter()
        for m in re.finditer(r'^portcullis_sync_api_requests_total\{.*verb="(\w+)".*\} (\S+)$', self.text, re.M):
            out[m.group(1)] += int(float(m.group(2)))
        return out


class Appearances:
    """A watch of all bindings of ours: when each user's was first seen, on the monotonic clock."""

    def __init__(self, api):
        self.client = api.client()
        now = self.client.get(f"{RBAC}/rolebindings?{MANAGED}&limit=1").json["metadata"]["resourceVersion"]
        self.seen, self.news = {}, threading.Condition()
        self.client.conn.request("GET", f"{RBAC}/rolebindings?{MANAGED}&watch=1&resourceVersion={now}")
        self.sock = self.client.conn.sock
        self.stream = self.client.conn.getresponse()
        assert self.stream.status == 200
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            for line in self.stream:
                at = time.monotonic()
                name = json.loads(line)["object"]["subjects"][0]["name"]
                with self.news:
                    self.seen.setdefault(name, at)
                    self.news.notify_all()
        except (OSError, ValueError, AttributeError):
            return  # closed

    def wait(self, user, deadline=60):
        with self.news:
            assert self.news.wait_for(lambda: user in self.seen, deadline), f"no binding of {user}"
            return self.seen[user]

    def stop(self):
        socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # the reader sees its end
        self.thread.join(60)
        self.stream.close()
        self.client.close()
