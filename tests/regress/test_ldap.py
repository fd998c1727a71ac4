"""The directory code against a real slapd, and against servers that misbehave. Rows are those of the table
of attacks that docs/ldap.md repeats."""
import os
import re
import ssl

import pytest

from support import pki, slapd
from support.fakeldap import FakeLdap, Hangup, bind_result, entry, search_done
from support.ldapprobe import Probe
from support.ports import free_port
from support.slapd import GROUPS, PEOPLE, SERVICE_DN, Slapd

ALICE = "alice-secret-5512"


def refused(answer, reason):
    assert (answer["verdict"], answer["reason"]) == ("refused", reason), answer
    assert answer["groups"] == [] and answer["uid"] == "", answer


def unavailable(answer):
    assert answer["verdict"] == "unavailable", answer
    assert answer["groups"] == [], answer


def good(answer, username, groups):
    assert answer["verdict"] == "good", answer
    assert answer["username"] == username
    assert answer["groups"] == groups


@pytest.fixture(scope="module")
def probe(directory, tmp_path_factory):
    with Probe(tmp_path_factory.mktemp("probe"), directory.config()) as p:
        yield p


@pytest.fixture(scope="module")
def chatty(tmp_path_factory):
    """A slapd that logs each operation, with names that bite."""
    with Slapd(tmp_path_factory.mktemp("chatty"), log="stats") as s:
        yield s


def logged(s, marker_probe):
    """What slapd logged up to now: an operation of a known kind is last in it."""
    marker_probe.login("dora", "dora-secret-6620")
    s.process.wait_line(r'BIND dn="uid=dora,')
    return s.process.output()


# --- who is who ---

def test_good_password_gives_identity_and_groups(probe):
    got = probe.login("alice", ALICE)
    good(got, "corp:alice", ["corp:dev", "corp:ops"])
    assert re.fullmatch(r"[0-9a-f-]{36}", got["uid"])
    good(probe.login("dora", "dora-secret-6620"), "corp:dora", [])


def test_wrong_password_is_refused_and_names_only_who_exists(probe):
    got = probe.login("alice", "wrong")
    refused(got, "badPassword")
    assert got["username"] == "corp:alice"
    got = probe.login("nobody-of-that-name", "wrong")
    refused(got, "noUser")
    assert got["username"] == "" and "nobody-of-that-name" not in got["why"]


def test_name_comes_from_the_entry(probe):
    for typed in ("ALICE", "Alice", " alice", "alice "):
        good(probe.login(typed, ALICE), "corp:alice", ["corp:dev", "corp:ops"])


def test_empty_and_nul_passwords_never_reach_the_directory(chatty, tmp_path):
    with Probe(tmp_path, chatty.config()) as p:
        refused(p.login("alice", ""), "emptyPassword")
        for password in (b"\0", b"\0" + ALICE.encode(), ALICE.encode() + b"\0", b"a" * 1025):
            refused(p.login("alice", password), "badPassword")
        assert 'BIND dn="uid=alice,' not in logged(chatty, p)
        good(p.login("alice", ALICE), "corp:alice", ["corp:dev", "corp:ops"])
        chatty.process.wait_line(r'BIND dn="uid=alice,')


@pytest.mark.parametrize("name", [
    "", " ", "   ", "*", "al*", "a*e", "*)(uid=*))(|(uid=*", ")(objectClass=*)", "alice)(uid=alice",
    "alice)(|(uid=*)", "\\", "\\2a", "%2a", "(alice)", "alice\\00", b"al\0ice", b"alice\0", b"\xff\xfe",
    b"\xc0\xae", "alice\n", "alice\x1b[31m", "alice\u202e", "a" * 257, "x" * 65536,
])
def test_names_that_are_no_names_match_nobody(probe, name):
    got = probe.login(name, ALICE)
    assert got["verdict"] == "refused" and got["reason"] in ("badName", "noUser"), got
    assert got["username"] == ""


def test_filters_are_escaped_on_the_wire(chatty, tmp_path):
    with Probe(tmp_path, chatty.config()) as p:
        refused(p.login("*)(uid=*", "x"), "noUser")
        log = logged(chatty, p)
    searches = re.findall(r'SRCH base="ou=people[^\n]*filter="([^"]*)"', log)
    assert any("5C2A" in f.upper() or "\\2A" in f.upper() for f in searches), searches
    assert not any("(uid=*)" in f for f in searches), searches


