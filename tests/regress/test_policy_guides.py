"""The guides to policies say what is so: every policy in them loads, its tests pass and lint has nothing against it;
every command in them prints what is shown."""
import os
import re

import pytest

from support import guides
from support.paths import TOP, program
from support.proc import run

PAGES = ["policy-recipes.md", "policy-migration.md"]
TUTORIAL = "policy-tutorial.md"
SECTIONS = [(p, s) for p in PAGES for s in dict.fromkeys(b.section for b in guides.blocks(p))]


def policies():
    for page in PAGES:
        for b in guides.blocks(page):
            if b.kind == "yaml" and (b.info in ("", "refused") or b.info.startswith("allow=")):
                yield pytest.param(page, b, id=f"{page}-{b.line}")


@pytest.mark.parametrize("page, block", policies())
def test_policy(tmp_path, page, block):
    guides.write_files(tmp_path, [b for b in guides.blocks(page) if b.section == block.section])
    path = tmp_path / "example.yaml"
    path.write_text(guides.policy_text(block.text))
    got = run([program("portcullis"), "policy", "test", path])
    if block.info == "refused":
        assert got.returncode == 2 and "error: " in got.stderr
        return
    assert got.returncode == 0, got.stdout + got.stderr
    assert re.match(r"[1-9]\d* passed, 0 failed", got.stdout), got.stdout
    # As of when the guides were written: what ends since then was in force.
    got = run([program("portcullis"), "policy", "lint", "--now", "2026-11-22T11:00:00Z",
               *(["--allow", block.info[6:]] if block.info else []), path])
    assert got.returncode == 0, got.stdout + got.stderr


@pytest.mark.parametrize("page, section", SECTIONS)
def test_commands(tmp_path, page, section):
    """In order, in one folder a section, with the files that stand there."""
    found = [b for b in guides.blocks(page) if b.section == section]
    guides.write_files(tmp_path, found)
    for b in found:
        if b.kind == "console":
            guides.run_console(tmp_path, b, page)


def test_the_tutorial_runs_as_it_is_told(tmp_path):
    guides.run_page(tmp_path, TUTORIAL)
    assert sum(b.kind == "console" for b in guides.blocks(TUTORIAL)) >= 12


def test_there_are_twenty_recipes():
    found = [s for p, s in SECTIONS if p == "policy-recipes.md"]
    assert [s.split(".")[0] for s in found] == [str(n) for n in range(1, 21)]


def test_keys_of_the_configuration_are_known():
    with open(os.path.join(TOP, "docs", "configuration-reference.md"), encoding="utf-8") as f:
        reference = f.read()
    for page in [*PAGES, TUTORIAL]:
        for b in guides.blocks(page):
            if b.kind == "yaml" and b.info == "config":
                keys = re.findall(r"^ +([a-zA-Z]+):", b.text, re.M)
                assert keys and not [k for k in keys if f"`{k}`" not in reference]
