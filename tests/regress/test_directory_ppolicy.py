"""Directories of OpenLDAP's kind with its password policy and memberOf overlays: a real slapd, asked by the directory
code alone and through a running portcullisd. Rows are those of the table of attacks that docs/ldap.md repeats."""
import os

import pytest
import yaml

from support import slapd
from support.ldapprobe import Probe
from support.paths import TOP, tool
from support.proc import run
from support.slapd import BASE, GROUPS, PEOPLE, Slapd, person_dn, person_ldif

OVERLAYS = """overlay memberof
memberof-refint TRUE
overlay ppolicy
ppolicy_default "cn=default,ou=policies,dc=example,dc=com"
ppolicy_use_lockout
"""
MAX_FAILURE = 3
LONG_AGO = "20200101000000Z"
FOR_EVER = "000001010000Z"
ODD_DN = r'cn=Doe\, J \"JD\" \+ \#1 (x*) \\ \;\<\>+uid=odd'
ODD_GROUP = r'odd \, (group*) \+ \#2'


def password(name):
    return f"{name}-secret-77"


def policy_ldif(name, **settings):
    values = {"pwdAttribute": "userPassword", "pwdLockout": "TRUE", "pwdMaxFailure": MAX_FAILURE, **settings}
    return (f"dn: cn={name},ou=policies,{BASE}\nobjectClass: device\nobjectClass: pwdPolicy\ncn: {name}\n"
            + "".join(f"{k}: {v}\n" for k, v in values.items()))


def extra():
    """People whose accounts are not as others', and the policies that they are under."""
    out = [f"dn: ou=policies,{BASE}\nobjectClass: organizationalUnit\nou: policies\n",
           policy_ldif("default", pwdMustChange="TRUE"),
           policy_ldif("short", pwdMaxAge=3600),
           policy_ldif("grace", pwdMaxAge=3600, pwdGraceAuthNLimit=2)]
    for name, lines in {
            "expired": f"pwdChangedTime: {LONG_AGO}\npwdPolicySubentry: cn=short,ou=policies,{BASE}\n",
            "graced": f"pwdChangedTime: {LONG_AGO}\npwdPolicySubentry: cn=grace,ou=policies,{BASE}\n",
            "graced-twice": f"pwdChangedTime: {LONG_AGO}\npwdPolicySubentry: cn=grace,ou=policies,{BASE}\n",
            "reset": "pwdReset: TRUE\n",
            "banned": f"pwdAccountLockedTime: {FOR_EVER}\n"}.items():
        out.append(person_ldif(name, password(name)) + lines)
    out.append(f"dn: {ODD_DN},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: odd\ncn: Doe, J \"JD\" + #1 (x*) \\ ;<>\n"
               f"sn: Doe\nuserPassword: {password('odd')}\n")
    return "\n".join(out)


NAMES = ["ann", "bea", "cleo", "dan", "eve"]


def groups_ldif():
    """Added through the running server: the overlay then keeps memberOf."""
    def group(name, *members):
        return (f"dn: cn={name},{GROUPS}\nobjectClass: groupOfNames\ncn: {name}\n"
                + "".join(f"member: {m}\n" for m in members))

    def dn(name):
        return f"cn={name},{GROUPS}"

    out = [group("level1", person_dn("ann")), group("level2", dn("level1")), group("level3", dn("level2")),
           group("cycle-a", person_dn("ann"), dn("cycle-b")), group("cycle-b", dn("cycle-a")),
           f"dn: cn={ODD_GROUP},{GROUPS}\nobjectClass: groupOfNames\ncn: odd , (group*) + #2\n"
           f"member: {ODD_DN},{PEOPLE}\n",
           group("odd-parent", f"cn={ODD_GROUP},{GROUPS}")]
    return "\n".join(out)


@pytest.fixture(scope="module")
def ldap(tmp_path_factory):
    with Slapd(tmp_path_factory.mktemp("ppolicy"), people={n: (password(n), []) for n in NAMES},
               overlays=OVERLAYS, extra=extra()) as s:
        s.change(groups_ldif(), add=True)
        yield s


@pytest.fixture(scope="module")
def probe(ldap, tmp_path_factory):
    with Probe(tmp_path_factory.mktemp("ppolicy-probe"), ldap.config(accountState="passwordPolicy")) as p:
        yield p


def good(answer, username, groups=()):
    assert (answer["verdict"], answer["username"], answer["groups"]) == ("good", username, list(groups)), answer


def refused(answer, reason):
    assert (answer["verdict"], answer["reason"]) == ("refused", reason), answer
    assert answer["groups"] == [] and answer["uid"] == "", answer


def uid_of(ldap, name, tmp_path):
    """Read by a directory that asks for no account state."""
    got = run([tool("ldapsearch"), "-x", "-LLL", "-H", ldap.tls_url, "-D", slapd.ROOT_DN, "-w", slapd.ROOT_PASSWORD,
               "-b", PEOPLE, f"(uid={name})", "entryUUID"], env={"LDAPTLS_CACERT": ldap.ca.crt}, check=True)
    return got.stdout.split("entryUUID: ")[1].strip()