def test_dn_with_special_characters_finds_its_own_groups_only(tmp_path):
    rdn = r'cn=Doe\, J \"JD\" \+ \#1 (x*) \\ \;\<\>+uid=jdoe'
    with Slapd(tmp_path / "slapd") as s:
        s.change(f"dn: {rdn},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: jdoe\n"
                 'cn: Doe, J "JD" + #1 (x*) \\ ;<>\nsn: Doe\nuserPassword: jdoe-secret\n', add=True)
        s.change(f"dn: cn=mine,{GROUPS}\nobjectClass: groupOfNames\ncn: mine\nmember: {rdn},{PEOPLE}\n",
                 add=True)
        with Probe(tmp_path / "probe", s.config()) as p:
            good(p.login("jdoe", "jdoe-secret"), "corp:jdoe", ["corp:mine"])


def test_two_entries_of_one_name_are_refused(tmp_path):
    with Slapd(tmp_path / "slapd") as s:
        s.change(f"dn: ou=eu,{PEOPLE}\nobjectClass: organizationalUnit\nou: eu\n\n"
                 f"dn: uid=alice,ou=eu,{PEOPLE}\nobjectClass: inetOrgPerson\nuid: alice\ncn: A\nsn: A\n"
                 "userPassword: other\n", add=True)
        with Probe(tmp_path / "sub", s.config()) as p:
            for password in (ALICE, "other"):
                refused(p.login("alice", password), "ambiguous")
        one = s.config()
        one["userSearch"]["scope"] = "one"
        with Probe(tmp_path / "one", one) as p:
            good(p.login("alice", ALICE), "corp:alice", ["corp:dev", "corp:ops"])
            refused(p.login("alice", "other"), "badPassword")


def test_username_attribute_with_two_values_is_refused(tmp_path):
    with Slapd(tmp_path / "slapd") as s:
        s.change(f"dn: uid=bob,{PEOPLE}\nchangetype: modify\nadd: uid\nuid: alice2\n")
        with Probe(tmp_path / "probe", s.config()) as p:
            for name in ("bob", "alice2"):
                refused(p.login(name, "bob-secret-8841"), "badEntry")


def test_groups_by_two_matchers_and_group_with_two_names(tmp_path):
    with Slapd(tmp_path / "slapd") as s:
        s.change(f"dn: cn=posix,{GROUPS}\nobjectClass: posixGroup\ncn: posix\ngidNumber: 7\n"
                 f"memberUid: alice\nmemberUid: bob\n\n"
                 f"dn: cn=twin,{GROUPS}\nobjectClass: posixGroup\ncn: twin\ncn: zwilling\n"
                 f"gidNumber: 8\nmemberUid: alice\n\n"
                 f"dn: cn=system:masters,{GROUPS}\nobjectClass: posixGroup\ncn: system:masters\n"
                 f"gidNumber: 9\nmemberUid: alice\n", add=True)
        config = s.config()
        config["groupSearch"]["filter"] = "(|(objectClass=groupOfNames)(objectClass=posixGroup))"
        config["groupSearch"]["userMatchers"].append({"userAttr": "uid", "groupAttr": "memberUid"})
        with Probe(tmp_path / "probe", config) as p:
            good(p.login("alice", ALICE), "corp:alice",
                 ["corp:dev", "corp:ops", "corp:posix", "corp:system:masters", "corp:twin", "corp:zwilling"])
        del config["groupSearch"], config["groupsPrefix"]
        with Probe(tmp_path / "none", config) as p:
            good(p.login("alice", ALICE), "corp:alice", [])


# --- an account later ---

def test_lookup_follows_the_account(tmp_path):
    with Slapd(tmp_path / "slapd") as s, Probe(tmp_path / "probe", s.config()) as p:
        uid = p.login("alice", ALICE)["uid"]
        good(p.lookup("alice", uid), "corp:alice", ["corp:dev", "corp:ops"])
        s.add_member("contractors", "alice")
        good(p.lookup("alice", uid), "corp:alice", ["corp:contractors", "corp:dev", "corp:ops"])
        refused(p.lookup("ALICE", uid), "accountChanged")
        refused(p.lookup("alice", ""), "accountChanged")
        refused(p.lookup("al*", uid), "noUser")
        s.delete_person("alice")
        refused(p.lookup("alice", uid), "noUser")
        s.change(slapd.person_ldif("alice", ALICE), add=True)
        refused(p.lookup("alice", uid), "accountChanged")


