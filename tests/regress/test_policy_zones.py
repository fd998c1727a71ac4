"""Time zones and weekly hours against another implementation: Python's zoneinfo, on the same files."""
import bisect
import datetime
import json
import random
import re
import zoneinfo

import pytest

from support.paths import program
from support.portcullisd import POLICY
from support.proc import run

UTC = datetime.timezone.utc
START = int(datetime.datetime(2020, 1, 1, tzinfo=UTC).timestamp())
END = int(datetime.datetime(2041, 1, 1, tzinfo=UTC).timestamp())
DAY = 86400
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia",
         "Africa/Casablanca", "Europe/Dublin", "America/Nuuk", "Asia/Gaza"]
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def probe(what, arg, start=START, end=END):
    got = run([program("tests/support/window_probe"), what, str(arg), str(start), str(end)])
    assert got.returncode == 0, got
    return [line.split() for line in got.stdout.splitlines()]


def offset(zone, t):
    return int(datetime.datetime.fromtimestamp(t, zone).utcoffset().total_seconds())


def check_zone(name, start, end, step):
    """Each change is one there too, and on a grid of STEP seconds there is no other."""
    zone = zoneinfo.ZoneInfo(name)
    rows = probe("zone", name, start, end)
    times, offsets = [start], [int(rows[0][0])]
    for t, o in rows[1:]:
        assert offset(zone, int(t) - 1) == offsets[-1] and offset(zone, int(t)) == int(o), (name, t)
        times.append(int(t))
        offsets.append(int(o))
    for t in range(start, end, step):
        assert offset(zone, t) == offsets[bisect.bisect_right(times, t) - 1], (name, t)
    return times[1:]


@pytest.mark.parametrize("name", ZONES)
def test_zone_from_2020_to_2040(name):
    check_zone(name, START, END, 6 * 3600)


def test_every_zone_of_the_system():
    names = sorted(n for n in zoneinfo.available_timezones() if re.match("[A-Z]", n))
    assert len(names) > 400
    for name in names:
        check_zone(name, START, END, 17 * DAY)


@pytest.mark.parametrize("name,start", [("Pacific/Apia", 2010), ("Europe/Berlin", 1945), ("America/New_York", 2090),
                                        ("Asia/Gaza", 2080)])
def test_other_years(name, start):
    times = [int(datetime.datetime(y, 1, 1, tzinfo=UTC).timestamp()) for y in (start, start + 5)]
    assert check_zone(name, *times, 3600)


# --- windows ---

def random_span(rng):
    span = {"tz": rng.choice(ZONES)}
    if rng.random() < 0.8:
        span["days"] = rng.choice([["mon-fri"], ["sat-sun"], ["fri-mon"], ["sun"], ["mon", "wed", "fri-sat"]])
    if rng.random() < 0.8 or "days" not in span:
        span["hours"] = rng.choice([["08:00-18:00"], ["22:00-06:00"], ["01:30-02:45"], ["00:00-24:00"],
                                    ["23:59-00:00", "12:00-12:01"], ["02:00-03:00", "14:15-16:00"]])
    return span


def minute(text):
    return int(text[:2]) * 60 + int(text[3:])


class Naive:
    """What the documentation says of a span, and no more."""

    def __init__(self, span):
        self.zone = zoneinfo.ZoneInfo(span["tz"])
        self.days = set()
        for item in span.get("days", ["mon-sun"]):
            first, last = DAYS.index(item[:3]), DAYS.index(item[-3:])
            self.days |= {d % 7 for d in range(first, last + (8 if last < first else 1))}
        self.hours = [tuple(map(minute, h.split("-"))) for h in span.get("hours", ["00:00-24:00"])]

    def holds(self, t):
        local = datetime.datetime.fromtimestamp(t, self.zone)
        now, day = local.hour * 60 + local.minute, local.weekday()
        for start, end in self.hours:
            if day in self.days and start <= now and (now < end or end <= start):
                return True
            if end <= start and (day - 1) % 7 in self.days and now < end:
                return True
        return False


def test_windows_from_2020_to_2040(tmp_path):
    rng = random.Random(20261122)
    spans = [(random_span(rng), random_span(rng) if rng.random() < 0.4 else None) for _ in range(40)]
    rules = [{"id": f"r{i}", "effect": "allow", "subjects": {"users": ["bob"]}, "apiGroups": [""], "resources": ["pods"],
              "verbs": ["get"], "valid": {**span, **({"except": out} if out else {})}}
             for i, (span, out) in enumerate(spans)]
    path = tmp_path / "p.yaml"
    path.write_text(json.dumps({**POLICY, "rules": rules}) + "\n")
    rows = probe("rules", path)
    assert [r[0] for r in rows] == [r["id"] for r in rules]
    for (span, out), row in zip(spans, rows):
        first, turns = row[1] == "1", [int(t) for t in row[2:]]
        inside, except_ = Naive(span), Naive(out) if out else None

        def holds(t):
            return inside.holds(t) and not (except_ and except_.holds(t))

        def told(t):
            return first ^ (bisect.bisect_right(turns, t) & 1)

        for t in rng.sample(turns, min(len(turns), 500)):
            assert holds(t - 1) != holds(t), (span, out, t)
        for t in range(START, END, 5 * DAY + 3600 + 60 * 7):
            assert holds(t) == told(t), (span, out, t)
        # Minute by minute around the changes of the clocks of some years.
        for change in probe("zone", span["tz"])[1:]:
            at = int(change[0])
            if rng.random() < 0.1:
                for t in range(at - DAY, at + DAY, 60):
                    assert holds(t) == told(t), (span, out, t)
        week = START + rng.randrange(21 * 364) * DAY
        for t in range(week, week + 7 * DAY, 60):
            assert holds(t) == told(t), (span, out, t)
