"""Polls of directories without a worker: tests/support/roster_probe, a command a line."""
import json
import os
import subprocess

from .paths import program


class RosterProbe:
    """DIRECTORIES: entries of the worker's `directories`."""

    def __init__(self, folder, directories):
        os.makedirs(str(folder), exist_ok=True)
        self.path = os.path.join(str(folder), "rbac-sync.yaml")
        with open(self.path, "w", encoding="utf-8") as f:
            json.dump({"apiVersion": "sync.portcullis.dev/v1alpha1", "kind": "RBACSyncConfiguration",
                       "templates": "templates.yaml", "directories": directories}, f)
        self.log = os.path.join(str(folder), "roster_probe.log")
        self.popen = None
        self.polls = 0

    def __enter__(self):
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen([program("tests/support/roster_probe"), self.path], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, stderr=log, text=True)
        return self

    def __exit__(self, kind, *exc):
        self.popen.communicate(timeout=120)
        assert kind or self.popen.returncode == 0, f"exit {self.popen.returncode}\n{self.output()}"

    def output(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()

    def ask(self, *words):
        self.popen.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.popen.stdin.flush()
        line = self.popen.stdout.readline()
        assert line, f"roster_probe ended: {self.popen.wait()}\n{self.output()}"
        return json.loads(line)

    def wait(self, more=1):
        """Until MORE polls have ended; all results so far."""
        self.polls += more
        return self.ask("wait", self.polls)

    def lead(self):
        """Begins to lead, and waits for the first poll of each directory (one)."""
        self.ask("lead", 1)
        return self.wait()

    def later(self, seconds=3600):
        """The next poll, SECONDS later."""
        self.ask("advance", seconds)
        return self.wait()

    def say(self, user, provider="ldap:corp"):
        return self.ask("say", provider, user)["word"]

    def claim(self, user, *groups, provider="ldap:corp"):
        """The word on each group that the record of USER claims."""
        return self.ask("claim", provider, user, ",".join(groups))

    def count(self, name="corp"):
        return self.ask("count", name)["count"]

    def counts(self, name="corp"):
        return self.ask("count", name)