def test_kept_connections_survive_a_restart_of_the_server(tmp_path):
    with Slapd(tmp_path / "slapd") as s, Probe(tmp_path / "probe", s.config()) as p:
        uid = p.login("alice", ALICE)["uid"]
        s.stop()
        unavailable(p.lookup("alice", uid))
        unavailable(p.login("alice", ALICE))
        s.start()
        good(p.lookup("alice", uid), "corp:alice", ["corp:dev", "corp:ops"])
        s.stop()
        s.start()
        good(p.lookup("alice", uid), "corp:alice", ["corp:dev", "corp:ops"])


def test_questions_leave_no_descriptors_behind(directory, tmp_path):
    config = directory.config()
    config["urls"] = ["ldaps://127.0.0.1:1", directory.tls_url]
    with Probe(tmp_path, config) as p:
        def ask():
            uid = p.login("alice", ALICE)["uid"]
            p.login("alice", "wrong")
            p.login("nobody", "wrong")
            p.lookup("alice", uid)
            return len(os.listdir(f"/proc/{p.popen.pid}/fd"))
        first = ask()
        assert {ask() for _ in range(10)} == {first}


# --- outages are no refusals ---

def test_service_account_refused_is_our_outage(directory, tmp_path):
    config = directory.config()
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-password\n")
    config["bindPasswordFile"] = str(wrong)
    with Probe(tmp_path, config) as p:
        got = p.login("alice", ALICE)
        unavailable(got)
        assert "service account" in got["why"]
    config["bindDN"] = ""
    assert Probe(tmp_path / "none", config).failure()[0] == 2


def test_missing_base_is_our_outage(directory, tmp_path):
    for part in ("userSearch", "groupSearch"):
        config = directory.config()
        config[part] = dict(config[part], baseDN="ou=gone," + slapd.BASE)
        with Probe(tmp_path / part, config) as p:
            unavailable(p.login("alice", ALICE))


def test_anonymous_search_when_no_service_account_is_set(directory, tmp_path):
    config = directory.config()
    del config["bindDN"], config["bindPasswordFile"]
    with Probe(tmp_path, config) as p:
        # This slapd shows nothing to strangers.
        unavailable(p.login("alice", ALICE))


def test_fails_over_in_order(directory, tmp_path):
    closed = free_port()
    with FakeLdap(silent=True) as hole:
        config = directory.config(timeout="2s")
        config["urls"] = [f"ldaps://127.0.0.1:{closed}", hole.url, directory.tls_url]
        with Probe(tmp_path / "last", config) as p:
            got = p.login("alice", ALICE)
            good(got, "corp:alice", ["corp:dev", "corp:ops"])
            good(p.lookup("alice", got["uid"]), "corp:alice", ["corp:dev", "corp:ops"])
        # The second question does not ask the silent one again.
        assert hole.connections == 1
        with Probe(tmp_path / "none", dict(config, urls=config["urls"][:2])) as p:
            unavailable(p.login("alice", ALICE))


def test_wrong_password_is_not_tried_on_the_next_server(tmp_path):
    ca = pki.CA(tmp_path / "ca")
    pair = ca.server()
    user = f"uid=alice,{PEOPLE}"

    def bind(dn, _):
        return [bind_result(49 if dn == user else 0)]

    def search(_):
        return [entry(user, uid="alice", entryUUID="u1"), search_done()]

    with FakeLdap(pair, on_bind=bind, on_search=search) as one, \
            FakeLdap(pair, on_bind=bind, on_search=search) as two:
        with Probe(tmp_path, fake_config(tmp_path, ca, [one.url, two.url])) as p:
            refused(p.login("alice", "wrong"), "badPassword")
        assert one.binds().count(user) == 1
        assert two.connections == 0


# --- TLS ---

def fake_config(tmp_path, ca, urls, **override):
    secret = tmp_path / "bind-password"
    secret.write_text("service\n")
    return dict({
        "name": "corp", "urls": urls, "certificateAuthority": ca.pem, "bindDN": SERVICE_DN,
        "bindPasswordFile": str(secret),
        "userSearch": {"baseDN": PEOPLE, "username": "uid", "uidAttr": "entryUUID"},
        "groupSearch": {"baseDN": GROUPS, "userMatchers": [{"userAttr": "DN", "groupAttr": "member"}]},
        "usernamePrefix": "corp:", "groupsPrefix": "corp:", "timeout": "10s"}, **override)


