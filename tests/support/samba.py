"""A real Samba Active Directory domain controller: ad.example.com, ldaps on a free port.

Samba serves LDAP on ports 389 and 636 alone, so it runs in a network namespace of its own (netns_relay.py).
Provisioned with `provision`, filled offline with FILL (a script for Samba's own Python), then changed with change().
"""
import base64
import os
import socket
import sys
import time

from . import pki
from .paths import tool
from .ports import free_port, is_free
from .proc import Process, Service, run, wait_until

REALM = "AD.EXAMPLE.COM"
DOMAIN = "EXAMPLE"
BASE = "DC=ad,DC=example,DC=com"
PEOPLE = f"OU=people,{BASE}"
GROUPS = f"OU=groups,{BASE}"
CONTACTS = f"OU=contacts,{BASE}"
ADMIN_DN = f"CN=Administrator,CN=Users,{BASE}"
ADMIN_PASSWORD = "Admin-secret-77"
SERVICE_DN = f"CN=portcullis,{PEOPLE}"
SERVICE_PASSWORD = "Service-secret-7d1f"
LOCKOUT_THRESHOLD = 3

# 2,000 groups of one person: two pages of what Active Directory gives at once, and more values of memberOf.
ALL_GROUPS = [f"g{i:04}" for i in range(2000)]
SOME_GROUPS = ALL_GROUPS[:60]
# Members of one group, more than Active Directory gives at once (1,500).
CROWD = [f"c{i:04}" for i in range(1600)]
# Names that are not what the accounts are called, and full of what filters and DNs have for syntax.
ODD_PERSON = 'Doe, J "JD" + #1 (x*) \\ ;<>='
ODD_GROUP = 'odd (group), with #1+2; <3>*'
_CN = {"odd": ODD_PERSON, "odd-group": ODD_GROUP}
# FILETIME, the time of Active Directory: 100 ns since 1601.
NEVER = 0x7fffffffffffffff

HERE = os.path.dirname(os.path.abspath(__file__))


def namespaced(argv):
    """ARGV in its own network and process namespaces; all of it ends with its first process."""
    return [tool("unshare"), "--net", "--pid", "--fork", "--kill-child", *argv]


def check_namespaces():
    got = run(namespaced(["true"]))
    assert got.returncode == 0 and os.geteuid() == 0, (
        "a Samba domain controller needs root (also within a container) and network namespaces, and this machine does "
        f"not give us both: {got.stderr.strip() or 'not root'}")


def unicode_password(password):
    """unicodePwd as LDIF wants it."""
    return base64.b64encode(f'"{password}"'.encode("utf-16-le")).decode()


def escaped(name):
    """A value in a DN (RFC 4514)."""
    return "".join("\\" + c if c in '",+;<>#=\\' else c for c in name)


def person_dn(name):
    return f"CN={escaped(_CN.get(name, name))},{PEOPLE}"


def group_dn(name):
    return f"CN={escaped(_CN.get(name, name))},{GROUPS}"


def default_people():
    """{name: password}"""
    names = ["ann", "bea", "cora", "dan", "eve", "many", "some", "odd", "disabled", "locked", "expired", "mustchange",
             "oldpassword", "night", "later"]
    return {"portcullis": SERVICE_PASSWORD, **{n: f"{n.title()}-secret-55" for n in names}}


def default_groups():
    """{name: DNs of its members}"""
    return {
        "level1": [person_dn("ann")], "level2": [group_dn("level1")], "level3": [group_dn("level2")],
        "cycle-a": [person_dn("ann"), group_dn("cycle-b")], "cycle-b": [group_dn("cycle-a")],
        "primary": [person_dn("cora")], "above-primary": [group_dn("primary")],
        "odd-group": [person_dn("odd")], "odd-parent": [group_dn("odd-group")],
        "mail-list": [person_dn("dan")],
        "crowd": [person_dn("eve")] + [f"CN={c},{CONTACTS}" for c in CROWD],
        **{g: [person_dn("many")] for g in ALL_GROUPS},
        **{g: [person_dn("many"), person_dn("some")] for g in SOME_GROUPS},
    }


def filetime(unix):
    return int((unix + 11644473600) * 10**7)


