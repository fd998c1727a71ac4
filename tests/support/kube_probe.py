"""Speaks with tests/support/kube_probe: the API client of rbac-sync, driven call by call."""
import json
import os
import re
import subprocess
import threading

from .paths import program
from .proc import DEADLINE, Service, WaitError


class KubeProbe(Service):
    """FLAGS: those of the program, name to value (None: without one)."""

    def __init__(self, folder, kubeconfig=None, env=None, **flags):
        os.makedirs(folder, exist_ok=True)
        self.log_path = os.path.join(folder, "kube_probe.log")
        flags = {**({"kubeconfig": kubeconfig} if kubeconfig else {}), **flags}
        self.argv = [program("tests/support/kube_probe")]
        for k, v in flags.items():
            self.argv.append(f"--{k.replace('_', '-')}" + ("" if v is None else f"={v}"))
        self.env = {**os.environ, **(env or {})}
        self.said = []
        self._read = 0  # what wait() has gone past
        self._more = threading.Condition()
        self._over = False
        self.popen = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                          env=self.env, text=True, bufsize=1)
        self._reader = threading.Thread(target=self._listen)
        self._reader.start()
        self.wait(event="ready")
        return self

    def _listen(self):
        for line in self.popen.stdout:
            with self._more:
                self.said.append(json.loads(line))
                self._more.notify_all()
        with self._more:
            self._over = True
            self._more.notify_all()

    def stop(self):
        """Ends it by the end of its input; a sanitizer's complaint is a failure."""
        try:
            self.popen.stdin.close()
        except OSError:
            pass
        try:
            code = self.popen.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            code = self.popen.wait()
        self._reader.join()
        self.popen.stdout.close()
        assert code == 0, f"exit {code}\n{self.log()}"

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    # --- events ---
    def wait(self, deadline=None, **fields):
        """The next thing it says with these FIELDS; what comes before is passed over."""
        def found():
            for i in range(self._read, len(self.said)):
                if all(self.said[i].get(k) == v for k, v in fields.items()):
                    return i
            return None
        with self._more:
            self._more.wait_for(lambda: found() is not None or self._over, deadline or DEADLINE)
            at = found()
            if at is None:
                raise WaitError(f"nothing with {fields}\n{self.said[-20:]}\n{self.log()}")
            self._read = at + 1
            return self.said[at]

    def told(self, **fields):
        with self._more:
            return [s for s in self.said if all(s.get(k) == v for k, v in fields.items())]

    # --- commands ---
    def tell(self, *words):
        self.popen.stdin.write("\t".join(w if isinstance(w, str) else json.dumps(w) for w in words) + "\n")
        self.popen.stdin.flush()

    def ask(self, *words):
        """A call and its answer."""
        with self._more:
            at = len(self.said)
        self.tell(*words)
        with self._more:
            def answer():
                return next((s for s in self.said[at:] if "answer" in s), None)
            self._more.wait_for(lambda: answer() or self._over, DEADLINE)
            got = answer()
            if got is None:
                raise WaitError(f"no answer to {words}\n{self.said[-20:]}\n{self.log()}")
            self._read = len(self.said)
            return got

    def list(self, collection, query="-", how="cached"):
        """Names of the items, and the answer."""
        with self._more:
            at = len(self.said)
        got = self.ask("list", collection, query, how)
        with self._more:
            return [s["name"] for s in self.said[at:] if s.get("event") == "item"], got

    def healthy(self):
        self.tell("health")
        return self.wait(event="health")

    def metric(self, name, **labels):
        """The value of a series; 0 where there is none."""
        self.tell("metrics")
        text = self.wait(event="metrics")["text"]
        for m in re.finditer(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE):
            if dict(re.findall(r'(\w+)="([^"]*)"', m[1] or "")) == labels:
                return float(m[2])
        return 0
