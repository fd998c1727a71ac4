"""Asking directories who is in which group: a real slapd in the ways in which directories say it, and servers that
misbehave. Whatever is not a whole and good answer takes no group from anybody."""
import pytest

from support.fakeldap import FakeLdap, Hangup, entry, octets, search_done, tlv
from support.rosterprobe import RosterProbe
from support.slapd import BASE, GROUPS, PEOPLE, SERVICE_DN, SERVICE_PASSWORD, Slapd, person_dn

ALL = [f"user{i}" for i in range(10)]


def config_of(folder, url, ca, query=None, **override):
    secret = folder / "bind-password"
    secret.write_text(SERVICE_PASSWORD + "\n")
    users = {"baseDN": PEOPLE, "filter": "(objectClass=inetOrgPerson)", "timeout": 20}
    groups = {"baseDN": GROUPS, "filter": "(cn=*)", "timeout": 20, **(query or {})}
    config = {"name": "corp", "url": url, "ca": ca.crt, "bindDN": SERVICE_DN, "bindPassword": {"file": str(secret)},
              "usernamePrefix": "corp:", "userNameAttributes": ["uid"], "usersQuery": users,
              "groupsPrefix": "corp:", "groupsQuery": groups, "groupNameAttributes": ["cn"],
              "groupMembershipAttributes": ["member"], "userUIDAttribute": "dn", **override}
    return {k: v for k, v in config.items() if v is not None}


def claims(probe, user="user0", groups=("dev", "all")):
    return probe.claim(f"corp:{user}", *[f"corp:{g}" for g in groups])


def nobody_lost(probe):
    for user in ALL:
        assert "gone" not in claims(probe, user).values()


def leave(slapd, group, attribute, value, how="delete"):
    slapd.change(f"dn: cn={group},{GROUPS}\nchangetype: modify\n{how}: {attribute}\n{attribute}: {value}\n")


# --- a directory that is well ---

def people_in(*groups):
    return {name: (f"secret-{name}", list(groups)) for name in ALL}


def posix(name, members):
    return (f"dn: cn={name},{GROUPS}\nobjectClass: posixGroup\ncn: {name}\ngidNumber: 7\n"
            + "".join(f"memberUid: {m}\n" for m in members))


def unique(name, members):
    return (f"dn: cn={name},{GROUPS}\nobjectClass: groupOfUniqueNames\ncn: {name}\n"
            + "".join(f"uniqueMember: {person_dn(m)}#'0101'B\n" for m in members))


WAYS = {
    "member": (people_in("dev", "all"), "", {}, "member", person_dn("user0")),
    "memberUid": (people_in(), posix("dev", ALL) + "\n" + posix("all", ALL),
                  {"groupMembershipAttributes": ["memberUid"], "userUIDAttribute": "uid"}, "memberUid", "user0"),
    "uniqueMember": (people_in(), unique("dev", ALL) + "\n" + unique("all", ALL),
                     {"groupMembershipAttributes": ["member", "uniqueMember"]}, "uniqueMember",
                     person_dn("user0") + "#'0101'B"),
    "pages": (people_in("dev", "all"), "", {"query": {"pageSize": 1}}, "member", person_dn("user0")),
}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_who_left_a_group_and_came_back(tmp_path, way):
    people, extra, override, attribute, value = WAYS[way]
    with Slapd(tmp_path / "slapd", people=people, extra=extra) as s:
        config = config_of(tmp_path, s.tls_url, s.ca, **override)
        with RosterProbe(tmp_path, [config]) as p:
            assert set(claims(p).values()) == {"unknown"}
            assert p.lead()["groups_doubted"] == 0, p.output()
            for user in ALL:
                assert set(claims(p, user).values()) == {"present"}
            assert p.counts() == {"count": 10, "groups": 2, "members": 20, "nested": 0, "primary": 0, "confirmed": 1}
            leave(s, "dev", attribute, value)
            assert claims(p)["corp:dev"] == "present"
            p.later()
            assert claims(p) == {"corp:dev": "missing", "corp:all": "present"}
            p.later()
            assert claims(p) == {"corp:dev": "gone", "corp:all": "present"}
            assert set(claims(p, "user1").values()) == {"present"}
            # Neither another prefix nor another provider nor an unknown user is judged.
            assert p.claim("corp:user0", "dev", "other:dev") == {"dev": "unknown", "other:dev": "unknown"}
            assert p.claim("corp:user0", "corp:dev", provider="dex") == {"corp:dev": "unknown"}
            assert p.claim("corp:nobody", "corp:dev") == {"corp:dev": "unknown"}
            leave(s, "dev", attribute, value, how="add")
            p.later()
            assert set(claims(p).values()) == {"present"}


