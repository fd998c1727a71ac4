"""Asking directories who is still there: a real slapd, and servers that misbehave. Whatever is not a whole and good
answer says of nobody that they are gone."""
import threading

import pytest

from support import pki
from support.fakeldap import FakeLdap, Hangup, bind_result, entry, octets, result, search_done, tlv
from support.rosterprobe import RosterProbe
from support.slapd import PEOPLE, SERVICE_DN, SERVICE_PASSWORD, Slapd, person_dn

ALL = [f"user{i}" for i in range(10)]


@pytest.fixture(name="slapd")
def fixture_slapd(tmp_path):
    with Slapd(tmp_path / "slapd", people={name: (f"secret-{name}", []) for name in ALL}) as s:
        yield s


def config_of(folder, url, ca, query=None, **override):
    secret = folder / "bind-password"
    if not secret.exists():
        secret.write_text(SERVICE_PASSWORD + "\n")
    users = {"baseDN": PEOPLE, "filter": "(objectClass=inetOrgPerson)", "timeout": 20}
    users.update(query or {})
    return dict({"name": "corp", "url": url, "ca": ca.crt, "bindDN": SERVICE_DN, "bindPassword": {"file": str(secret)},
                 "usernamePrefix": "corp:", "userNameAttributes": ["uid"], "usersQuery": users}, **override)


def ask_all(probe):
    return {name: probe.say(f"corp:{name}") for name in ALL}


def nobody_gone(probe):
    assert "gone" not in ask_all(probe).values()


# --- a directory that is well ---

@pytest.mark.parametrize("tls", ["ldaps", "starttls"])
def test_who_is_there_and_who_has_left(slapd, tmp_path, tls):
    url = slapd.tls_url if tls == "ldaps" else slapd.url
    with RosterProbe(tmp_path, [config_of(tmp_path, url, slapd.ca)]) as p:
        assert p.say("corp:user3") == "unknown"
        assert p.lead() == {"good": 1, "failed": 0, "doubted": 0}
        assert set(ask_all(p).values()) == {"present"}
        assert p.count() == 10
        slapd.delete_person("user3")
        assert p.say("corp:user3") == "present"
        p.later()
        assert p.say("corp:user3") == "missing"
        p.later()
        assert ask_all(p) == {name: "gone" if name == "user3" else "present" for name in ALL}
        assert p.count() == 9
        slapd.add_person("user3", "secret-again")
        p.later()
        assert p.say("corp:user3") == "present"
        # Nobody vouches for these.
        assert p.say("corp:user1", provider="jwt:https://issuer") == "unknown"
        assert p.say("user1") == "unknown"


def test_pages_are_read_to_the_last(slapd, tmp_path):
    with RosterProbe(tmp_path, [config_of(tmp_path, slapd.tls_url, slapd.ca, {"pageSize": 3})]) as p:
        assert p.lead()["good"] == 1
        assert p.count() == 10
        assert set(ask_all(p).values()) == {"present"}


def test_scopes_and_attributes(slapd, tmp_path):
    rows = [({"scope": "one"}, {}, 10), ({"baseDN": person_dn("user4"), "scope": "base"}, {}, 1),
            ({}, {"userNameAttributes": ["employeeNumber", "mail"]}, 10), ({"filter": "(uid=user*)"}, {}, 10),
            ({"filter": "(uid=user1)"}, {}, 1)]
    for i, (query, override, count) in enumerate(rows):
        folder = tmp_path / str(i)
        folder.mkdir()
        with RosterProbe(folder, [config_of(folder, slapd.tls_url, slapd.ca, query, **override)]) as p:
            assert p.lead()["good"] == 1, (query, p.output())
            assert p.count() == count, query
            if "userNameAttributes" in override:
                assert p.say("corp:user1@example.com") == "present"


