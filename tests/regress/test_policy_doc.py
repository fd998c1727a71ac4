"""The examples of docs/policy-language.md load, and their tests pass; those marked refused do not load."""
import os
import re

import pytest

from support.paths import TOP, program
from support.proc import run

HEAD = "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n"
PAGE = os.path.join(TOP, "docs", "policy-language.md")


def blocks():
    with open(PAGE, encoding="utf-8") as f:
        text = f.read()
    for m in re.finditer(r"^```yaml( refused)?\n(.*?)^```$", text, re.M | re.S):
        line = text.count("\n", 0, m.start()) + 1
        yield pytest.param(m.group(1) is not None, m.group(2), id=f"line-{line}")


@pytest.mark.parametrize("refused, text", blocks())
def test_example(tmp_path, refused, text):
    path = tmp_path / "example.yaml"
    path.write_text(text if text.startswith("apiVersion:") else HEAD + text)
    got = run([program("portcullis"), "policy", "test", path])
    if refused:
        assert got.returncode == 2 and "error: " in got.stderr
        return
    assert got.returncode == 0 and not got.stderr, got.stderr
    assert "tests:" not in text or not got.stdout.startswith("0 passed")


def test_there_are_examples():
    found = [p.values[0] for p in blocks()]
    assert found.count(False) >= 6 and found.count(True) >= 5


def test_every_key_of_the_language_is_on_the_page():
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    with open(os.path.join(TOP, "policy", "load.c"), encoding="utf-8") as f:
        source = f.read()
    keys = set(re.findall(r'\.name = "([a-zA-Z]+)", \.type', source))
    keys |= set(re.findall(r'^\s*(?:STRINGS?|OBJECTS?|CHOICE|NODE)\(\w+, "([a-zA-Z]+)"', source, re.M))
    keys |= set(re.findall(r'LATER\("([a-zA-Z]+)"', source))
    assert len(keys) > 30
    missing = [k for k in sorted(keys) if not re.search(rf"\b{k}\b", page)]
    assert not missing
