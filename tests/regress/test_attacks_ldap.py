"""Rows 56 to 69, 73, 75, 76: names, passwords and directories that want more than they should get. Asked as basic
tokens in reviews, so that what an apiserver sees is what is judged; POST /login is the same code."""
import base64
import os
import re

import pytest

from support import pki
from support.attacks import Gate
from support.fakeissuer import Listener
from support.fakeldap import FakeLdap, Hangup, bind_result, entry, search_done
from support.ports import free_port
from support.slapd import GROUPS, PEOPLE, SERVICE_DN, Slapd

ALICE = "alice-secret-5512"
USER = f"uid=alice,{PEOPLE}"


def basic(user, password):
    parts = [x.encode("utf-8", "surrogateescape") if isinstance(x, str) else x for x in (user, password)]
    return base64.b64encode(b":".join(parts)).decode()


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """(daemon, a slapd that tells of each operation)"""
    folder = tmp_path_factory.mktemp("real")
    with Slapd(folder / "slapd", log="stats") as s:
        with Gate(folder / "gate", ldap=[s.config(basic=True)]) as gate:
            yield gate, s
    assert gate.process.popen.returncode == 0, gate.process.tail()


def operations(real):
    """What slapd was asked up to now: a known bind is last in it."""
    gate, s = real
    operations.count += 1
    marker = f"marker{operations.count}"
    s.add_person(marker, "secret")
    assert gate.accepted(basic(marker, "secret"))["username"] == f"corp:{marker}"
    s.process.wait_line(rf'BIND dn="uid={marker},')
    return s.process.output()


operations.count = 0


@pytest.mark.attack("56", "57")
def test_empty_and_nul_passwords_reach_no_directory(real):
    gate, _ = real
    before = operations(real).count('BIND dn="uid=alice,')
    gate.refused(basic("alice", ""), "emptyPassword", "noMatch")
    for password in (b"\0", b"\0" + ALICE.encode(), ALICE.encode() + b"\0", b"al\0ice"):
        gate.refused(basic("alice", password), "noMatch")
    with gate.login_client() as c:
        for password in ("", "\0", "\0" + ALICE, ALICE + "\0"):
            got = c.post("/login", json={"username": "alice", "password": password})
            assert got.status in (400, 401, 429) and "token" not in got.text
    assert operations(real).count('BIND dn="uid=alice,') == before
    assert gate.accepted(basic("alice", ALICE))["username"] == "corp:alice"


@pytest.mark.attack("58")
def test_filters_in_names_match_nobody(real):
    gate, _ = real
    names = ["*", "a*", "al*", "a*e", "*)(uid=*))(|(uid=*", ")(objectClass=*)", "alice)(uid=alice", "alice)(|(uid=*)",
             "(alice)", "alice)(!(uid=x)", "*)(&", "&(uid=alice)", "alice*", "|(uid=alice)"]
    for name in names:
        gate.refused(basic(name, ALICE), "noUser")
    for name in ("", " ", "   "):
        gate.refused(basic(name, ALICE), "badName", "noMatch")
    searches = re.findall(r'SRCH base="ou=people[^\n]*filter="([^"]*)"', operations(real))
    assert searches
    for f in searches:
        name = re.fullmatch(r"\(&\(objectClass=inetOrgPerson\)\(\|\(uid=(.*)\)\)\)", f).group(1)
        assert not re.search(r"[()*]", name), f
    assert [f for f in searches if r"\2a" in f.lower()]


@pytest.mark.attack("59")
def test_escapes_and_odd_bytes_in_names_match_nobody(real):
    gate, _ = real
    for name in ("\\", "\\2a", "%2a", "alice\\", "alice\\00", "al\\69ce", "%61lice", "\u0430lice", "al\u0131ce",
                 "x" * 256):
        gate.refused(basic(name, ALICE), "noUser", "badName")
    for name in (b"al\0ice", b"alice\0", b"\xff\xfe", b"\xc0\xae", b"alice\n", b"alice\x1b[31m", "alice\u202e",
                 "alice\u200b", "a" * 257, "x" * 40000):
        gate.refused(basic(name, ALICE), "noMatch", "badName")