def test_groups_that_users_name(tmp_path):
    with Slapd(tmp_path / "slapd", people=people_in(), overlays="overlay memberof\n") as s:
        for group, members in (("dev", ALL), ("all", ALL), ("outside", ALL[:1])):
            s.change(f"dn: cn={group},{GROUPS}\nobjectClass: groupOfNames\ncn: {group}\n"
                     + "".join(f"member: {person_dn(m)}\n" for m in members), add=True)
        config = config_of(tmp_path, s.tls_url, s.ca, {"filter": "(!(cn=outside))"},
                           groupMembershipAttributes=["memberOf"], userUIDAttribute=None)
        with RosterProbe(tmp_path, [config]) as p:
            p.lead()
            assert claims(p, groups=("dev", "outside")) == {"corp:dev": "present", "corp:outside": "unknown"}
            leave(s, "dev", "member", person_dn("user0"))
            p.later()
            p.later()
            # What the query never found is not ours to judge.
            assert claims(p, groups=("dev", "outside")) == {"corp:dev": "gone", "corp:outside": "unknown"}


@pytest.mark.parametrize("nested", [True, False])
def test_groups_in_groups(tmp_path, nested):
    extra = "\n".join(f"dn: cn={n},{GROUPS}\nobjectClass: groupOfNames\ncn: {n}\nmember: cn={m},{GROUPS}\n"
                      for n, m in (("above", "dev"), ("top", "above"), ("loop", "loop")))
    with Slapd(tmp_path / "slapd", people=people_in("dev", "all"), extra=extra) as s:
        with RosterProbe(tmp_path, [config_of(tmp_path, s.tls_url, s.ca, nestedGroups=nested)]) as p:
            groups = ("dev", "above", "top", "loop")
            p.lead()
            claims(p, groups=groups)
            p.later()
            p.later()
            up = "present" if nested else "gone"
            assert claims(p, groups=groups) == {
                "corp:dev": "present", "corp:above": up, "corp:top": up, "corp:loop": "gone"}


def test_two_directories_for_one_provider(tmp_path):
    """One that has it is enough; who asks for no groups holds back what the other says, unless the user left there."""
    half = {name: ("secret", ["dev"] if name != "user1" else []) for name in ALL}
    whole = {**people_in("all"), "user9": ("secret", ["all", "dev"])}
    with Slapd(tmp_path / "one", people=whole) as one, Slapd(tmp_path / "two", people=half) as two:
        common = {"providers": ["dex"]}
        first = config_of(tmp_path, one.tls_url, one.ca, **common)
        second = config_of(tmp_path, two.tls_url, two.ca, name="second", **common)
        third = {k: v for k, v in second.items() if not k.startswith(("group", "userUID"))}
        with RosterProbe(tmp_path / "a", [first, second]) as p:
            def ask(user, probe=p):
                return probe.claim(f"corp:{user}", "corp:dev", "corp:all", provider="dex")
            p.ask("lead", 1)
            p.wait(2)
            ask("user0"), ask("user1")
            for _ in range(2):
                p.ask("advance", 3600)
                p.wait(2)
            assert ask("user0") == {"corp:dev": "present", "corp:all": "present"}
            assert ask("user1") == {"corp:dev": "gone", "corp:all": "present"}
        with RosterProbe(tmp_path / "b", [first, third]) as p:
            p.ask("lead", 1)
            p.wait(2)
            ask("user1", p)
            for _ in range(2):
                p.ask("advance", 3600)
                p.wait(2)
            assert ask("user1", p) == {"corp:dev": "unknown", "corp:all": "present"}
            two.delete_person("user1")
            for _ in range(2):
                p.ask("advance", 3600)
                p.wait(2)
            assert ask("user1", p) == {"corp:dev": "gone", "corp:all": "present"}


