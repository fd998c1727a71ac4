"""Programs started by tests: logs to a file, waited for by event with a deadline, always stopped."""
import atexit
import os
import re
import signal
import socket
import subprocess
import time

# Long enough for a sanitizer build on a loaded machine. A passing test never waits this long.
DEADLINE = float(os.environ.get("PORTCULLIS_TEST_DEADLINE", "60"))
_POLL = 0.02
_alive = set()


class WaitError(AssertionError):
    """What was waited for did not come."""


def wait_until(check, what, deadline=None, interval=_POLL):
    """Calls CHECK until it gives something true, which is returned. WHAT: text, or a function for it."""
    end = time.monotonic() + (deadline or DEADLINE)
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > end:
            raise WaitError("gave up waiting for " + (what() if callable(what) else what))
        time.sleep(interval)


def port_open(port, host="127.0.0.1"):
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


class Service:
    """What a `with` starts and stops."""

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()


class Process:
    """One child in a process group of its own. Use as a context manager or call stop()."""

    def __init__(self, argv, log, env=None, cwd=None, name=None, stdin=None, pass_fds=()):
        self.argv = [str(a) for a in argv]
        self.name = name or os.path.basename(self.argv[0])
        self.log_path = str(log)
        self.env = env
        self.cwd = cwd
        self.stdin = stdin
        self.pass_fds = pass_fds
        self.popen = None
        self._from = 0

    # --- life ---
    def start(self):
        assert self.popen is None or self.popen.poll() is not None, f"{self.name} already runs"
        full = dict(os.environ)
        full.update(self.env or {})
        with open(self.log_path, "ab") as out:
            self._from = out.tell()
            self.popen = subprocess.Popen(
                self.argv, stdin=self.stdin or subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, env=full, cwd=self.cwd, start_new_session=True,
                pass_fds=self.pass_fds)
        _alive.add(self)
        return self

    @property
    def pid(self):
        return self.popen.pid

    @property
    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def signal(self, sig):
        self.popen.send_signal(sig)

    def wait(self, deadline=None):
        """Waits for the end by itself; gives the exit code."""
        try:
            return self.popen.wait(deadline or DEADLINE)
        except subprocess.TimeoutExpired:
            raise WaitError(f"{self.name} did not end\n{self.tail()}") from None

    def kill(self):
        """kill -9, the whole group."""
        if self.popen is None:
            return
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()
        _alive.discard(self)

    def stop(self, deadline=None):
        """SIGTERM, wait, then SIGKILL for what is left of the group. Gives the exit code."""
        if self.popen is None:
            return None
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(deadline or DEADLINE)
            except subprocess.TimeoutExpired:
                pass
        code = self.popen.poll()
        self.kill()
        return code

    def __enter__(self):
        return self.start() if self.popen is None else self

    def __exit__(self, *exc):
        self.stop()

    # --- output ---
    def output(self):
        """All that this start has printed so far."""
        with open(self.log_path, "rb") as f:
            f.seek(self._from)
            return f.read().decode("utf-8", "replace")

    def tail(self, lines=40):
        return f"--- {self.name}: {' '.join(self.argv)}\n" + "\n".join(
            self.output().splitlines()[-lines:])

    # --- events ---
    def _alive_or_raise(self, what):
        if not self.running:
            raise WaitError(f"{self.name} ended ({self.popen.poll()}) before {what}\n{self.tail()}")

    def wait_line(self, pattern, deadline=None, count=1):
        """Waits until PATTERN was printed COUNT times; gives the last match."""
        rx = re.compile(pattern, re.MULTILINE)

        def look():
            found = list(rx.finditer(self.output()))
            if len(found) >= count:
                return found[count - 1]
            self._alive_or_raise(f"printing {pattern!r}")
            return None
        return wait_until(look, lambda: f"{pattern!r}\n{self.tail()}", deadline)

    def wait_port(self, port, deadline=None, host="127.0.0.1"):
        def look():
            if port_open(port, host):
                return True
            self._alive_or_raise(f"listening on {port}")
            return False
        wait_until(look, lambda: f"{self.name} to listen on {port}\n{self.tail()}", deadline)
        return self

    def wait_for(self, check, what, deadline=None, interval=_POLL):
        """As wait_until, but fails at once when the program ends."""
        def look():
            got = check()
            if not got:
                self._alive_or_raise(what)
            return got
        return wait_until(look, lambda: f"{what}\n{self.tail()}", deadline, interval)


def run(argv, env=None, cwd=None, stdin=None, deadline=None, check=False):
    """Runs to the end. Gives CompletedProcess with text output."""
    full = dict(os.environ)
    full.update(env or {})
    got = subprocess.run([str(a) for a in argv], env=full, cwd=cwd, input=stdin, text=True,
                         capture_output=True, timeout=deadline or DEADLINE, check=False)
    if check and got.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {got.returncode}\n"
                             f"{got.stdout}\n{got.stderr}")
    return got


@atexit.register
def _stop_all():
    for p in list(_alive):
        p.kill()
