"""Rows 70, 71 and 74: accounts that may not log in though their password is right, and groups without end.

What Active Directory and a password policy really say is tested on real ones beside this; here each word they could
say comes from a server that says it on order.
"""
import base64

import pytest

from support import pki
from support.attacks import Gate
from support.fakeldap import FakeLdap, bind_result, entry, octets, search_done, tlv
from support.slapd import GROUPS, PEOPLE, SERVICE_DN, Slapd, group_ldif

ALICE = "alice-secret-5512"
USER = f"uid=alice,{PEOPLE}"
ENTRY = entry(USER, uid="alice", entryUUID="u1")
WORD = base64.b64encode(f"alice:{ALICE}".encode()).decode()


def ask(folder, on_bind, groups=(), **change):
    """What alice's review comes to when her bind is answered by ON_BIND()."""
    ca = pki.CA(folder / "ca")
    (folder / "secret").write_text("service\n")

    def bind(dn, _):
        return on_bind() if dn == USER else [bind_result(0)]

    def search(base):
        return [*([ENTRY] if base == PEOPLE else groups), search_done()]
    with FakeLdap(ca.server(), on_bind=bind, on_search=search) as fake:
        config = {"name": "corp", "urls": [fake.url], "certificateAuthority": ca.pem, "bindDN": SERVICE_DN,
                  "bindPasswordFile": str(folder / "secret"), "basic": True,
                  "userSearch": {"baseDN": PEOPLE, "username": "uid", "uidAttr": "entryUUID"},
                  "groupSearch": {"baseDN": GROUPS, "userMatchers": [{"userAttr": "DN", "groupAttr": "member"}]},
                  "usernamePrefix": "corp:", "groupsPrefix": "corp:", **change}
        with Gate(folder / "gate", ldap=[config]) as gate:
            status, record = gate.ask(WORD)
            Gate.reasons.add(record["reason"])
            return status, record["reason"]


@pytest.mark.attack("70")
@pytest.mark.parametrize("data,reason", [
    ("525", "noUser"), ("52e", "badPassword"), ("530", "logonHours"), ("531", "workstation"),
    ("532", "passwordExpired"), ("533", "accountDisabled"), ("701", "accountExpired"), ("773", "mustChangePassword"),
    ("775", "accountLocked"),
    ("9999", "badPassword"),
])
def test_what_active_directory_says_of_an_account(tmp_path, data, reason):
    text = f"80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data {data}, v4563"
    status, got = ask(tmp_path, lambda: [bind_result(49, text=text)])
    assert status == {"authenticated": False}
    assert got == reason


def control(oid, value=b""):
    return tlv(0xA0, tlv(0x30, octets(oid) + (octets(value) if value else b"")))


def policy(warning=b"", error=None):
    """draft-behera-ldap-password-policy 6.2"""
    body = (tlv(0xA0, warning) if warning else b"") + (b"" if error is None else tlv(0x81, bytes([error])))
    return control("1.3.6.1.4.1.42.2.27.8.5.1", tlv(0x30, body))


GRACE = tlv(0x81, b"\x02")


@pytest.mark.attack("74")
@pytest.mark.parametrize("controls,reason", [
    (policy(error=0), "passwordExpired"),
    (policy(error=1), "accountLocked"),
    (policy(error=2), "mustChangePassword"),
    (policy(GRACE), "passwordExpired"),
    (policy(GRACE, 0), "passwordExpired"),
    (policy(GRACE, 2), "mustChangePassword"),
], ids=["expired", "locked", "reset", "grace", "grace-expired", "grace-reset"])
def test_a_bind_that_is_good_but_for_the_password(tmp_path, controls, reason):
    status, got = ask(tmp_path, lambda: [bind_result(0) + controls], accountState="passwordPolicy")
    assert (status, got) == ({"authenticated": False}, reason)


@pytest.mark.attack("74")
def test_grace_and_warnings_let_in_where_that_is_meant(tmp_path):
    for n, (controls, change) in enumerate((
            (policy(GRACE, 0), {"acceptGraceLogins": True}), (policy(tlv(0x80, b"\x3c")), {}), (policy(), {}),
            (b"", {}))):
        folder = tmp_path / str(n)
        folder.mkdir()
        status, got = ask(folder, lambda c=controls: [bind_result(0) + c], accountState="passwordPolicy", **change)
        assert status["authenticated"] is True, got
        assert status["user"]["username"] == "corp:alice"


@pytest.mark.attack("71")
def test_groups_in_circles_come_to_an_end(tmp_path):
    """Three groups in each other, and one in itself."""
    with Slapd(tmp_path / "slapd") as s:
        s.change(group_ldif("a", ["bob"]), add=True)
        for name, member in (("b", "a"), ("c", "b"), ("a2", "c"), ("self", "c")):
            s.change(f"dn: cn={name},{GROUPS}\nobjectClass: groupOfNames\ncn: {name}\nmember: cn={member},{GROUPS}\n",
                     add=True)
        for group, member in (("a", "a2"), ("self", "self"), ("b", "self")):
            s.change(f"dn: cn={group},{GROUPS}\nchangetype: modify\nadd: member\nmember: cn={member},{GROUPS}\n")
        config = s.config(basic=True)
        config["groupSearch"]["nested"] = "search"
        with Gate(tmp_path / "gate", ldap=[config]) as gate:
            word = base64.b64encode(f"bob:{s.people['bob'][0]}".encode()).decode()
            assert gate.accepted(word)["groups"] == [f"corp:{g}" for g in ("a", "a2", "b", "c", "dev", "self")]


@pytest.mark.attack("71")
def test_thousands_of_groups_are_all_there_or_refused(tmp_path):
    for n in (3000, 10000):
        folder = tmp_path / str(n)
        folder.mkdir()
        status, got = ask(folder, lambda: [bind_result(0)], timeout="10s",
                          groups=[entry(f"cn=g{i:05},{GROUPS}", cn=f"g{i:05}") for i in range(n)])
        if n == 3000:
            assert status["user"]["groups"] == [f"corp:g{i:05}" for i in range(n)]
        else:
            assert (status, got) == ({"authenticated": False}, "tooManyGroups")