def replace(ldap, name, **attributes):
    for attr, value in attributes.items():
        ldap.change(f"dn: {person_dn(name)}\nchangetype: modify\nreplace: {attr}\n"
                    + (f"{attr}: {value}\n" if value is not None else ""))


# --- account states ---

def test_people_of_no_special_state_are_let_in(probe):
    got = probe.login("bea", password("bea"))
    good(got, "corp:bea")
    good(probe.lookup("bea", got["uid"]), "corp:bea")


def test_failures_lock_an_account_and_its_tokens(ldap, probe):
    uid = probe.login("cleo", password("cleo"))["uid"]
    for _ in range(MAX_FAILURE):
        refused(probe.login("cleo", "wrong"), "badPassword")
    refused(probe.login("cleo", password("cleo")), "accountLocked")
    refused(probe.login("cleo", "wrong"), "accountLocked")
    refused(probe.lookup("cleo", uid), "accountLocked")
    replace(ldap, "cleo", pwdAccountLockedTime=None)
    good(probe.lookup("cleo", uid), "corp:cleo")
    good(probe.login("cleo", password("cleo")), "corp:cleo")


def test_a_lock_that_has_run_out_does_not_outlive_a_good_login(ldap, tmp_path):
    """The overlay leaves the time of a lock until the next good bind."""
    ldap.change(policy_ldif("brief", pwdLockoutDuration=60), add=True)
    replace(ldap, "dan", pwdPolicySubentry=f"cn=brief,ou=policies,{BASE}", pwdAccountLockedTime=LONG_AGO)
    with Probe(tmp_path, ldap.config(accountState="passwordPolicy")) as p:
        uid = uid_of(ldap, "dan", tmp_path)
        refused(p.lookup("dan", uid), "accountLocked")
        good(p.login("dan", password("dan")), "corp:dan")
        good(p.lookup("dan", uid), "corp:dan")


@pytest.mark.parametrize("name,at_login,later", [
    ("banned", "accountLocked", "accountLocked"),
    ("reset", "mustChangePassword", "mustChangePassword"),
    ("expired", "passwordExpired", None),
    ("graced", "passwordExpired", None),
])
def test_accounts_that_may_not_be_used(ldap, probe, tmp_path, name, at_login, later):
    refused(probe.login(name, password(name)), at_login)
    got = probe.lookup(name, uid_of(ldap, name, tmp_path))
    if later:
        refused(got, later)
    else:  # the overlay keeps no mark of it that could be read
        good(got, f"corp:{name}")


def test_what_a_bind_says_counts_without_account_state(ldap, tmp_path):
    with Probe(tmp_path, ldap.config()) as p:
        for name, reason in (("banned", "accountLocked"), ("reset", "mustChangePassword"),
                             ("expired", "passwordExpired")):
            refused(p.login(name, password(name)), reason)


def test_grace_logins_only_where_they_are_wanted(ldap, tmp_path):
    """Row 74."""
    name = "graced-twice"
    config = ldap.config(accountState="passwordPolicy")
    with Probe(tmp_path / "strict", config) as strict, \
            Probe(tmp_path / "lenient", dict(config, acceptGraceLogins=True)) as lenient:
        refused(strict.login(name, password(name)), "passwordExpired")
        good(lenient.login(name, password(name)), f"corp:{name}")
        # Each of the two used one up.
        refused(lenient.login(name, password(name)), "passwordExpired")


def test_accounts_before_their_time_and_after_it(ldap, probe, tmp_path):
    uid = uid_of(ldap, "eve", tmp_path)
    for attr, value, state in (("pwdStartTime", "29990101000000Z", "accountExpired"),
                               ("pwdStartTime", LONG_AGO, None),
                               ("pwdEndTime", LONG_AGO, "accountExpired"),
                               ("pwdEndTime", "29990101000000Z", None)):
        replace(ldap, "eve", **{attr: value})
        got = probe.lookup("eve", uid)
        refused(got, state) if state else good(got, "corp:eve")
        replace(ldap, "eve", **{attr: None})


# --- groups ---

def groups_by(ldap, tmp_path, name, **groups):
    config = ldap.config(groupSearch={"baseDN": GROUPS, "filter": "(objectClass=groupOfNames)", **groups})
    with Probe(tmp_path, config) as p:
        return p.login(name, password(name))


MEMBER = {"userMatchers": [{"userAttr": "DN", "groupAttr": "member"}]}
RECURSE = {"userMatchers": [{"userAttr": "DN", "groupAttr": "member", "recursionGroupAttr": "member"}]}
MEMBER_OF = {"memberOfAttr": "memberOf"}


@pytest.mark.parametrize("how", [{**MEMBER, "nested": "search"}, RECURSE, {**MEMBER_OF, "nested": "search"}],
                         ids=["member", "recursion", "memberOf"])
def test_three_levels_and_a_cycle(ldap, tmp_path, how):
    good(groups_by(ldap, tmp_path, "ann", **how), "corp:ann",
         ["corp:cycle-a", "corp:cycle-b", "corp:level1", "corp:level2", "corp:level3"])
    good(groups_by(ldap, tmp_path, "odd", **how), "corp:odd", ["corp:odd , (group*) + #2", "corp:odd-parent"])