@pytest.mark.attack("60")
def test_names_with_special_characters_find_their_own_groups(real):
    gate, s = real
    rdn = r'cn=Doe\, J \"JD\" \+ \#1 (x*) \\ \;\<\>+uid=jdoe'
    s.change(f"dn: {rdn},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: jdoe\ncn: Doe, J \"JD\" + #1 (x*) \\ ;<>\n"
             "sn: Doe\nuserPassword: jdoe-secret\n", add=True)
    s.change(f"dn: cn=mine,{GROUPS}\nobjectClass: groupOfNames\ncn: mine\nmember: {rdn},{PEOPLE}\n", add=True)
    assert gate.accepted(basic("jdoe", "jdoe-secret"))["groups"] == ["corp:mine"]


@pytest.mark.attack("61")
def test_a_name_of_two_people_is_nobodys(real):
    gate, s = real
    s.change(f"dn: ou=eu,{PEOPLE}\nobjectClass: organizationalUnit\nou: eu\n", add=True)
    s.add_person("twin", "twin-one")
    s.change(f"dn: uid=twin,ou=eu,{PEOPLE}\nobjectClass: inetOrgPerson\nuid: twin\ncn: T\nsn: T\n"
             "userPassword: twin-two\n", add=True)
    for password in ("twin-one", "twin-two"):
        gate.refused(basic("twin", password), "ambiguous")
    assert gate.metric("portcullis_directory_ambiguous_total") >= 2


@pytest.mark.attack("62")
def test_the_name_is_the_entrys(real):
    gate, _ = real
    for typed in ("ALICE", "Alice", "aLiCe", " alice", "alice "):
        assert gate.accepted(basic(typed, ALICE))["username"] == "corp:alice"


@pytest.mark.attack("73")
def test_reserved_groups_and_people_of_a_directory(real, tmp_path):
    _, s = real
    s.add_person("gina", "gina-secret", ["system:masters", "kubeadm:cluster-admins", "SYSTEM:nodes", "dev"])
    s.add_person("system:admin", "root-secret")
    bare = s.config(basic=True, usernamePrefix="", groupsPrefix="")
    with Gate(tmp_path / "bare", tokens={}, ldap=[bare]) as gate:
        assert gate.accepted(basic("gina", "gina-secret"))["groups"] == ["dev"]
        assert gate.metric("portcullis_reserved_names_total", kind="group") >= 3
        # A user name ends at the first colon.
        assert gate.login("system:admin", "root-secret").status == 401
        record = gate.wait_audit("authn.login")
        assert record["reason"] == "reservedName"
    s.change(f"dn: cn=dev,{GROUPS}\nchangetype: modify\nadd: description\ndescription: cn=system:masters\n"
             "description: system:masters\n")
    config = s.config(basic=True, usernamePrefix="", groupsPrefix="",
                      groupSearch={**s.config()["groupSearch"], "nameAttr": "description"})
    with Gate(tmp_path / "description", tokens={}, ldap=[config]) as gate:
        assert gate.accepted(basic("gina", "gina-secret"))["groups"] == ["cn=system:masters"]


@pytest.mark.attack("76")
def test_basic_tokens_split_at_the_first_colon_and_have_one_spelling(real):
    gate, s = real
    s.add_person("colon", "pa:ss:")
    token = basic("colon", "pa:ss:")
    assert gate.accepted(token)["username"] == "corp:colon"
    for password in ("pa", "pa:ss", "ss:", ":pa:ss:"):
        gate.refused(basic("colon", password), "badPassword")
    for bad in (token.rstrip("=") + "!", token + "=", token + "\n", " " + token, token[:-1],
                token.replace("=", "") + "A", base64.b64encode(b"alice").decode(), "", "=", "====", f"alice:{ALICE}",
                basic("alice", ALICE).replace("=", "."), base64.b64encode(token.encode()).decode()):
        gate.refused(bad, "noMatch", "empty")


# --- directories that misbehave ---