class Samba(Service):
    """A new domain under FOLDER. PEOPLE: {name: password}; GROUPS: {name: [DN of a member]}; SPECIAL: the people of
    default_people() whose name says that their account is not as others'."""

    def __init__(self, folder, people=None, groups=None, ca=None, special=True):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.ca = ca or pki.CA(self.path("pki"), "ad-ca")
        self.cert = self.ca.server("dc1", sans=("DNS:dc1.ad.example.com", "IP:127.0.0.1"))
        self.people = default_people() if people is None else {"portcullis": SERVICE_PASSWORD, **people}
        self.groups = default_groups() if groups is None else dict(groups)
        self.special = special and people is None
        self.conf = self.path("dc", "etc", "smb.conf")
        self.port, self.tls_port = None, None
        self.process = None

    def path(self, *names):
        return os.path.join(self.folder, *names)

    @property
    def url(self):
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self):
        return f"ldaps://127.0.0.1:{self.tls_port}"

    # --- making ---
    def _provision(self):
        check_namespaces()
        os.makedirs(self.path("dc", "etc"), exist_ok=True)
        empty = self.path("empty.conf")
        with open(empty, "w", encoding="ascii"):
            pass
        run(namespaced([
            tool("samba-tool"), "domain", "provision", f"--configfile={empty}", "--server-role=dc",
            "--dns-backend=NONE", f"--realm={REALM}", f"--domain={DOMAIN}", f"--adminpass={ADMIN_PASSWORD}",
            f"--targetdir={self.path('dc')}", "--host-name=dc1", "--host-ip=127.0.0.1",
            f"--option=posix:eadb={self.path('dc', 'eadb.tdb')}", "--option=vfs objects=",
            f"--option=ncalrpc dir={self.path('dc', 'ncalrpc')}"]), check=True, deadline=300)
        # Passwords for tests, and a domain that locks accounts.
        self.tool("domain", "passwordsettings", "set", "--complexity=off", "--min-pwd-age=0", "--history-length=0",
                  f"--account-lockout-threshold={LOCKOUT_THRESHOLD}")
        self.load(self._ldif())

    def _ldif(self):
        out = [f"dn: {dn}\nobjectClass: organizationalUnit\n" for dn in (PEOPLE, GROUPS, CONTACTS)]
        if "crowd" in self.groups:
            out += [f"dn: CN={c},{CONTACTS}\nchangetype: add\nobjectClass: contact\n" for c in CROWD]
        out += [person_ldif(name, password) for name, password in self.people.items()]
        out += [group_ldif(name) for name in self.groups]
        # Members last: groups may hold each other.
        out += [f"dn: {group_dn(name)}\nchangetype: modify\nadd: member\n"
                + "".join(f"member: {m}\n" for m in members)
                for name, members in self.groups.items() if members]
        if self.special:
            out.append(f"dn: {person_dn('oldpassword')}\nchangetype: modify\nreplace: pwdLastSet\n"
                       f"pwdLastSet: {filetime(1)}\n")
        return "\n".join(out)

    def load(self, ldif):
        """Applies LDIF to the database itself, in one transaction: quick, also for thousands of entries, and for what
        LDAP does not let change."""
        run(["/usr/bin/python3", "-I", os.path.join(HERE, "samba_load.py"), self.conf, self.path("dc", "private", "sam.ldb")],
            stdin=ldif, check=True, deadline=300)

    # --- life ---
    def start(self):
        fresh = not os.path.exists(self.conf)
        if fresh:
            self._provision()
        listeners = []
        for port in (389, 636):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # The same outside ports after a restart.
            s.bind(("127.0.0.1", (self.port if port == 389 else self.tls_port) or free_port()))
            s.listen(64)
            listeners.append((s, port))
        self.port, self.tls_port = (s.getsockname()[1] for s, _ in listeners)
        relays = [f"{s.fileno()}:{port}" for s, port in listeners]
        self.process = Process(namespaced([
            sys.executable, os.path.join(HERE, "netns_relay.py"), *relays, "--",
            tool("samba"), "-F", "--no-process-group", "--debug-stdout", f"--configfile={self.conf}",
            "--option=server services=ldap,rpc", "--option=interfaces=lo", "--option=bind interfaces only=yes",
            f"--option=pid directory={self.path('dc')}", f"--option=log file={self.path('samba.log')}",
            "--option=tls enabled=yes", f"--option=tls keyfile={self.cert.key}",
            f"--option=tls certfile={self.cert.crt}", f"--option=tls cafile={self.ca.crt}"]),
            self.path("process.log"), name="samba", pass_fds=[s.fileno() for s, _ in listeners])
        os.chmod(self.cert.key, 0o600)
        self.process.start()
        for s, _ in listeners:
            s.close()
        self.process.wait_for(self._answers, "samba to answer")
        if fresh and self.special:
            self._make_special()
        return self

    def _make_special(self):
        self.replace(person_dn("disabled"), userAccountControl=512 | 2)
        self.replace(person_dn("expired"), accountExpires=filetime(time.time() - 3600))
        self.replace(person_dn("later"), accountExpires=filetime(time.time() + 3600))
        self.replace(person_dn("mustchange"), pwdLastSet=0)
        self.change(f"dn: {person_dn('night')}\nchangetype: modify\nreplace: logonHours\n"
                    f"logonHours:: {base64.b64encode(bytes(21)).decode()}\n")
        self.lock("locked")
        # cora's primary group is not Domain Users: she is then a member of that by its member attribute.
        sid = self.attribute(group_dn("primary"), "objectSid")[0]
        self.replace(person_dn("cora"), primaryGroupID=int.from_bytes(sid[-4:], "little"))
        # A global distribution group: no security group.
        self.replace(group_dn("mail-list"), groupType=2)

    def lock(self, name):
        for _ in range(LOCKOUT_THRESHOLD):
            assert "52e" in self.bind(person_dn(name), "wrong")[1]
        assert "775" in self.bind(person_dn(name), self.people[name])[1]

    def _answers(self):
        return self.bind(ADMIN_DN, ADMIN_PASSWORD)[0] == 0

    def stop(self):
        """At once, with all its processes: the database is transactional, and unshare(1) passes no SIGTERM on."""
        if self.process is not None:
            self.process.kill()
            wait_until(lambda: is_free(self.port) and is_free(self.tls_port), "samba's ports to be free")

    # --- changing ---
    def _ldap(self, program, dn, password, *args, **kw):
        return run([tool(program), "-x", "-H", self.tls_url, "-D", dn, "-w", password, *args],
                   env={"LDAPTLS_CACERT": self.ca.crt}, **kw)

    def change(self, ldif):
        """Applies LDIF over LDAP as the administrator."""
        self._ldap("ldapmodify", ADMIN_DN, ADMIN_PASSWORD, stdin=ldif, check=True)

    def replace(self, dn, **attributes):
        self.change(f"dn: {dn}\nchangetype: modify\n"
                    + "-\n".join(f"replace: {k}\n{k}: {v}\n" for k, v in attributes.items()))

    def tool(self, *args):
        """samba-tool on the database itself."""
        return run([tool("samba-tool"), *args, f"--configfile={self.conf}", "-H", self.path("dc", "private", "sam.ldb")],
                   check=True).stdout

    def bind(self, dn, password):
        """What the server itself says to a bind: (0, "") or the result code and its words."""
        got = self._ldap("ldapsearch", dn, password, "-s", "base", "-b", "", "dnsHostName")
        return got.returncode, got.stderr

    def attribute(self, dn, name):
        """All values of an attribute, read over LDAP."""
        got = self._ldap("ldapsearch", ADMIN_DN, ADMIN_PASSWORD, "-LLL", "-o", "ldif-wrap=no", "-s", "base", "-b", dn,
                         "(objectClass=*)", name, check=True)
        out = []
        for line in got.stdout.splitlines():
            if line.lower().startswith(name.lower() + ":"):
                value = line[len(name) + 1:]
                out.append(base64.b64decode(value[1:]) if value.startswith(":") else value.strip())
        return out

    def config(self, **override):
        """The ldap[] entry of portcullis.yaml for this domain; the password file is written here."""
        secret = self.path("bind-password")
        with open(secret, "w", encoding="ascii") as f:
            f.write(SERVICE_PASSWORD + "\n")
        os.chmod(secret, 0o600)
        entry = {
            "name": "ad",
            "type": "activeDirectory",
            "urls": [self.tls_url],
            "certificateAuthority": self.ca.pem,
            "bindDN": SERVICE_DN,
            "bindPasswordFile": secret,
            "userSearch": {"baseDN": BASE},
            "groupSearch": {"baseDN": BASE},
            "usernamePrefix": "ad:",
            "groupsPrefix": "ad:",
            # Two thousand groups take Samba a second or two.
            "timeout": "10s",
        }
        entry.update(override)
        return entry


def person_ldif(name, password, **attributes):
    extra = "".join(f"{k}: {v}\n" for k, v in attributes.items())
    return (f"dn: {person_dn(name)}\nchangetype: add\nobjectClass: user\nsAMAccountName: {name}\n"
            f"userPrincipalName: {name}@ad.example.com\nunicodePwd:: {unicode_password(password)}\n"
            f"userAccountControl: 512\n{extra}")


def group_ldif(name):
    return f"dn: {group_dn(name)}\nchangetype: add\nobjectClass: group\nsAMAccountName: {name}\n"
