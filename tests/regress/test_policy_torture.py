"""A policy that is edited in every way, a hundred times, while requests are answered: each answer is of one policy that
was whole and in force then, no request fails, and each edit that was refused is told once, with its place."""
import json
import os
import random
import re
import shutil
import threading

import pytest

from support import yamlio
from support.portcullisd import Load

pytestmark = pytest.mark.load

EDITS = 100
SEED = 4711


def document(generation, space="team-a", **more):
    """Odd generations deny, even ones allow; the rule's name tells which it was."""
    return {"apiVersion": "portcullis.dev/v1alpha1", "kind": "AccessPolicy",
            "metadata": {"name": "torture", "generation": generation, "allowShrink": True},
            "defaults": {"exempt": {"groups": ["system:nodes"]}} if space == "team-a" else None,
            "rules": [{"id": f"{space}-{generation}", "effect": "deny" if generation % 2 else "allow",
                       "subjects": {"groups": ["dev"]}, "namespaces": [space], "apiGroups": [""],
                       "resources": ["pods"], "verbs": ["list"]}], **more}


def text(*args, **kw):
    return yamlio.dumps({k: v for k, v in document(*args, **kw).items() if v is not None})


class PolicyRecords:
    """The audit records about policies, read on from where the last look ended: beside them stand thousands."""

    def __init__(self, d):
        self.d, self.at, self.records = d, 0, []

    def look(self, kind):
        try:
            with open(self.d.audit_path, "rb") as f:
                f.seek(self.at)
                lines = f.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        self.at += sum(len(line) + 1 for line in lines)
        self.records += [json.loads(line) for line in lines if b'"type":"policy.' in line]
        return [r for r in self.records if r["type"] == kind]

    def wait(self, kind, match=lambda r: True, after=0):
        return self.d.process.wait_for(
            lambda: next((r for r in self.look(kind)[after:] if match(r)), None), f"audit record {kind}")


class Site:
    """The daemon, the generation that serves, and what may serve while an edit is under way."""

    def __init__(self, daemon, **kw):
        self.rng = random.Random(SEED)
        self.next = 100  # three digits throughout: edits keep their size
        self.low = self.high = self.take()
        self.lock = threading.Lock()
        self.refused = []  # (stage, pattern) of every edit that was
        self.d = daemon(start=False, policy=False, **kw)
        self.records = PolicyRecords(self.d)
        self.path = os.path.join(self.d.policy_dir, "policy.yaml")

    def take(self):
        self.next += 1
        return self.next

    def window(self):
        with self.lock:
            return self.low, self.high

    def ask(self, space):
        """One review; its answer must be of a policy that was in force while it was under way."""
        low, _ = self.window()
        got = self.d.access_review("bob", groups=["dev"], namespace=space)
        _, high = self.window()
        assert got.status == 200, got
        generation = int(got.headers["X-Policy-Generation"])
        status = got.json["status"]
        assert low <= generation <= high, (low, generation, high)
        assert f"rule={space}-{generation} gen={generation} " in status["reason"], got.text
        assert status.get("denied", False) == (generation % 2 == 1), got.text
        assert status["allowed"] == (generation % 2 == 0), got.text

    def good(self, edit):
        """EDIT puts the policy of a new generation in place by whatever way."""
        generation = self.take()
        with self.lock:
            self.high = generation
        edit(generation)
        self.records.wait("policy.loaded", lambda r: r["policy"]["generation"] == generation)
        with self.lock:
            self.low = generation

    def bad(self, edit):
        """EDIT leaves what is no policy, and tells the stage that refuses it and how it is told."""
        before = len(self.records.look("policy.rejected"))
        self.refused.append(edit())
        self.records.wait("policy.rejected", after=before)

    def whole(self):
        """An edit may have left something else than a file."""
        if os.path.isdir(self.path):
            os.rmdir(self.path)
        elif os.path.islink(self.path):
            os.unlink(self.path)

    # --- edits that make a new policy ---
    def rename(self, g):
        self.whole()
        yamlio.write_atomic(self.path, text(g))

    def rewrite(self, g):
        """Truncated, then written in pieces."""
        self.whole()
        whole = text(g)
        with open(self.path, "w", encoding="utf-8", buffering=1) as f:
            for i in range(0, len(whole), 64):
                f.write(whole[i:i + 64])
                f.flush()

    def overwrite(self, g):
        """In place, the same size, in the same second."""
        self.whole()
        yamlio.write_atomic(self.path, text(self.low))
        with open(self.path, "r+", encoding="utf-8") as f:
            f.write(text(g))

    def vim(self, g):
        self.whole()
        probe = os.path.join(self.d.policy_dir, "4913")
        yamlio.write(probe, "")
        os.unlink(probe)
        if os.path.exists(self.path):
            os.rename(self.path, self.path + "~")
        yamlio.write(self.path, text(g))
        if os.path.exists(self.path + "~"):
            os.unlink(self.path + "~")

    def folder(self, g):
        new, gone = self.d.path("new"), self.d.path(f"gone-{g}")
        os.makedirs(new)
        yamlio.write(os.path.join(new, "policy.yaml"), text(g))
        os.rename(self.d.policy_dir, gone)
        os.rename(new, self.d.policy_dir)

    def link(self, g):
        self.whole()
        target = self.d.path(f"linked-{g}.yaml")
        yamlio.write(target, text(g))
        os.symlink(target, self.path + ".tmp~")
        os.replace(self.path + ".tmp~", self.path)

    # --- edits that leave none ---
    def cut(self):
        """A save that stopped half way, within a word."""
        self.whole()
        whole = text(self.take())
        yamlio.write(self.path, whole[:self.rng.randrange(40, len(whole) - 2)].rstrip("\n"))
        return "parse", r"policy\.yaml: the last line has no line break"

    def empty(self):
        self.whole()
        with open(self.path, "w", encoding="utf-8"):
            pass
        return "parse", r"policy\.yaml: the file is empty"

    def delete(self):
        self.whole()
        if os.path.exists(self.path):
            os.unlink(self.path)
        return "read", r"no \*\.yaml"

    def unreadable(self):
        """Also for root: a link into nowhere."""
        self.delete()
        os.symlink(self.d.path("nowhere"), self.path)
        return "read", r"policy\.yaml: No such file"

    def unknown_key(self):
        g = self.take()
        self.whole()
        yamlio.write_atomic(self.path, text(g).replace("subjects:", f"subject{g}:"))
        return "schema", rf"policy\.yaml:\d+:\d+: unknown key `subject{g}`"

    def no_yaml(self):
        g = self.take()
        self.whole()
        yamlio.write_atomic(self.path, text(g) + f"x{g}: [\n")
        return "parse", r"policy\.yaml:\d+:\d+: "

    def failing_test(self):
        g = self.take()
        self.whole()
        yamlio.write_atomic(self.path, text(g, tests=[
            {"name": f"t{g}", "as": {"user": "nobody"}, "can": {"verb": "list", "resource": "pods"},
             "expect": "allow"}]))
        return "test", rf"policy\.yaml:\d+:\d+: test `t{g}` failed"

    def rollback(self):
        self.whole()
        g = self.rng.randrange(10, 100)
        yamlio.write_atomic(self.path, text(g))
        return "generation", rf"policy\.yaml: metadata\.generation is {g}, but {self.low} was in force"

    def run(self, edits):
        good = [self.rename, self.rewrite, self.overwrite, self.vim, self.folder, self.link]
        bad = [self.cut, self.empty, self.delete, self.unreadable, self.unknown_key, self.no_yaml,
               self.failing_test, self.rollback]
        # Every way at least once, then by chance; no bad edit after its like: it would be none.
        plan = good + bad
        self.rng.shuffle(plan)
        while len(plan) < edits:
            plan.append(self.rng.choice(good + bad))
        last = None
        for edit in plan:
            if edit in bad and edit == last:
                edit = self.rng.choice(good)
            if edit in good:
                self.good(edit)
            else:
                self.bad(edit)
            last = edit

    def check_told(self):
        records = self.records.look("policy.rejected")
        assert [r["stage"] for r in records] == [stage for stage, _ in self.refused]
        for record, (_, pattern) in zip(records, self.refused):
            assert re.search(pattern, record["error"]), (record, pattern)