def test_starttls_works(directory, tmp_path):
    config = directory.config(startTLS=True)
    config["urls"] = [directory.url]
    with Probe(tmp_path, config) as p:
        good(p.login("alice", ALICE), "corp:alice", ["corp:dev", "corp:ops"])


@pytest.mark.parametrize("how", ["refuse", "plain", "silent", "inject"])
def test_starttls_never_falls_back(tmp_path, how):
    ca = pki.CA(tmp_path / "ca")
    with FakeLdap(ca.server(), tls=False, on_starttls=how) as f:
        with Probe(tmp_path, fake_config(tmp_path, ca, [f.url], startTLS=True, timeout="1s")) as p:
            unavailable(p.login("alice", ALICE))
        assert f.seen and all(s[0] == "starttls" for s in f.seen), f.seen


def bad_pairs(folder, ca):
    other = pki.CA(folder / "other", "other")
    return {
        "host": ca.server("host", sans=("DNS:other.example.com",)),
        "cn": ca.server("cn", sans=(), cn="127.0.0.1"),
        "authority": other.server("foreign"),
        "expired": ca.expired("expired"),
        "good": ca.server("good"),
    }


@pytest.mark.parametrize("what", ["host", "cn", "authority", "expired"])
@pytest.mark.parametrize("start_tls", [False, True])
def test_unfit_certificates_are_refused(tmp_path, what, start_tls):
    ca = pki.CA(tmp_path / "ca")
    pair = bad_pairs(tmp_path, ca)[what]
    with FakeLdap(pair, tls=not start_tls) as f:
        # Neither variables nor files of the OpenLDAP world may weaken this.
        (tmp_path / ".ldaprc").write_text("TLS_REQCERT never\n")
        (tmp_path / "ldaprc").write_text("TLS_REQCERT never\n")
        env = {"LDAPTLS_REQCERT": "never", "LDAPTLS_REQSAN": "never", "HOME": str(tmp_path),
               "LDAPTLS_CACERT": os.path.join(str(tmp_path), "other", "other.crt"),
               "LDAPCONF": str(tmp_path / "ldaprc"), "LDAPRC": "ldaprc"}
        config = fake_config(tmp_path, ca, [f.url], startTLS=start_tls)
        with Probe(tmp_path, config, env=env, cwd=str(tmp_path)) as p:
            got = p.login("alice", ALICE)
        unavailable(got)
        assert "certificate is not" in got["why"]
        assert f.binds() == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
def test_old_protocols_are_refused(tmp_path, newest):
    ca = pki.CA(tmp_path / "ca")
    with FakeLdap(bad_pairs(tmp_path, ca)["good"], newest=newest) as f:
        with Probe(tmp_path, fake_config(tmp_path, ca, [f.url])) as p:
            got = p.login("alice", ALICE)
        if newest == ssl.TLSVersion.TLSv1_2:
            refused(got, "noUser")
        else:
            unavailable(got)
            assert f.binds() == []


def test_trust_anchors_are_checked_at_load(directory, tmp_path):
    cases = {
        "certificateAuthority": "no PEM at all\n",
        "certificateAuthorityFile": str(tmp_path / "absent.crt"),
    }
    for key, value in cases.items():
        config = directory.config()
        del config["certificateAuthority"]
        config[key] = value
        code, err = Probe(tmp_path / key, config).failure()
        assert code == 2 and key in err, err
    config = directory.config()
    del config["certificateAuthority"]
    config["certificateAuthorityFile"] = directory.ca.crt
    with Probe(tmp_path / "file", config) as p:
        good(p.login("alice", ALICE), "corp:alice", ["corp:dev", "corp:ops"])


def test_without_anchors_of_our_own_the_system_decides(directory, tmp_path):
    config = directory.config()
    del config["certificateAuthority"]
    with Probe(tmp_path, config) as p:
        unavailable(p.login("alice", ALICE))


def test_bind_password_files_are_checked_at_load(directory, tmp_path):
    for name, text in (("empty", ""), ("newline", "\n"), ("nul", "a\0b\n"), ("long", "x" * 1100)):
        config = directory.config()
        (tmp_path / name).write_text(text)
        config["bindPasswordFile"] = str(tmp_path / name)
        code, err = Probe(tmp_path / ("p" + name), config).failure()
        assert code == 2 and "bindPasswordFile" in err and "a\0b" not in err


# --- servers that misbehave ---

def people(*ops, done=True):
    def search(base):
        if base == PEOPLE:
            return list(ops) + ([search_done()] if done else [])
        return [search_done()]
    return search