@pytest.fixture
def ask(tmp_path):
    """ask(FakeLdap arguments…) -> (reply, record, fake): alice asks with the right password."""
    ca = pki.CA(tmp_path / "ca")
    gates, count = [], 0

    def go(password=ALICE, pair=None, start_tls=False, env=None, timeout="1s", urls=None, **kw):
        nonlocal count
        count += 1
        secret = tmp_path / "bind-password"
        secret.write_text("service\n")
        with FakeLdap(pair(ca) if pair else ca.server(), tls=not start_tls, **kw) as fake:
            config = {
                "name": "corp", "urls": urls or [fake.url], "certificateAuthority": ca.pem, "bindDN": SERVICE_DN,
                "bindPasswordFile": str(secret), "basic": True, "timeout": timeout, "startTLS": start_tls,
                "userSearch": {"baseDN": PEOPLE, "username": "uid", "uidAttr": "entryUUID"},
                "groupSearch": {"baseDN": GROUPS, "userMatchers": [{"userAttr": "DN", "groupAttr": "member"}]},
                "usernamePrefix": "corp:", "groupsPrefix": "corp:"}
            gate = Gate(tmp_path / f"gate{count}", ldap=[config], env=env)
            gates.append(gate)
            with gate:
                got = gate.token_review(basic("alice", password))
                record = gate._next_record("authn.review")
                Gate.reasons.add(record["reason"])
            return got, record, fake

    yield go
    assert [g.process.popen.returncode for g in gates] == [0] * len(gates)


def refuses(answer, *reasons):
    got, record, fake = answer
    assert got.status == 200 and got.json["status"] == {"authenticated": False}, got
    assert record["reason"] in reasons, record
    return fake


def is_outage(answer):
    got, record, fake = answer
    assert got.status == 503 and got.json["kind"] == "Status" and "Retry-After" not in got.headers, got
    assert record["reason"] in ("directoryDown", "directoryTimeout"), record
    return fake


def people(*ops):
    return lambda base: [*(ops if base == PEOPLE else ()), search_done()]


ENTRY = entry(USER, uid="alice", entryUUID="u1")


@pytest.mark.attack("63")
@pytest.mark.parametrize("attrs", [
    {"entryUUID": "u"}, {"uid": "", "entryUUID": "u"}, {"uid": ["alice", "bob"], "entryUUID": "u"},
    {"uid": b"a\xff", "entryUUID": "u"}, {"uid": "alice", "entryUUID": ["u", "v"]},
], ids=["missing", "empty", "two", "no-text", "two-uids"])
def test_entries_that_name_nobody(ask, attrs):
    fake = refuses(ask(on_search=people(entry(USER, **attrs))), "badEntry")
    assert USER not in fake.binds()


@pytest.mark.attack("64")
def test_an_entry_without_a_name_is_not_bound_as(ask):
    fake = refuses(ask(on_search=people(entry("", uid="alice", entryUUID="u1"))), "badEntry")
    assert "" not in fake.binds() and ALICE.encode() not in [s[2] for s in fake.seen if s[0] == "bind"]


@pytest.mark.attack("65")
def test_a_refused_service_account_is_our_outage(ask):
    fake = is_outage(ask(on_search=people(ENTRY), on_bind=lambda dn, _: [bind_result(49)]))
    assert set(fake.binds()) == {SERVICE_DN}


def hangup(*_):
    raise Hangup


@pytest.mark.attack("66")
@pytest.mark.parametrize("how", [
    {"silent": True},
    {"on_bind": hangup},
    {"on_bind": lambda dn, _: []},
    {"on_search": hangup},
    {"on_search": lambda base: []},
    {"on_search": lambda base: [ENTRY]},
    {"on_search": people(ENTRY), "on_bind": lambda dn, _: hangup() if dn == USER else [bind_result(0)]},
    {"on_search": people(ENTRY), "on_bind": lambda dn, _: [] if dn == USER else [bind_result(0)]},
    {"on_search": lambda base: [search_done(51)]},
    {"on_search": lambda base: [search_done(52)]},
], ids=["mute", "close-at-bind", "no-bind-answer", "close-at-search", "no-search-answer", "half-a-search",
        "close-at-users-bind", "no-users-bind-answer", "busy", "unavailable"])
def test_a_directory_that_fails_is_an_outage(ask, how):
    is_outage(ask(**how))