def test_a_hundred_edits_under_load(daemon):
    site = Site(daemon)
    yamlio.write(site.path, text(site.low))
    site.d.start()
    with Load(lambda _: site.ask("team-a"), threads=2) as load:
        site.run(EDITS)
        load.wait_more(10)
    assert load.errors == [], load.errors[:3]
    assert load.done > EDITS
    site.check_told()
    assert site.d.metric("portcullis_policy_load_failures_total") == len(site.refused)


def test_swaps_of_several_files_are_never_mixed(daemon):
    """A ConfigMap of two files: each answer of either file is of the generation that both have."""
    site = Site(daemon)
    d = site.d

    def swap(g):
        folder = os.path.join(d.policy_dir, f"..{g}")
        os.makedirs(folder)
        for name, space in (("a.yaml", "team-a"), ("b.yaml", "team-b")):
            yamlio.write(os.path.join(folder, name), text(g, space))
        old = os.readlink(os.path.join(d.policy_dir, "..data")) if g > site.low else None
        os.symlink(f"..{g}", os.path.join(d.policy_dir, "..data_tmp"))
        os.replace(os.path.join(d.policy_dir, "..data_tmp"), os.path.join(d.policy_dir, "..data"))
        if old:
            shutil.rmtree(os.path.join(d.policy_dir, old))

    def burst(g):
        """Many in a row, of which only the last need be seen."""
        with site.lock:
            site.high = g + 6
        for k in range(g, g + 6):
            swap(k)
        site.next = g + 6
        swap(g + 6)

    swap(site.low)
    for name in ("a.yaml", "b.yaml"):
        os.symlink(f"..data/{name}", os.path.join(d.policy_dir, name))
    d.start()
    with Load(lambda i: site.ask(("team-a", "team-b")[i % 2]), threads=2) as load:
        for _ in range(15):
            site.good(swap)
            generation = site.take()
            burst(generation)
            site.records.wait("policy.loaded", lambda r: r["policy"]["generation"] == site.next)
            with site.lock:
                site.low = site.high = site.next
        load.wait_more(10)
    assert load.errors == [], load.errors[:3]
    assert site.records.look("policy.rejected") == []


@pytest.mark.parametrize("broken", [False, True])
def test_killed_in_the_middle_it_comes_back_whole(daemon, broken):
    site = Site(daemon)
    d = site.d
    yamlio.write(site.path, text(site.low))
    d.start()
    for _ in range(4):
        if broken:
            site.bad(site.unknown_key)
            d.kill()
        else:
            site.high = site.take()
            site.rename(site.high)
            d.kill()  # before, while, or after it was loaded
        rejected = len(site.records.look("policy.rejected"))
        d.start()
        site.ask("team-a")
        if broken:
            site.records.wait("policy.rejected", after=rejected)
            assert d.metric("portcullis_policy_info", source="copy") == 1
        site.low = site.high
    site.good(site.rename)
    site.ask("team-a")
