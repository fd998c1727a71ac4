"""The manual pages are clean, and tell of the options that --help tells of: no more, no fewer."""
import os
import re

import pytest

from support.paths import TOP, program, tool
from support.proc import run

PAGES = [("portcullisd", "portcullisd.8"), ("portcullis", "portcullis.1"),
         ("portcullis-rbac-sync", "portcullis-rbac-sync.8")]
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]+)")


def page_text(name):
    got = run([tool("man"), "--warnings", "-l", os.path.join(TOP, "man", name)],
              env={"LC_ALL": "C.UTF-8", "MANWIDTH": "100", "MAN_KEEP_FORMATTING": "", "MANPAGER": "cat"})
    assert got.returncode == 0
    assert got.stderr == "", got.stderr
    return re.sub(".\b", "", got.stdout).replace("\u2010", "-").replace("\u2212", "-")


def help_text(name):
    """--help of the program, and of each command that it lists."""
    got = run([program(name), "--help"])
    assert got.returncode == 0 and got.stdout and not got.stderr, got
    text = got.stdout
    commands = re.findall(r"^  ([a-z]+(?: [a-z-]+)?)  ", text, re.MULTILINE) if name == "portcullis" else []
    for command in commands:
        got = run([program(name), *command.split(), "--help"])
        assert got.returncode == 0, got
        text += got.stdout
    return text, commands


@pytest.mark.parametrize("name,page", PAGES)
def test_page_tells_the_options_of_help(name, page):
    text, commands = help_text(name)
    manual = page_text(page)
    told = set(OPTION.findall(text)) | {"--help", "--version"}
    assert set(OPTION.findall(manual)) == told
    if name == "portcullis":
        assert commands
    for command in commands:
        assert f"portcullis {command}" in re.sub(" +", " ", manual), command  # the page is set in full lines


@pytest.mark.parametrize("name,page", PAGES)
def test_version_is_that_of_the_page(name, page):
    got = run([program(name), "--version"])
    assert got.returncode == 0
    version = re.search(r"\d+\.\d+\.\d+", got.stdout).group(0)
    with open(os.path.join(TOP, "man", page), encoding="utf-8") as f:
        assert f'"Portcullis {version}"' in f.readline()


@pytest.mark.parametrize("name", [p[0] for p in PAGES])
def test_help_fits_a_terminal(name):
    for line in help_text(name)[0].splitlines():
        assert len(line) <= 100, line