def test_aliases(tmp_path):
    extra = (f"dn: ou=all,dc=example,dc=com\nobjectClass: organizationalUnit\nou: all\n\n"
             f"dn: uid=linked,ou=all,dc=example,dc=com\nobjectClass: alias\nobjectClass: extensibleObject\n"
             f"uid: linked\naliasedObjectName: {person_dn('user1')}\n")
    people = {name: (f"secret-{name}", []) for name in ALL}
    with Slapd(tmp_path / "slapd", people=people, extra=extra) as s:
        for deref, good in (("always", 1), ("search", 1), ("never", 0), ("base", 0)):
            folder = tmp_path / deref
            folder.mkdir()
            query = {"baseDN": "ou=all,dc=example,dc=com", "derefAliases": deref}
            with RosterProbe(folder, [config_of(folder, s.tls_url, s.ca, query)]) as p:
                assert p.lead()["good"] == good, deref
                assert p.say("corp:user1") == ("present" if good else "unknown")


def test_two_directories_must_agree(slapd, tmp_path):
    with Slapd(tmp_path / "second", people={"user3": ("secret-x", [])}) as other:
        one = config_of(tmp_path, slapd.tls_url, slapd.ca, providers=["dex"])
        two = config_of(tmp_path, other.tls_url, other.ca, name="second", providers=["dex"])
        with RosterProbe(tmp_path, [one, two]) as p:
            p.ask("lead", 1)
            p.wait(2)
            p.say("corp:user3", "dex")
            p.say("corp:nobody", "dex")
            slapd.delete_person("user3")
            for _ in range(3):
                p.ask("advance", 3600)
                p.wait(2)
            assert p.say("corp:user3", "dex") == "present"
            assert p.say("corp:nobody", "dex") == "gone"
            assert p.say("corp:nobody") == "unknown"
            other.stop()
            for _ in range(3):
                p.ask("advance", 3600)
                p.wait(2)
            assert p.say("corp:nobody", "dex") == "missing"


def test_leadership_begins_anew_and_keeps_the_count(slapd, tmp_path):
    with RosterProbe(tmp_path, [config_of(tmp_path, slapd.tls_url, slapd.ca)]) as p:
        p.lead()
        assert p.say("corp:nobody") == "missing"
        p.later()
        p.later()
        assert p.say("corp:nobody") == "gone"
        p.ask("lead", 0)
        assert p.say("corp:nobody") == "unknown"
        assert p.count() == 10
        p.ask("remember", "corp", 13)  # another leader saw more
        assert p.lead()["doubted"] == 1
        assert p.say("corp:nobody") == "unknown"
        assert p.count() == 13
        p.ask("lead", 0)
        p.ask("remember", "corp", 12)
        p.lead()
        assert p.say("corp:nobody") == "missing"
        assert p.count() == 10


# --- a directory that is not well ---

def test_down_and_up_again(slapd, tmp_path):
    with RosterProbe(tmp_path, [config_of(tmp_path, slapd.tls_url, slapd.ca)]) as p:
        p.lead()
        assert p.say("corp:nobody") == "missing"
        p.later()
        slapd.stop()
        for _ in range(5):
            p.later()
            nobody_gone(p)
            assert p.say("corp:nobody") == "missing"
        assert p.count() == 10
        slapd.start()
        assert p.later() == {"good": 3, "failed": 5, "doubted": 0}
        assert set(ask_all(p).values()) == {"present"}
        assert p.say("corp:nobody") == "gone"


def test_the_password_is_read_for_each_poll(slapd, tmp_path):
    secret = tmp_path / "bind-password"
    config = config_of(tmp_path, slapd.tls_url, slapd.ca)
    with RosterProbe(tmp_path, [config]) as p:
        p.lead()
        ask_all(p)
        for wrong in ("wrong", "", "\n", "x" * 2000):
            secret.write_text(wrong)
            p.later()
            nobody_gone(p)
        secret.unlink()
        p.later()
        secret.write_text(SERVICE_PASSWORD)
        assert p.later() == {"good": 2, "failed": 5, "doubted": 0}
        assert SERVICE_PASSWORD not in p.output()


@pytest.mark.parametrize("line", ["sizelimit 4", "limits * size.pr=1 size=4"])
def test_size_limits_of_a_real_server(tmp_path, line):
    people = {name: (f"secret-{name}", []) for name in ALL}
    with Slapd(tmp_path / "slapd", people=people, overlays=line + "\n") as s:
        with RosterProbe(tmp_path, [config_of(tmp_path, s.tls_url, s.ca)]) as p:
            p.lead()
            ask_all(p)
            for _ in range(3):
                results = p.later()
                nobody_gone(p)
            assert results["good"] == 0 and results["failed"] == 4, results