@pytest.mark.attack("66")
def test_nobody_listens_or_the_next_one_does(ask, tmp_path):
    closed = f"ldaps://127.0.0.1:{free_port()}"
    is_outage(ask(urls=[closed]))
    with Slapd(tmp_path / "slapd") as s:
        config = s.config(basic=True)
        config["urls"].insert(0, closed)
        with Gate(tmp_path / "gate", ldap=[config]) as gate:
            assert gate.accepted(basic("alice", ALICE))["username"] == "corp:alice"


@pytest.mark.attack("67")
@pytest.mark.parametrize("how", ["refuse", "plain", "silent"])
def test_starttls_is_not_done_without(ask, how):
    fake = is_outage(ask(start_tls=True, on_starttls=how))
    assert {s[0] for s in fake.seen} == {"starttls"}


@pytest.mark.attack("67", "68")
@pytest.mark.parametrize("start_tls", [False, True], ids=["ldaps", "starttls"])
def test_a_certificate_of_another_host_whatever_the_environment_says(ask, tmp_path, start_tls):
    (tmp_path / "ldaprc").write_text("TLS_REQCERT never\nREFERRALS on\n")
    (tmp_path / ".ldaprc").write_text("TLS_REQCERT never\n")
    env = {"LDAPTLS_REQCERT": "never", "LDAPTLS_REQSAN": "never", "HOME": str(tmp_path), "LDAPRC": "ldaprc",
           "LDAPCONF": str(tmp_path / "ldaprc"), "LDAPTLS_CIPHER_SUITE": "NULL"}
    fake = is_outage(ask(pair=lambda ca: ca.server("other", sans=("DNS:other.example.com",)), start_tls=start_tls,
                         env=env, on_search=people(ENTRY)))
    assert fake.binds() == []


@pytest.mark.attack("69")
def test_referrals_lead_nowhere(ask):
    with Listener() as evil:
        url = f"ldap://127.0.0.1:{evil.port}/{PEOPLE}??sub"
        reference = bytes([0x73, len(url) + 2, 0x04, len(url)]) + url.encode()
        is_outage(ask(on_search=people(ENTRY),
                      on_bind=lambda dn, _: [bind_result(10 if dn == USER else 0, referral=url)]))
        is_outage(ask(on_bind=lambda dn, _: [bind_result(10, referral=url)]))
        is_outage(ask(on_search=lambda base: [search_done(10, referral=url)]))
        got, record, _ = ask(on_search=people(reference, ENTRY, reference))
        assert got.json["status"]["authenticated"] is True, record
        refuses(ask(on_search=people(reference)), "noUser")
        assert evil.calls == 0


@pytest.mark.attack("75")
@pytest.mark.parametrize("raw", [
    b"\x30\x82\x01\x00\x02\x01", b"\x30\x84\x7f\xff\xff\xff\x02\x01\x02" + b"A" * 1000, b"\x30\x80\x00\x00",
    b"not LDAP at all" * 10, b"\x30\x00",
    # libldap 2.5 itself loses what it had of these.
    pytest.param(b"\x30\x03\x02\x01\x02", marks=pytest.mark.plain_only),
    pytest.param(b"\x30\x05\x02\x01\x02\x64\x81", marks=pytest.mark.plain_only),
    b"\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff", bytes.fromhex("300c02010265070a84ffffffff00"),
], ids=["half", "two-gigabytes", "indefinite", "noise", "empty", "no-operation", "cut-entry", "eight-byte-length",
        "long-code"])
def test_malformed_answers_are_outages(ask, raw):
    fake = is_outage(ask(on_search=lambda base: [("raw", raw)]))
    assert USER not in fake.binds()


@pytest.mark.attack("75")
def test_huge_answers_are_bounded(ask):
    big = entry(USER, uid="alice", entryUUID="u1", description=["x" * 1000] * 100000)
    assert USER not in is_outage(ask(on_search=people(big))).binds()
    refuses(ask(on_search=people(*[ENTRY] * 5000)), "ambiguous")

    def many(base):
        groups = [entry(f"cn=g{i},{GROUPS}", cn=f"g{i}") for i in range(6000)]
        return [*([ENTRY] if base == PEOPLE else groups), search_done()]
    refuses(ask(on_search=many, timeout="5s"), "tooManyGroups")