# --- a directory that is not well ---

def test_a_server_that_hides_members(tmp_path):
    """The rule of the real server is changed under us: the account no longer sees `member`."""
    with Slapd(tmp_path / "slapd", people=people_in("dev", "all")) as s:
        with RosterProbe(tmp_path, [config_of(tmp_path, s.tls_url, s.ca)]) as p:
            p.lead()
            nobody_lost(p)
            s.stop()
            with open(s.conf, encoding="utf-8") as f:
                text = f.read()
            with open(s.conf, "w", encoding="utf-8") as f:
                f.write(text.replace("access to *\n", "access to attrs=member\n  by * none\naccess to *\n"))
            s.start()
            for _ in range(3):
                results = p.later()
                nobody_lost(p)
            assert results == {"good": 4, "failed": 0, "doubted": 0, "groups_doubted": 3}
            assert "no member of a group at all" in p.output()
            assert p.counts()["members"] == 20


def people(names=ALL):
    return [entry(person_dn(n), uid=n) for n in names]


def group(name, members=ALL, **more):
    return entry(f"cn={name},{GROUPS}", cn=name, member=[person_dn(m) for m in members], **more)


def good_groups():
    return [group("dev"), group("all")] + [group(f"g{i}", ALL[:1]) for i in range(8)] + [search_done()]


REFERENCE = tlv(0x73, octets(f"ldap://other.example.com/{GROUPS}??sub"))


def hang_up(parts):
    yield from parts
    raise Hangup


def ranged(last):
    """All of the other groups, and the first half of dev; what follows is what LAST gives."""
    first = entry(f"cn=dev,{GROUPS}", **{"cn": "dev", "member;range=0-4": [person_dn(m) for m in ALL[:5]]})
    return lambda base: last() if base.startswith("cn=dev") else [first] + good_groups()[1:]


BAD = {
    "none": lambda _: [search_done()],
    "half of the groups": lambda _: good_groups()[:5] + [search_done()],
    "half of the members": lambda _: [group("all"), group("dev", ALL[:2])] + good_groups()[2:],
    "no members": lambda _: [entry(f"cn={n},{GROUPS}", cn=n) for n in ["dev", "all"] + [f"g{i}" for i in range(8)]]
                            + [search_done()],
    "one group ten times": lambda _: [group("all")] * 10 + [search_done()],
    "members of another tree": lambda _: [
        entry(f"cn=g{i},{GROUPS}", cn=f"g{i}", member=[f"uid={u},dc=other" for u in ALL]) for i in range(10)]
        + [search_done()],
    "truncated": lambda _: hang_up(good_groups()[:9]),
    "truncated within an entry": lambda _: hang_up(good_groups()[:9] + [("raw", b"\x30\x82\x40\x00\x02\x01")]),
    "size limit": lambda _: good_groups()[1:-1] + [search_done(4)],
    "time limit": lambda _: good_groups()[1:-1] + [search_done(3)],
    "busy": lambda _: good_groups()[1:-1] + [search_done(51)],
    "no access": lambda _: [search_done(50)],
    "no such base": lambda _: [search_done(32)],
    "a part elsewhere": lambda _: good_groups()[1:-1] + [REFERENCE, search_done()],
    "the rest of a range does not come": ranged(lambda: [search_done()]),
    "the rest of a range is refused": ranged(lambda: [search_done(50)]),
    "the rest of a range is the beginning": ranged(lambda: [
        entry(f"cn=dev,{GROUPS}", **{"member;range=0-4": [person_dn(m) for m in ALL[:5]]}), search_done()]),
    "a gap in a range": ranged(lambda: [
        entry(f"cn=dev,{GROUPS}", **{"member;range=6-*": [person_dn(m) for m in ALL[6:]]}), search_done()]),
}