USER = f"uid=alice,{PEOPLE}"
ENTRY = entry(USER, uid="alice", entryUUID="u1")


def ask_fake(tmp_path, name="alice", password=ALICE, groupSearch=None, **kw):
    ca = pki.CA(tmp_path / "ca")
    override = {"groupSearch": groupSearch} if groupSearch else {}
    with FakeLdap(ca.server(), **kw) as f:
        with Probe(tmp_path, fake_config(tmp_path, ca, [f.url], timeout="2s", **override)) as p:
            got = p.login(name, password)
        return got, f


@pytest.mark.parametrize("code", [49, 19, 53, 48, 32])
def test_bind_codes_that_refuse(tmp_path, code):
    got, _ = ask_fake(tmp_path, on_search=people(ENTRY),
                      on_bind=lambda dn, _: [bind_result(code if dn == USER else 0)])
    refused(got, "badPassword")


@pytest.mark.parametrize("code", [1, 2, 7, 8, 13, 14, 51, 52, 80])
def test_bind_codes_that_say_nothing(tmp_path, code):
    got, _ = ask_fake(tmp_path, on_search=people(ENTRY),
                      on_bind=lambda dn, _: [bind_result(code if dn == USER else 0)])
    unavailable(got)


def test_referrals_are_not_followed(tmp_path):
    with FakeLdap(tls=False) as evil:
        ref = f"ldap://127.0.0.1:{evil.port}/{PEOPLE}??sub"
        got, _ = ask_fake(tmp_path, on_search=people(ENTRY),
                          on_bind=lambda dn, _: [bind_result(10 if dn == USER else 0, referral=ref)])
        unavailable(got)
        got, _ = ask_fake(tmp_path, on_search=lambda base: [search_done(10, referral=ref)])
        unavailable(got)
        assert evil.connections == 0


def test_search_references_of_slapd_are_not_followed(tmp_path):
    with FakeLdap(tls=False) as evil, Slapd(tmp_path / "slapd") as s:
        s.change(f"dn: ou=else,{PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\nou: else\n"
                 f"ref: ldap://127.0.0.1:{evil.port}/ou=else,{PEOPLE}\n", add=True)
        with Probe(tmp_path / "probe", s.config()) as p:
            good(p.login("alice", ALICE), "corp:alice", ["corp:dev", "corp:ops"])
            refused(p.login("elsewhere", "x"), "noUser")
        assert evil.connections == 0


def test_entry_without_a_name_is_not_bound_as(tmp_path):
    got, f = ask_fake(tmp_path, on_search=people(entry("", uid="alice", entryUUID="u1")))
    refused(got, "badEntry")
    assert "" not in f.binds()


@pytest.mark.parametrize("attrs", [
    {"entryUUID": "u"}, {"uid": "", "entryUUID": "u"}, {"uid": ["alice", "bob"], "entryUUID": "u"},
    {"uid": b"a\xff", "entryUUID": "u"}, {"uid": "a\nb", "entryUUID": "u"},
    {"uid": "a" * 300, "entryUUID": "u"}, {"uid": "alice"}, {"uid": "alice", "entryUUID": ["u", "v"]},
])
def test_entries_that_name_nobody_are_refused(tmp_path, attrs):
    got, f = ask_fake(tmp_path, on_search=people(entry(USER, **attrs)))
    refused(got, "badEntry")
    assert USER not in f.binds()


def test_nobody_costs_a_bind_too(tmp_path):
    got, f = ask_fake(tmp_path, on_search=people(), name="nobody", password="typed-password")
    refused(got, "noUser")
    assert len(f.binds()) == 2  # the service account, and one that cannot exist
    assert f.binds()[1].endswith("," + PEOPLE)
    assert all(s[2] != b"typed-password" for s in f.seen if s[0] == "bind")


def test_binary_uid_becomes_text(tmp_path):
    got, _ = ask_fake(tmp_path, on_search=people(entry(USER, uid="alice", entryUUID=b"\x00\xff\x10")))
    good(got, "corp:alice", [])
    assert got["uid"] == "00ff10"


def hangup(*_):
    raise Hangup