@pytest.mark.parametrize("how", [MEMBER, MEMBER_OF, {**MEMBER_OF, "nameFrom": "dn"}], ids=["member", "memberOf", "dn"])
def test_direct_groups(ldap, tmp_path, how):
    good(groups_by(ldap, tmp_path, "ann", **how), "corp:ann", ["corp:cycle-a", "corp:level1"])
    good(groups_by(ldap, tmp_path, "odd", **how), "corp:odd", ["corp:odd , (group*) + #2"])


def test_groups_elsewhere_do_not_count(ldap, tmp_path):
    elsewhere = {"baseDN": f"cn=level1,{GROUPS}"}
    for how in (MEMBER, MEMBER_OF, {**MEMBER_OF, "nameFrom": "dn"}):
        good(groups_by(ldap, tmp_path, "ann", **how, **elsewhere), "corp:ann", ["corp:level1"])


def test_a_tower_of_groups_is_refused_rather_than_cut(tmp_path):
    with Slapd(tmp_path / "slapd", people={"ann": (password("ann"), [])}, overlays="overlay memberof\n") as s:
        below = person_dn("ann")
        out = []
        for i in range(40):
            dn = f"cn=t{i:02},{GROUPS}"
            out.append(f"dn: {dn}\nobjectClass: groupOfNames\ncn: t{i:02}\nmember: {below}\n")
            below = dn
        s.change("\n".join(out), add=True)
        for how in (RECURSE, {**MEMBER_OF, "nested": "search"}):
            refused(groups_by(s, tmp_path, "ann", **how), "tooManyGroups")
        s.change(f"dn: cn=t25,{GROUPS}\nchangetype: delete\n")
        for how in (RECURSE, {**MEMBER_OF, "nested": "search"}):
            good(groups_by(s, tmp_path, "ann", **how), "corp:ann", [f"corp:t{i:02}" for i in range(25)])


def test_the_sample_configuration_serves_this_directory(ldap, tmp_path):
    with open(os.path.join(TOP, "deploy", "examples", "directories", "openldap.yaml"), encoding="utf-8") as f:
        (entry,) = yaml.safe_load(f)["authentication"]["ldap"]
    here = {k: v for k, v in ldap.config().items() if k in ("urls", "certificateAuthority", "bindPasswordFile")}
    del entry["certificateAuthorityFile"]
    with Probe(tmp_path, {**entry, **here}) as p:
        good(p.login("ann", password("ann")), "corp:ann",
             ["corp:cycle-a", "corp:cycle-b", "corp:level1", "corp:level2", "corp:level3"])
        refused(p.login("banned", password("banned")), "accountLocked")


# --- through the daemon ---

def test_an_account_that_is_locked_or_reset_ends_its_tokens(daemon, ldap):
    d = daemon(ldap=[ldap.config(accountState="passwordPolicy", cacheTTL="0s")])
    token = d.login_token("bea", password("bea"))
    assert d.user_of(token)["username"] == "corp:bea"
    for attr, value, reason in (("pwdAccountLockedTime", FOR_EVER, "accountLocked"),
                                ("pwdReset", "TRUE", "mustChangePassword")):
        replace(ldap, "bea", **{attr: value})
        assert d.user_of(token) is None
        got, other = d.login("bea", password("bea")), d.login("no-such-person", "x")
        assert got.status == other.status == 401 and got.text == other.text
        for kind in ("authn.login", "authn.review"):
            d.wait_audit(kind, lambda r, reason=reason: r["reason"] == reason)
        assert d.metric("portcullis_logins_total", reason=reason) == 1
        replace(ldap, "bea", **{attr: None})
        assert d.user_of(token)["username"] == "corp:bea"
    assert d.login("expired", password("expired")).status == 401
    d.wait_audit("authn.login", lambda r: r["reason"] == "passwordExpired")


@pytest.mark.parametrize("name", ["*", "an*", "ann)(uid=*", "*)(|(uid=*", ")(objectClass=*)", "\\61nn", "ann\\", "(ann)",
                                  "a\u202enn", "ann\u0000"])
def test_names_that_bite_log_nobody_in(daemon, ldap, name):
    """Rows 58 and 59."""
    d = daemon(ldap=[ldap.config(accountState="passwordPolicy")])
    assert d.login(name, password("ann")).status in (400, 401)
    assert {r["reason"] for r in d.audit("authn.login")} <= {"noUser", "badName", "badRequest"}


def test_a_dn_that_bites_has_its_own_groups(daemon, ldap):
    """Row 60."""
    config = ldap.config(accountState="passwordPolicy", groupSearch={
        "baseDN": GROUPS, "filter": "(objectClass=groupOfNames)", **MEMBER_OF, "nested": "search"})
    d = daemon(ldap=[config])
    assert d.user_of(d.login_token("odd", password("odd")))["groups"] == ["corp:odd , (group*) + #2", "corp:odd-parent"]