class Fake:
    """Users are well; GROUPS answers for the groups."""

    def __init__(self, ca):
        self.groups = None
        self.ldap = FakeLdap(ca.server(), on_search=self._search)

    def _search(self, base):
        if base == PEOPLE:
            return people() + [search_done()]
        return (self.groups or (lambda _: good_groups()))(base)


@pytest.mark.parametrize("what", sorted(BAD))
def test_answers_that_take_no_group_away(tmp_path, ca, what):
    fake = Fake(ca)
    with fake.ldap:
        with RosterProbe(tmp_path, [config_of(tmp_path, fake.ldap.url, ca)]) as p:
            assert p.lead()["groups_doubted"] == 0, p.output()
            nobody_lost(p)
            fake.groups = BAD[what]
            for turn in range(2):
                results = p.later()
                assert results["failed"] + results["groups_doubted"] == turn + 1, p.output()
                for user in ALL:
                    assert set(claims(p, user).values()) == {"present"}
            # Who really left is told as ever, until the next bad answer.
            fake.groups = lambda _: [group("dev", ALL[:9])] + good_groups()[1:]
            p.later()
            p.later()
            assert claims(p, "user9") == {"corp:dev": "gone", "corp:all": "present"}
            fake.groups = BAD[what]
            p.later()
            nobody_lost(p)


def test_ranges_are_read_to_their_end(tmp_path, ca):
    fake = Fake(ca)
    fake.groups = ranged(lambda: [
        entry(f"cn=dev,{GROUPS}", **{"member;range=5-*": [person_dn(m) for m in ALL[5:]]}), search_done()])
    with fake.ldap:
        with RosterProbe(tmp_path, [config_of(tmp_path, fake.ldap.url, ca)]) as p:
            p.lead()
            nobody_lost(p)
            p.later()
            p.later()
            for user in ALL:
                assert set(claims(p, user).values()) == {"present"}


def test_users_that_are_doubted_take_the_groups_along(tmp_path, ca):
    fake = Fake(ca)
    with fake.ldap:
        with RosterProbe(tmp_path, [config_of(tmp_path, fake.ldap.url, ca)]) as p:
            p.lead()
            nobody_lost(p)
            fake.ldap.on_search = lambda base: (
                people(ALL[:3]) + [search_done()] if base == PEOPLE else [group("dev", ALL[1:])] + good_groups()[1:])
            for _ in range(3):
                results = p.later()
                assert claims(p) == {"corp:dev": "present", "corp:all": "present"}
            assert results == {"good": 1, "failed": 0, "doubted": 3, "groups_doubted": 0}


def test_counts_outlive_a_leader(tmp_path, ca):
    fake = Fake(ca)
    with fake.ldap:
        with RosterProbe(tmp_path, [config_of(tmp_path, fake.ldap.url, ca)]) as p:
            p.lead()
            p.ask("lead", 0)
            before = p.counts()
            assert before["groups"] == 10 and before["members"] == 28
            fake.groups = BAD["half of the members"]
            p.ask("lead", 1)
            assert p.wait()["groups_doubted"] == 1
            assert p.counts() == before


def test_the_base_is_not_needed_twice(tmp_path, ca):
    """Users and groups below one base: each query finds its own."""
    seen = []

    def search(base):
        seen.append(base)
        return people() + [search_done()] if len(seen) % 2 else good_groups()

    with FakeLdap(ca.server(), on_search=search) as fake:
        config = config_of(tmp_path, fake.url, ca, {"baseDN": BASE})
        config["usersQuery"]["baseDN"] = BASE
        with RosterProbe(tmp_path, [config]) as p:
            assert p.lead() == {"good": 1, "failed": 0, "doubted": 0, "groups_doubted": 0}
            assert seen == [BASE, BASE] and set(claims(p).values()) == {"present"}