@pytest.mark.parametrize("answer", [
    hangup,
    lambda base: [],
    lambda base: [ENTRY],
    lambda base: [("raw", b"\x30\x82\x01\x00\x02\x01")],
    lambda base: [("raw", b"\x30\x84\x7f\xff\xff\xff\x02\x01\x02" + b"A" * 1000)],
    lambda base: [("raw", b"\x30\x80\x00\x00")],
    lambda base: [("raw", b"not LDAP at all" * 10)],
    # libldap 2.5 itself loses the request of an answer that it cannot decode: tests/support/lsan_ldap.c.
    lambda base: [ENTRY[:-3], search_done()],
    lambda base: [search_done(51)],
    lambda base: [search_done(1)],
    lambda base: [search_done(3)],
    lambda base: [search_done(50)],
    lambda base: [bind_result(0)] * 3,
], ids=["hangup", "silence", "entry-then-silence", "half-a-message", "two-gigabytes", "indefinite", "noise",
        "short-entry", "busy", "operations-error", "time-limit", "no-access", "wrong-kind"])
def test_broken_answers_are_outages(tmp_path, answer):
    got, f = ask_fake(tmp_path, on_search=answer)
    unavailable(got)
    assert USER not in f.binds()


def test_silence_during_the_bind_is_an_outage(tmp_path):
    got, _ = ask_fake(tmp_path, on_search=people(ENTRY),
                      on_bind=lambda dn, _: [] if dn == USER else [bind_result(0)])
    unavailable(got)
    assert got["reason"] == "directoryTimeout"


def test_more_entries_than_asked_for_are_ambiguous(tmp_path):
    got, f = ask_fake(tmp_path, on_search=people(*[ENTRY] * 1000))
    refused(got, "ambiguous")
    assert USER not in f.binds()
    got, _ = ask_fake(tmp_path, on_search=lambda base: [ENTRY, search_done(4)])
    refused(got, "ambiguous")


def test_too_many_groups_are_refused_rather_than_cut(tmp_path):
    def search(base):
        if base == PEOPLE:
            return [ENTRY, search_done()]
        return [entry(f"cn=g{i},{GROUPS}", cn=f"g{i}") for i in range(5001)] + [search_done()]

    got, _ = ask_fake(tmp_path, on_search=search)
    refused(got, "tooManyGroups")
    got, _ = ask_fake(tmp_path, on_search=lambda base: (
        [ENTRY, search_done()] if base == PEOPLE else [entry(f"cn=a,{GROUPS}", cn="a"), search_done(4)]))
    refused(got, "tooManyGroups")


@pytest.mark.parametrize("rest", [{"memberOf": []}, {}], ids=["beside", "alone"])
def test_values_in_pieces_are_read_to_their_end(tmp_path, rest):
    """Active Directory gives 1,500 values of an attribute at once, under another name (MS-ADTS 3.1.1.3.1.3.3)."""
    def search(base):
        if base == PEOPLE:
            return [entry(USER, uid="alice", entryUUID="u1", **rest,
                          **{"memberOf;range=0-1": [f"cn=a,{GROUPS}", f"cn=b,{GROUPS}"]}), search_done()]
        return [entry(USER, **{"memberOf;range=2-*": [f"cn=c,{GROUPS}"]}), search_done()]

    by_name = {"baseDN": GROUPS, "memberOfAttr": "memberOf", "nameFrom": "dn"}
    got, _ = ask_fake(tmp_path, on_search=search, groupSearch=by_name)
    good(got, "corp:alice", ["corp:a", "corp:b", "corp:c"])
    # A server that keeps the rest to itself.
    got, _ = ask_fake(tmp_path, on_search=lambda base: search(base) if base == PEOPLE else [search_done()],
                      groupSearch=by_name)
    assert got["verdict"] != "good" and got["groups"] == [], got


def test_unprintable_group_names_are_left_out(tmp_path):
    got, _ = ask_fake(tmp_path, on_search=lambda base: [ENTRY, search_done()] if base == PEOPLE else [
        entry(f"cn=x,{GROUPS}", cn=["ok", "", "a\nb", b"\xff", "ok"]), entry(f"cn=y,{GROUPS}"),
        search_done()])
    good(got, "corp:alice", ["corp:ok"])


def test_deadline_of_the_caller_holds(tmp_path):
    ca = pki.CA(tmp_path / "ca")
    with FakeLdap(silent=True) as hole:
        config = fake_config(tmp_path, ca, [hole.url] * 3)
        with Probe(tmp_path, config) as p:
            got = p.login("alice", ALICE, ms=300)
            unavailable(got)
            got = p.login("alice", ALICE, ms=0)
            unavailable(got)
            assert got["reason"] == "directoryTimeout"
