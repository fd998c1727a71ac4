"""Directories of Active Directory's kind: a real Samba domain controller, asked by the directory code alone and
through a running portcullisd. Rows are those of the table of attacks that docs/ldap.md repeats."""
import os
import uuid

import pytest
import yaml

from support import samba
from support.ldapprobe import Probe
from support.paths import TOP
from support.rosterprobe import RosterProbe
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
    for typed in ("BEA", "bea@ad.example.com", "Bea@AD.Example.com"):
        good(probe.login(typed, password(ad, "bea")), "ad:bea", PLAIN)
    uid = probe.login("bea", password(ad, "bea"))["uid"]
    refused(probe.lookup("bea@ad.example.com", uid), "noUser")
    refused(probe.lookup("BEA", uid), "accountChanged")


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

MEMBER = {"userMatchers": [{"userAttr": "DN", "groupAttr": "member"}]}


@pytest.mark.parametrize("how", [
    {}, {"nested": "inChain"}, {**MEMBER, "nested": "inChain"}, {**MEMBER, "nested": "search"},
    {"userMatchers": [{"userAttr": "DN", "groupAttr": "member", "recursionGroupAttr": "member"}], "nested": "none"},
], ids=["memberOf", "chain", "member-chain", "member", "recursion"])
def test_three_levels_and_a_cycle(ad, tmp_path, how):
    good(groups_by(ad, tmp_path, "ann", **how), "ad:ann",
         ["ad:Domain Users", "ad:Users", "ad:cycle-a", "ad:cycle-b", "ad:level1", "ad:level2", "ad:level3"])


@pytest.mark.parametrize("how", [{**MEMBER, "nested": "none"}, {"nested": "none"},
                                 {"nameFrom": "dn", "nameAttr": "cn"}], ids=["member", "memberOf", "dn"])
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
    {}, {"nested": "inChain"}, {"nested": "inChain", "pageSize": 100}, {"nested": "inChain", "pageSize": 0},
    {"nameFrom": "dn", "nameAttr": "cn"},
], ids=["memberOf", "chain", "small-pages", "unpaged", "dn"])
def test_two_thousand_groups_are_all_there(ad, tmp_path, how):
    nested = [] if "nameFrom" in how else ["ad:Users"]
    good(groups_by(ad, tmp_path, "many", **how), "ad:many",
         sorted(["ad:Domain Users", *nested] + [f"ad:{g}" for g in ALL_GROUPS]))


def test_many_groups_are_followed_in_several_filters(ad, tmp_path):
    good(groups_by(ad, tmp_path, "some", **MEMBER, nested="search"), "ad:some",
         PLAIN + [f"ad:{g}" for g in samba.SOME_GROUPS])


def test_a_group_with_thousands_of_members_is_as_any_other(ad, probe):
    assert len(ad.attribute(group_dn("crowd"), "member")) > 1500
    good(probe.login("eve", password(ad, "eve")), "ad:eve", PLAIN + ["ad:crowd"])


def test_the_sample_configuration_serves_this_domain(ad, tmp_path):
    with open(os.path.join(TOP, "deploy", "examples", "directories", "active-directory.yaml"), encoding="utf-8") as f:
        (entry,) = yaml.safe_load(f)["authentication"]["ldap"]
    here = {k: v for k, v in ad.config().items() if k in ("urls", "certificateAuthority", "bindDN", "bindPasswordFile")}
    del entry["certificateAuthorityFile"]
    with Probe(tmp_path, {**entry, **here}) as p:
        good(p.login("ann", password(ad, "ann")), "ad:ann",
             ["ad:Domain Users", "ad:Users", "ad:cycle-a", "ad:cycle-b", "ad:level1", "ad:level2", "ad:level3"])
        refused(p.login("disabled", password(ad, "disabled")), "accountDisabled")


# --- the worker's polls ---

