"""The process itself: nothing of its memory reaches a core, its files are its own."""
import os
import re
import stat

import pytest

BOB = "token-bob-41d0"


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_no_core_is_written(daemon):
    d = daemon()
    with open(f"/proc/{d.process.popen.pid}/limits", encoding="ascii") as f:
        line = next(x for x in f if x.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"]


def test_files_are_for_the_owner_alone(daemon):
    def fresh_state(c):
        c["stateDir"] += "/new"
    d = daemon(edit=fresh_state)
    assert d.user_of(BOB)
    d.wait_audit("authn.review")
    assert mode(d.audit_path) == 0o600
    assert mode(d.config["stateDir"]) == 0o700
    assert mode(os.path.join(d.config["stateDir"], "last-good-policy")) == 0o600


def test_every_line_of_the_log_is_json(daemon):
    d = daemon()
    d.user_of(BOB)
    d.reload()
    d.wait_log("reload asked for")
    assert d.stop() == 0
    lines = [r for r in d.log() if r]
    assert lines and all({"ts", "level", "program", "msg"} <= set(r) for r in lines)


def test_metrics_page_is_well_formed(daemon):
    """Each sample follows the type line of its name; names and series are unique."""
    d = daemon()
    d.user_of(BOB)
    d.verdict("bob", groups=["dev"], namespace="team-a")
    with d.ops() as c:
        got = c.get("/metrics")
    assert got.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    typed, series = None, set()
    for line in got.text.splitlines():
        m = re.match(r"# TYPE (\S+) (counter|gauge|histogram)$", line)
        if m:
            assert m.group(1) != typed
            typed = m.group(1)
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            float(value)
            assert re.sub(r"(_bucket|_sum|_count)?(\{.*)?$", "", name) in (typed, re.sub(r"_(sum|count)$", "", typed))
            assert name not in series
            series.add(name)
    assert len(series) > 30


@pytest.mark.parametrize("name", ["portcullis_access_reviews_total", "portcullis_http_requests_total",
                                  "portcullis_token_review_duration_seconds_count", "portcullis_build_info"])
def test_alerts_find_their_series_before_anything_happened(daemon, name):
    d = daemon()
    assert any(k.startswith(name) for k in d.metrics())
