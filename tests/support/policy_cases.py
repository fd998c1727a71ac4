"""The table of tricky access reviews: its rows, who proves them, and the page that lists them.

tests/cases/authz/rows.yaml has the rows. Those of *.cases files prove themselves by their number, others are named
in the row's `also`. Run as a program, this prints docs/policy-cases.md.
"""
import functools
import glob
import os
import re
import sys

import yaml

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CASES = os.path.join(TOP, "tests", "cases")
ROWS = os.path.join(CASES, "authz", "rows.yaml")
PAGE = os.path.join(TOP, "docs", "policy-cases.md")
RUNNER = os.path.join(TOP, "tests", "unit", "test_authz_cases.c")

HEAD = """# Tricky access reviews

Ninety access reviews that authorizers of the field get wrong, or that surprise who writes a policy; what comes of each
here, and the tests that ask. Made from `tests/cases/authz/rows.yaml` by `python3 tests/support/policy_cases.py`; a test
holds both together, and another one every row to its tests.

*RBAC* and *ABAC* rows are of imported files, which answer as upstream does ([parity](rbac-parity.md)); where the
[policy language](policy-language.md) itself answers otherwise, the row says so. Files named `*.cases` are run by
`tests/unit/test_authz_cases.c`: the number is that of the questions asked there.
"""


@functools.lru_cache(None)
def rows():
    """{1: {"area": …, "policy": …, "request": …, "answer": …, "why": …, "also": […]}}"""
    with open(ROWS, encoding="utf-8") as f:
        return {r.pop("row"): r for r in yaml.safe_load(f)}


@functools.lru_cache(None)
def asked():
    """{row: {"authz/names.cases": questions}}"""
    out = {}
    for folder in ("authz", "rbac", "abac"):
        for path in sorted(glob.glob(os.path.join(CASES, folder, "*.cases"))):
            with open(path, encoding="utf-8") as f:
                for m in re.finditer(r"^row (\d+) \|", f.read(), re.M):
                    files = out.setdefault(int(m.group(1)), {})
                    name = os.path.relpath(path, CASES)
                    files[name] = files.get(name, 0) + 1
    return out


def run_by_the_runner(name):
    """Is authz/names.cases among what the C test runs?"""
    with open(RUNNER, encoding="utf-8") as f:
        text = f.read()
    folder, stem = name.removesuffix(".cases").split("/")
    return f"FILE_TEST({folder}, {stem}," in text and f"cmocka_unit_test(test_{folder}_{stem})" in text


def _cell(text):
    return " ".join(str(text).split()).replace("|", "\\|")


def _proofs(row, r):
    for name, n in asked().get(row, {}).items():
        yield f"`{name}` {n}"
    for test in r.get("also", []):
        path, _, name = test.partition("::")
        yield f"`{os.path.basename(path)}` {name.replace('test_', '', 1).replace('_', ' ')}"


def _line(row, r):
    answer = _cell(r["answer"]) + (f" ({_cell(r['why'])})" if r.get("why") else "")
    return (f"| {row} | {_cell(r['policy'])} | {_cell(r['request'])} | {answer} | "
            f"{'; '.join(_proofs(row, r))} |\n")


def page():
    areas = {}
    for row, r in rows().items():
        areas.setdefault(r["area"], []).append(_line(row, r))
    out = [HEAD]
    for area, lines in areas.items():
        out += [f"\n## {area}\n\n| # | policy | request | answer | asked by |\n|---|---|---|---|---|\n", *lines]
    return "".join(out)


if __name__ == "__main__":
    sys.stdout.write(page())