def confirmed(ad, tmp_path, **override):
    """For each person: the groups that a login gives, and the words of a worker's polls on these and on a group of
    somebody else."""
    secret = tmp_path / "secret"
    secret.write_text(samba.SERVICE_PASSWORD)
    users = {"baseDN": samba.PEOPLE, "filter": "(sAMAccountType=805306368)"}
    config = {"name": "ad", "url": ad.tls_url, "ca": ad.ca.crt, "bindDN": samba.SERVICE_DN,
              "bindPassword": {"file": str(secret)}, "usernamePrefix": "ad:", "usersQuery": users,
              "userNameAttributes": ["sAMAccountName"], "groupsPrefix": "ad:",
              "groupsQuery": {"baseDN": samba.GROUPS, "filter": "(objectClass=group)"},
              "groupNameAttributes": ["sAMAccountName"], "groupMembershipAttributes": ["memberOf"],
              "nestedGroups": True, **override}
    with Probe(tmp_path / "login", ad.config()) as p:
        said = {n: p.login(n, password(ad, n))["groups"] for n in ("ann", "bea", "cora", "eve", "odd", "some")}
    with RosterProbe(tmp_path / "roster", [config]) as p:
        assert p.lead()["groups_doubted"] == 0, p.output()
        words = {}
        for turn in range(3):
            for name, groups in said.items():
                plain = [g for g in groups + ["ad:primary", "ad:g1999", "ad:elsewhere"] if " " not in g][:60]
                words[name] = p.claim("ad:" + name, *plain, provider="ldap:ad")
            if turn < 2:
                p.later()
        return said, words, p.counts("ad")


# Containers of their own, which no OU has: CN=Users and CN=Builtin.
ELSEWHERE = {"ad:Users", "ad:elsewhere"}


@pytest.mark.parametrize("how", [{}, {"groupMembershipAttributes": ["member"], "userUIDAttribute": "dn"}],
                         ids=["memberOf", "member"])
def test_what_polls_confirm_is_what_logins_say(ad, tmp_path, how):
    said, words, counts = confirmed(ad, tmp_path, **how)
    for name, got in words.items():
        for group, word in got.items():
            want = "unknown" if group in ELSEWHERE else "present" if group in said[name] else "gone"
            if (name, group) in (("cora", "ad:primary"), ("cora", "ad:above-primary")):
                want = "gone"  # only with primaryGroup
            assert word == want, (name, group)
    assert counts["groups"] > 2000 and counts["members"] > 2060 and counts["nested"] >= 5


def test_from_the_root_of_the_domain_polls_confirm_all(ad, tmp_path):
    """The groups that are in no OU too; the root refers to partitions that have no people."""
    said, words, _ = confirmed(ad, tmp_path, primaryGroup=True, usersQuery={
        "baseDN": BASE, "filter": "(sAMAccountType=805306368)"}, groupsQuery={"baseDN": BASE, "filter": "(objectClass=group)"})
    for name, got in words.items():
        for group, word in got.items():
            want = "unknown" if group == "ad:elsewhere" else "present" if group in said[name] else "gone"
            assert word == want, (name, group)


def test_primary_groups_are_those_that_logins_say(ad, tmp_path):
    """primaryGroupToken is made up by the server for each answer."""
    said, words, counts = confirmed(ad, tmp_path, primaryGroup=True)
    assert words["cora"]["ad:primary"] == words["cora"]["ad:above-primary"] == "present", said["cora"]
    assert words["ann"]["ad:primary"] == "gone" and counts["primary"] == 1


# --- accounts (row 70) ---

STATES = {"disabled": "accountDisabled", "locked": "accountLocked", "expired": "accountExpired",
          "mustchange": "mustChangePassword", "oldpassword": "passwordExpired", "night": "logonHours"}


@pytest.mark.parametrize("name,reason", STATES.items(), ids=STATES)
def test_accounts_that_may_not_be_used_are_refused_in_their_own_words(ad, probe, name, reason):
    refused(probe.login(name, password(ad, name)), reason)


