"""Runs what a page of docs/ shows: its files, its policies, and its commands with what they print.

| block | |
|---|---|
| yaml | a policy, whose tests must pass, and that lint must find clean; `yaml allow=CODE,CODE`: but for these findings; `yaml refused`: one that must not load |
| yaml file=NAME, json file=NAME | written to NAME, for the blocks of its section |
| yaml config | a part of the configuration: the keys must be known |
| console | lines of `$ command`, each followed by what it prints. `…` alone stands for any lines, within a line for any text; `# exit N` behind a command is its exit code |
"""
import os
import re
import shlex
import subprocess

from .paths import TOP, program

HEAD = "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n"


class Block:
    def __init__(self, section, line, info, text):
        self.section, self.line, self.text = section, line, text
        self.kind, _, self.info = info.partition(" ")

    @property
    def file(self):
        return self.info[5:] if self.info.startswith("file=") else None

    def __repr__(self):
        return f"line-{self.line}"


def blocks(page):
    """Of docs/PAGE, in order; a section is what stands beneath one heading of level 2."""
    with open(os.path.join(TOP, "docs", page), encoding="utf-8") as f:
        lines = f.read().split("\n")
    out, section, start = [], "", None
    for n, line in enumerate(lines, 1):
        if start is None and line.startswith("## "):
            section = line[3:]
        elif line.startswith("```") and start is None:
            start, info, text = n, line[3:].strip(), []
        elif line == "```":
            out.append(Block(section, start, info, "\n".join(text) + "\n" if text else ""))
            start = None
        elif start is not None:
            text.append(line)
    assert start is None, f"{page}:{start}: the block does not end"
    return out


def write_files(folder, found):
    for b in found:
        if b.file:
            path = os.path.join(folder, b.file)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(b.text)


def policy_text(text):
    return text if "apiVersion: portcullis.dev" in text else HEAD + text


def commands(text):
    """[(command, exit code, what it prints)]"""
    out = []
    for line in text.splitlines():
        if line.startswith("$ "):
            command, _, code = line[2:].partition(" # exit ")
            out.append((command.strip(), int(code or 0), []))
        else:
            out[-1][2].append(line)
    return out


def run_command(folder, command):
    """(exit code, errors and then output): one program, perhaps with a file as its input or its output."""
    words = shlex.split(command)
    source = sink = None
    if len(words) > 2 and words[-2] == "<":
        source, words = words[-1], words[:-2]
    if len(words) > 2 and words[-2] == ">":
        sink, words = words[-1], words[:-2]
    if words[0] == "portcullis":
        words[0] = str(program("portcullis"))
    with open(os.path.join(folder, source) if source else os.devnull, encoding="utf-8") as f:
        got = subprocess.run(words, cwd=folder, stdin=f, capture_output=True, text=True, timeout=60, check=False)
    if sink:
        with open(os.path.join(folder, sink), "w", encoding="utf-8") as f:
            f.write(got.stdout)
        return got.returncode, got.stderr
    return got.returncode, got.stderr + got.stdout


def as_shown(shown, printed):
    """Does PRINTED look as SHOWN?"""
    text = "\n".join(shown) + "\n" if shown else ""
    pattern = re.escape(text).replace(re.escape("…\n"), "(?:.*\n)*").replace("…", ".*")
    return re.fullmatch(pattern, printed) is not None


def run_console(folder, block, page):
    for command, code, shown in commands(block.text):
        got, printed = run_command(folder, command)
        assert got == code and as_shown(shown, printed), (
            f"docs/{page}:{block.line}: $ {command}\nexit {got}, prints:\n{printed}")


def run_page(folder, page):
    """The blocks of a whole page in their order, in one folder."""
    for b in blocks(page):
        if b.file:
            write_files(folder, [b])
        elif b.kind == "console":
            run_console(folder, b, page)
