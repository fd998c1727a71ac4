"""The list of Kubernetes' own OIDC cases and what became of each here. Run as a program, prints docs/oidc-parity.md."""
import os
import sys

import yaml

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CASES = os.path.join(TOP, "tests", "cases", "oidc_parity", "cases.yaml")
PAGE = os.path.join(TOP, "docs", "oidc-parity.md")

HEAD = """# Parity with Kubernetes' OIDC authenticator

The named cases of `oidc_test.go` (k8s.io/apiserver, `plugin/pkg/authenticator/token/oidc`, as of structured
authentication with egress selectors), and what became of each here. Counterparts are written from what a case is
about, with data of our own: `tests/cases/oidc_parity/cases.yaml`, run by `tests/regress/test_oidc_parity.py` on the
daemon. This page is made from that file by `python3 tests/support/oidc_parity.py`; a test holds both together.

Out are cases of CEL, whose keys are refused at load as not supported yet, of egress selectors, which exist inside
the apiserver alone, and of interfaces of Go.
"""


def cases():
    with open(CASES, encoding="utf-8") as f:
        return yaml.safe_load(f)


def _result(c):
    if "out" in c:
        return f"out: {c['out']}"
    if "proof" in c:
        path, _, name = c["proof"].partition("::")
        return f"`{os.path.basename(path)}` {name.replace('test_', '', 1).replace('_', ' ')}"
    e = c["expect"]
    if "user" in e:
        return "accepted"
    if "start" in e:
        return "refused at start"
    if "unavailable" in e:
        return f"`503`: `{e['unavailable']}`"
    return f"refused: `{e['refused']}`"


def page():
    listed = cases()
    out = sum("out" in c for c in listed)
    lines = [HEAD, f"\n{len(listed)} cases: {len(listed) - out} with a counterpart, {out} out.\n\n",
             "| case | about | here |\n|---|---|---|\n"]
    for c in listed:
        more = [c[k] for k in ("note", "differs") if k in c]
        here = _result(c) + (f" ({'; '.join(more)})" if more else "")
        lines.append("| " + " | ".join(x.replace("|", "\\|") for x in (c["name"], c["about"], here)) + " |\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