@pytest.mark.parametrize("name,reason", STATES.items(), ids=STATES)
def test_their_tokens_end(ad, tmp_path, name, reason):
    """What a review of a token reads: no bind is there to tell."""
    with Probe(tmp_path / "uid", ad.config(accountState="none")) as p:
        uid = str(uuid.UUID(bytes_le=ad.attribute(person_dn(name), "objectGUID")[0]))
        assert p.lookup(name, uid)["verdict"] == "good"
    with Probe(tmp_path / "state", ad.config()) as p:
        refused(p.lookup(name, uid), reason)


def test_an_account_that_will_expire_is_good_until_then(ad, probe):
    got = probe.login("later", password(ad, "later"))
    good(got, "ad:later", PLAIN)
    good(probe.lookup("later", got["uid"]), "ad:later", PLAIN)


def test_an_account_nothing_can_be_read_of_is_not_let_in(directory, tmp_path):
    """accountState: activeDirectory against a directory of another kind."""
    with Probe(tmp_path, directory.config(accountState="activeDirectory")) as p:
        refused(p.login("alice", "alice-secret-5512"), "badEntry")


# --- through the daemon ---

@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A small domain that tests may change."""
    people = {n: f"{n.title()}-secret-55" for n in ("fay", "gil", "hal", "ida", "jon")}
    groups = {"team": [person_dn(n) for n in people], "all": [group_dn("team")]}
    with samba.Samba(tmp_path_factory.mktemp("own-ad"), people=people, groups=groups) as s:
        yield s


def test_login_and_reviews_of_a_person(daemon, own):
    d = daemon(ldap=[own.config()])
    user = d.user_of(d.login_token("fay@ad.example.com", password(own, "fay")))
    assert user["username"] == "ad:fay"
    assert user["groups"] == ["ad:Domain Users", "ad:Users", "ad:all", "ad:team"]
    assert user["uid"] == str(uuid.UUID(bytes_le=own.attribute(person_dn("fay"), "objectGUID")[0]))


@pytest.mark.parametrize("name,reason,change", [
    ("gil", "accountDisabled", lambda s, dn: s.replace(dn, userAccountControl=512 | 2)),
    ("hal", "accountExpired", lambda s, dn: s.replace(dn, accountExpires=samba.filetime(1))),
    ("ida", "mustChangePassword", lambda s, dn: s.replace(dn, pwdLastSet=0)),
    ("jon", "accountLocked", lambda s, dn: s.lock("jon")),
], ids=["disabled", "expired", "mustChange", "locked"])
def test_an_account_that_changes_ends_its_tokens_and_logins(daemon, own, name, reason, change):
    d = daemon(ldap=[own.config(cacheTTL="0s")])
    token = d.login_token(name, password(own, name))
    assert d.user_of(token)["username"] == f"ad:{name}"
    change(own, person_dn(name))
    assert d.user_of(token) is None
    got, other = d.login(name, password(own, name)), d.login("no-such-person", "x")
    assert got.status == other.status == 401 and got.text == other.text
    for kind in ("authn.login", "authn.review"):
        d.wait_audit(kind, lambda r: r["reason"] == reason)
    assert d.metric("portcullis_logins_total", reason=reason) == 1


def test_wrong_passwords_do_not_lock_the_account_at_the_directory(daemon, own):
    """Row 72: retries of one wrong password are one bind."""
    d = daemon(ldap=[own.config(cacheTTL="0s")])
    token = d.login_token("fay", password(own, "fay"))
    for _ in range(samba.LOCKOUT_THRESHOLD + 1):
        assert d.login("fay", "wrong").status == 401
    assert own.attribute(person_dn("fay"), "badPwdCount") == ["1"]
    assert d.user_of(token)["username"] == "ad:fay"
    assert d.login("fay", password(own, "fay")).status == 200


def test_a_domain_that_comes_back_is_asked_again(daemon, own):
    d = daemon(ldap=[own.config(cacheTTL="0s")])
    token = d.login_token("fay", password(own, "fay"))
    own.stop()
    try:
        assert d.login("fay", password(own, "fay")).status == 503
        assert d.token_review(token).status == 503
    finally:
        own.start()
    own.process.wait_for(lambda: d.token_review(token).status == 200, "the domain to be asked again")
    assert d.user_of(token)["username"] == "ad:fay"
