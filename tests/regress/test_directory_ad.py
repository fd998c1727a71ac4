"""Directories of Active Directory's kind: a real Samba domain controller, asked by the directory code alone and
through a running portcullisd. Rows are those of the table of attacks that docs/ldap.md repeats."""
import uuid

import pytest

from support import samba
from support.ldapprobe import Probe
from support.samba import ALL_GROUPS, BASE, group_dn, person_dn


# Domain Users is everyone's primary group, and is itself in the built-in Users.
PLAIN = ["ad:Domain Users", "ad:Users"]


def good(answer, username, groups):
    assert (answer["verdict"], answer["username"], answer["groups"]) == ("good", username, groups), answer


def refused(answer, *reasons):
    assert answer["verdict"] == "refused" and answer["reason"] in reasons, answer
    assert answer["groups"] == [] and answer["uid"] == "", answer


@pytest.fixture(scope="module")
def probe(ad, tmp_path_factory):
    with Probe(tmp_path_factory.mktemp("ad-probe"), ad.config()) as p:
        yield p


def password(ad, name):
    return ad.people[name]


def groups_by(ad, tmp_path, name, **groups):
    """The groups of NAME when groupSearch has GROUPS instead of what activeDirectory stands for."""
    config = ad.config(groupSearch={"baseDN": BASE, **groups})
    with Probe(tmp_path, config) as p:
        return p.login(name, password(ad, name))


# --- who is who ---

def test_the_short_form_gives_identity_and_groups(ad, probe):
    got = probe.login("ann", password(ad, "ann"))
    good(got, "ad:ann", ["ad:Domain Users", "ad:Users", "ad:cycle-a", "ad:cycle-b", "ad:level1", "ad:level2", "ad:level3"])
    raw = ad.attribute(person_dn("ann"), "objectGUID")[0]
    assert got["uid"] == str(uuid.UUID(bytes_le=raw))
    good(probe.lookup("ann", got["uid"]), "ad:ann", got["groups"])


def test_a_person_may_type_either_name_and_has_one(ad, probe):
    for typed in ("ann", "ANN", "ann@ad.example.com", "Ann@AD.Example.com"):
        assert probe.login(typed, password(ad, "ann"))["username"] == "ad:ann"
    refused(probe.lookup("ann@ad.example.com", probe.login("ann", password(ad, "ann"))["uid"]), "noUser")


def test_wrong_password_says_so_in_its_own_words(ad, probe):
    refused(probe.login("bea", "wrong"), "badPassword")
    good(probe.login("bea", password(ad, "bea")), "ad:bea", PLAIN)
    refused(probe.login("nobody-of-that-name", "wrong"), "noUser")


def test_computers_and_groups_are_no_people(ad, probe):
    for name in ("DC1$", "krbtgt", "level1"):
        refused(probe.login(name, "x"), "noUser")


@pytest.mark.parametrize("name", ["*", "an*", "ann)(sAMAccountName=*", "ann*)(|(cn=*", "\\61nn", "ann\\", "(ann)",
                                  b"ann\0", b"an\xff"])
def test_names_that_are_no_names_match_nobody(ad, probe, name):
    refused(probe.login(name, password(ad, "ann")), "noUser", "badName")


def test_names_that_bite_find_their_own_groups_only(ad, probe):
    got = probe.login("odd", password(ad, "odd"))
    good(got, "ad:odd", PLAIN + ["ad:odd-group", "ad:odd-parent"])


# --- groups ---

@pytest.mark.parametrize("how", [
    {"nested": "inChain"},
    {"nested": "search"},
    {"userMatchers": [{"userAttr": "DN", "groupAttr": "member", "recursionGroupAttr": "member"}], "nested": "none"},
    {"memberOfAttr": "memberOf", "nested": "search"},
], ids=["chain", "search", "recursion", "memberOf"])
def test_three_levels_and_a_cycle(ad, tmp_path, how):
    good(groups_by(ad, tmp_path, "ann", **how), "ad:ann",
         ["ad:Domain Users", "ad:Users", "ad:cycle-a", "ad:cycle-b", "ad:level1", "ad:level2", "ad:level3"])


@pytest.mark.parametrize("how", [{"nested": "none"}, {"memberOfAttr": "memberOf"},
                                 {"memberOfAttr": "memberOf", "nameFrom": "dn", "nameAttr": "cn"}],
                         ids=["member", "memberOf", "dn"])
def test_direct_groups(ad, tmp_path, how):
    good(groups_by(ad, tmp_path, "ann", **how), "ad:ann", ["ad:Domain Users", "ad:cycle-a", "ad:level1"])
    odd = samba.ODD_GROUP if how.get("nameFrom") else "odd-group"
    good(groups_by(ad, tmp_path, "odd", **how), "ad:odd", ["ad:Domain Users", f"ad:{odd}"])


@pytest.mark.parametrize("nested", ["search", "inChain"])
def test_groups_that_hold_the_primary_group(ad, tmp_path, nested):
    """cora's primary group is a group of its own, which another one holds."""
    good(groups_by(ad, tmp_path, "cora", nested=nested), "ad:cora",
         PLAIN + ["ad:above-primary", "ad:primary"])
    good(groups_by(ad, tmp_path, "cora", nested=nested, primaryGroup=False), "ad:cora", PLAIN)


def test_lists_of_mail_grant_nothing(ad, probe):
    assert group_dn("mail-list") in ad.attribute(person_dn("dan"), "memberOf")
    good(probe.login("dan", password(ad, "dan")), "ad:dan", PLAIN)


@pytest.mark.parametrize("how", [
    {}, {"pageSize": 100}, {"pageSize": 1000}, {"pageSize": 0}, {"memberOfAttr": "memberOf"},
    {"memberOfAttr": "memberOf", "nameFrom": "dn", "nameAttr": "cn"},
], ids=["default", "100", "1000", "unpaged", "memberOf", "dn"])
def test_two_thousand_groups_are_all_there(ad, tmp_path, how):
    good(groups_by(ad, tmp_path, "many", **how), "ad:many", sorted(
        ["ad:Domain Users"] + ["ad:Users"] * ("memberOfAttr" not in how) + [f"ad:{g}" for g in ALL_GROUPS]))


def test_many_groups_are_followed_in_several_filters(ad, tmp_path):
    good(groups_by(ad, tmp_path, "some", nested="search"), "ad:some",
         PLAIN + [f"ad:{g}" for g in samba.SOME_GROUPS])


def test_a_group_with_thousands_of_members_is_as_any_other(ad, probe):
    assert len(ad.attribute(group_dn("crowd"), "member")) > 1500
    good(probe.login("eve", password(ad, "eve")), "ad:eve", PLAIN + ["ad:crowd"])
