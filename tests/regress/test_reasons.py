"""The words that tell why somebody was refused: one table in the sources, the same in the manual."""
import glob
import os
import re

from support.paths import TOP
from support.reasons import words

PAGES = ["authentication.md", "keystone.md", "ldap.md", "login.md"]


def described(page):
    """The words in the first column of the page's tables of reasons."""
    with open(os.path.join(TOP, "docs", page), encoding="utf-8") as f:
        text = f.read()
    found = set()
    for table in re.findall(r"^\| reason[ |].*\n((?:\|.*\n)+)", text, re.M):
        for row in table.splitlines()[1:]:
            found |= set(re.findall(r"`([A-Za-z]+)`", row.split("|")[1]))
    return found


def test_the_table_is_sorted_and_has_no_word_twice():
    assert words() == sorted(set(words()))


def test_the_manual_describes_exactly_the_words_of_the_table():
    told = set.union(*(described(p) for p in PAGES))
    assert told == set(words()), (told - set(words()), set(words()) - told)


def test_each_word_is_given_by_some_source():
    text = ""
    for name in glob.glob(os.path.join(TOP, "authn", "*.c")) + glob.glob(os.path.join(TOP, "server", "*.c")):
        with open(name, encoding="utf-8") as f:
            text += f.read()
    assert [w for w in words() if f'"{w}"' not in text and w != "other"] == []


def test_a_word_given_as_a_reason_is_in_the_table():
    """Where the word follows directly; what helpers hand on is seen in the audit logs of all tests."""
    given = re.compile(r'(?:AUTHN_(?:REJECT|UNAVAILABLE), |LOGIN_\w+, |REFUSE\(\S+, |reason = )"([^"]*)"')
    for name in glob.glob(os.path.join(TOP, "authn", "*.c")) + glob.glob(os.path.join(TOP, "server", "*.c")):
        with open(name, encoding="utf-8") as f:
            for word in given.findall(f.read()):
                assert word in words(), f"{name}: {word}"
