"""The directory code without a daemon: tests/support/ldap_probe, one question a line."""
import json
import os
import subprocess

from .paths import program


class Probe:
    def __init__(self, folder, config, env=None, cwd=None):
        os.makedirs(str(folder), exist_ok=True)
        self.path = os.path.join(str(folder), "ldap.yaml")
        with open(self.path, "w", encoding="utf-8") as f:
            json.dump(config, f)
        full = dict(os.environ)
        full.update(env or {})
        self.popen = subprocess.Popen([program("tests/support/ldap_probe"), self.path],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, env=full, cwd=cwd)

    def _ask(self, op, name, other, ms):
        def field(v):
            return (v if isinstance(v, bytes) else v.encode()).hex() or "-"
        self.popen.stdin.write(f"{op} {field(name)} {field(other)} {ms}\n")
        self.popen.stdin.flush()
        line = self.popen.stdout.readline()
        assert line, f"ldap_probe ended: {self.popen.wait()}\n{self.popen.stderr.read()}"
        return json.loads(line)

    def login(self, name, password, ms=20000):
        return self._ask("login", name, password, ms)

    def lookup(self, name, uid, ms=20000):
        return self._ask("lookup", name, uid, ms)

    def failure(self):
        """For a configuration that is refused: exit code and findings."""
        _, err = self.popen.communicate()
        return self.popen.returncode, err

    def __enter__(self):
        return self

    def __exit__(self, kind, *exc):
        _, err = self.popen.communicate()
        assert kind or self.popen.returncode == 0, f"exit {self.popen.returncode}\n{err}"
