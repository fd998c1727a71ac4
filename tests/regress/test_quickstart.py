"""The first command of the README does what it says."""
import os
import re
import signal

import pytest

from support.paths import TOP
from support.proc import Process, run, wait_until

pytestmark = pytest.mark.plain_only
QUICKSTART = os.path.join(TOP, "scripts", "quickstart")


def test_once_shows_right_answers_and_cleans_up(tmp_path):
    got = run([QUICKSTART, "--once"], env={"TMPDIR": str(tmp_path)}, deadline=600)
    assert got.returncode == 0, got.stdout + got.stderr
    out = got.stdout
    assert out.count("\nright\n") == 4 and "WRONG" not in out
    assert out.count("request: POST https://127.0.0.1:") == 4
    assert out.count('"type": "authz.decision"') == 3 and out.count('"type": "authn.review"') == 1
    for rule in ("dev-reads-teams", "protect-kube-system"):
        assert f'"rule": "{rule}"' in out
    # The token was shown as the question; in the audit log it must not stand.
    token = re.search(r'"token": "([^"]{40})', out).group(1)
    assert token not in out[out.index("The audit log"):]
    assert os.listdir(tmp_path) == []


def test_stays_up_until_interrupted(tmp_path):
    p = Process([QUICKSTART], tmp_path / "log", env={"TMPDIR": str(tmp_path)})
    with p:
        p.wait_line(r"stays up until Ctrl-C", deadline=600)
        port = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", p.output()).group(1)
        assert run(["curl", "-fsS", "--noproxy", "*", f"http://127.0.0.1:{port}/livez"]).returncode == 0
        os.killpg(p.pid, signal.SIGINT)
        p.wait()
    assert run(["curl", "-fsS", "--noproxy", "*", f"http://127.0.0.1:{port}/livez"]).returncode != 0
    wait_until(lambda: os.listdir(tmp_path) == ["log"], "the work folder to be removed")


def test_unknown_argument_is_refused():
    got = run([QUICKSTART, "--twice"])
    assert got.returncode == 2 and "--help" in got.stderr