def test_a_reader_who_sees_less_is_doubted(slapd, tmp_path):
    """Half of the people move to where the query does not look."""
    with RosterProbe(tmp_path, [config_of(tmp_path, slapd.tls_url, slapd.ca)]) as p:
        p.lead()
        ask_all(p)
        for name in ALL[:5]:
            slapd.delete_person(name)
        for _ in range(4):
            results = p.later()
            nobody_gone(p)
        assert results == {"good": 1, "failed": 0, "doubted": 4}
        assert "less than 80 %" in p.output()


@pytest.mark.parametrize("what", ["authority", "system", "missing"])
def test_servers_that_are_not_verified(slapd, tmp_path, what):
    config = config_of(tmp_path, slapd.tls_url, slapd.ca)
    if what == "authority":
        config["ca"] = pki.CA(tmp_path / "other", "other").crt
    elif what == "system":
        del config["ca"]
    else:
        config["ca"] = str(tmp_path / "nowhere.crt")
    with RosterProbe(tmp_path, [config]) as p:
        assert p.lead()["failed"] == 1, p.output()
        nobody_gone(p)


def people(names=ALL):
    return [entry(person_dn(n), uid=n) for n in names]


REFERENCE = tlv(0x73, octets(f"ldap://other.example.com/{PEOPLE}??sub"))
COOKIE = tlv(0x30, octets("1.2.840.113556.1.4.319") + octets(tlv(0x30, tlv(0x02, b"\x00") + octets("again"))))


def hang_up(parts):
    def answer(_):
        yield from parts
        raise Hangup
    return answer


BAD = {
    "empty": lambda _: [search_done()],
    "half": lambda _: people(ALL[:5]) + [search_done()],
    "one": lambda _: people(ALL[:1]) + [search_done()],
    "without names": lambda _: [entry(person_dn(n), cn=n) for n in ALL] + [search_done()],
    "one user ten times": lambda _: people(ALL[:1]) * 10 + [search_done()],
    "truncated": hang_up(people(ALL[:9])),
    "truncated within an entry": hang_up(people(ALL[:9]) + [("raw", b"\x30\x82\x40\x00\x02\x01")]),
    "hangs up": hang_up([]),
    "size limit": lambda _: people(ALL[:9]) + [search_done(4)],
    "time limit": lambda _: people(ALL[:9]) + [search_done(3)],
    "administrative limit": lambda _: people(ALL[:9]) + [search_done(11)],
    "busy": lambda _: people(ALL[:9]) + [search_done(51)],
    "unavailable": lambda _: [search_done(52)],
    "no access": lambda _: [search_done(50)],
    "no such base": lambda _: [search_done(32)],
    "other": lambda _: people(ALL[:9]) + [search_done(80)],
    "referral": lambda _: [result(0x65, 10, referral="ldap://other.example.com/")],
    "a part elsewhere": lambda _: people(ALL[:9]) + [REFERENCE, search_done()],
    "only references": lambda _: [REFERENCE, search_done()],
    "pages without end": lambda _: [("controls", search_done(), COOKIE)],
    "pages that repeat": lambda _: people(ALL[:1]) + [("controls", search_done(), COOKIE)],
    "an empty cookie control": lambda _: people(ALL[:9]) + [
        ("controls", search_done(), tlv(0x30, octets("1.2.840.113556.1.4.319")))],
    "garbage": lambda _: [("raw", b"HTTP/1.1 200 OK\r\n\r\n")],
    "silence": lambda _: people(ALL[:9]),
    "another's answer": lambda _: [("raw", b"\x30\x0c\x02\x01\x7f\x65\x07\x0a\x01\x00\x04\x00\x04\x00")],
}


