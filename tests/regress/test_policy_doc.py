"""The examples of docs/policy-language.md load, and their tests pass; those marked refused do not load."""
import json
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


def files():
    """What the examples import."""
    with open(PAGE, encoding="utf-8") as f:
        return re.findall(r"^```yaml file=(\S+)\n(.*?)^```$", f.read(), re.M | re.S)


@pytest.mark.parametrize("refused, text", blocks())
def test_example(tmp_path, refused, text):
    path = tmp_path / "example.yaml"
    for name, companion in files():
        (tmp_path / name).write_text(companion)
    path.write_text(text if "apiVersion:" in text else HEAD + text)
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
    schema = json.loads(run([program("portcullis"), "policy", "schema"]).stdout)
    tables = [schema, *schema["definitions"].values()]
    keys = {"when"}.union(*(t["properties"] for t in tables))
    assert len(keys) > 60
    missing = [k for k in sorted(keys) if not re.search(rf"\b{k}\b", page)]
    assert not missing