# Silence costs its timeout four times, and gives sanitizers nothing to look at.
@pytest.mark.parametrize("what", [pytest.param(w, marks=[pytest.mark.plain_only] * (w == "silence")) for w in sorted(BAD)])
def test_answers_that_take_nobody_away(tmp_path, ca, what):
    state = {"answer": None}

    def search(base):
        return (state["answer"] or (lambda _: people() + [search_done()]))(base)

    slow = what in ("silence", "another's answer", "pages that repeat")
    with FakeLdap(ca.server(), on_search=search) as fake:
        config = config_of(tmp_path, fake.url, ca, {"timeout": 2 if slow else 20})
        with RosterProbe(tmp_path, [config]) as p:
            assert p.lead()["good"] == 1, p.output()
            nobody_gone(p)  # asked for: from now on they may be missing
            state["answer"] = BAD[what]
            for turn in range(3):
                results = p.later()
                assert results["good"] == 1 and results["failed"] + results["doubted"] == turn + 1, p.output()
                assert set(ask_all(p).values()) == {"present"}
            assert p.count() == 10
            # Two who really left are told as ever: the failures neither helped nor harmed.
            state["answer"] = lambda _: people(ALL[:9]) + [search_done()]
            p.later()
            assert p.say("corp:user9") == "missing"
            p.later()
            assert p.say("corp:user9") == "gone"
            state["answer"] = BAD[what]
            p.later()
            nobody_gone(p)


@pytest.mark.parametrize("urls,good", [
    (["ldap://ad.example.com/CN=Configuration,{base}"], True),
    (["ldaps://ad.example.com/dc=DomainDnsZones,%20{base}??sub", "ldap://b/DC=ForestDnsZones,{base}"], True),
    (["ldap://child.example.com/DC=child,{base}"], False),
    (["ldap://ad.example.com/CN=Configuration,{base}", "ldap://x/DC=child,{base}"], False),
    (["ldap://ad.example.com/CN=Configuration,DC=child,{base}"], False),
    (["ldap://ad.example.com/CN=Configuration"], False),
    (["ldap://ad.example.com/{base}"], False),
    (["ldap://ad.example.com/"], False),
    (["CN=Configuration,{base}"], False),
    (["http://ad.example.com/CN=Configuration,{base}"], False),
    (["\xff"], False),
    ([], False),
])
def test_references_to_partitions_without_people(tmp_path, ca, urls, good):
    """As Active Directory gives them to each search from the root of a domain."""
    reference = tlv(0x73, b"".join(octets(u.format(base=PEOPLE)) for u in urls))
    with FakeLdap(ca.server(), on_search=lambda _: people() + [reference, search_done()]) as fake:
        with RosterProbe(tmp_path, [config_of(tmp_path, fake.url, ca)]) as p:
            assert p.lead()["good"] == good, p.output()
            assert p.count() == (10 if good else 0)


@pytest.mark.parametrize("code", [49, 48, 53, 51, 1, 0x50])
def test_binds_that_fail(tmp_path, ca, code):
    state = {"code": 0}
    with FakeLdap(ca.server(), on_bind=lambda dn, pw: [bind_result(state["code"])],
                  on_search=lambda _: people(ALL if not state["code"] else ALL[:9]) + [search_done()]) as fake:
        with RosterProbe(tmp_path, [config_of(tmp_path, fake.url, ca)]) as p:
            p.lead()
            ask_all(p)
            state["code"] = code
            for _ in range(3):
                results = p.later()
                assert set(ask_all(p).values()) == {"present"}
            assert results == {"good": 1, "failed": 3, "doubted": 0}


@pytest.mark.parametrize("how", ["refuse", "plain", "inject", "silent"])
def test_starttls_that_fails(tmp_path, ca, how):
    with FakeLdap(ca.server(), tls=False, on_starttls=how, on_search=lambda _: people() + [search_done()]) as fake:
        config = config_of(tmp_path, fake.url, ca, {"timeout": 2})
        with RosterProbe(tmp_path, [config]) as p:
            assert p.lead() == {"good": 0, "failed": 1, "doubted": 0}
        assert not fake.binds(), "a password went over a connection that is not secure"


def test_stopping_does_not_wait_for_a_silent_directory(tmp_path, ca):
    asked = threading.Event()

    def search(_):
        asked.set()
        return []

    with FakeLdap(ca.server(), on_search=search) as fake:
        config = config_of(tmp_path, fake.url, ca, {"timeout": 300})
        with RosterProbe(tmp_path, [config]) as p:
            p.ask("lead", 1)
            assert asked.wait(60)
        # Leaving the block ends the program within its bound of 120 s, far below the poll's 300.
