"""A real Samba Active Directory domain controller: ad.example.com, ldaps on a free port.

Samba serves LDAP on ports 389 and 636 alone, so it runs in a network namespace of its own (netns_relay.py).
Provisioned with `provision`, filled offline with FILL (a script for Samba's own Python), then changed with change().
"""
import base64
import os
import socket
import sys

from . import pki
from .paths import tool
from .ports import free_port, is_free
from .proc import Process, Service, run, wait_until

REALM = "AD.EXAMPLE.COM"
DOMAIN = "EXAMPLE"
BASE = "DC=ad,DC=example,DC=com"
PEOPLE = f"OU=people,{BASE}"
GROUPS = f"OU=groups,{BASE}"
ADMIN_DN = f"CN=Administrator,CN=Users,{BASE}"
ADMIN_PASSWORD = "Admin-secret-77"
SERVICE_DN = f"CN=portcullis,{PEOPLE}"
SERVICE_PASSWORD = "Service-secret-7d1f"
LOCKOUT_THRESHOLD = 3

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


def person_dn(name):
    return f"CN={name},{PEOPLE}"


def group_dn(name):
    return f"CN={name},{GROUPS}"


class Samba(Service):
    """A new domain under FOLDER. PEOPLE: {name: password}; GROUPS: {name: [DN of a member]}."""

    def __init__(self, folder, people=None, groups=None, ca=None):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.ca = ca or pki.CA(self.path("pki"), "ad-ca")
        self.cert = self.ca.server("dc1", sans=("DNS:dc1.ad.example.com", "IP:127.0.0.1"))
        self.people = dict({"portcullis": SERVICE_PASSWORD}, **(people or {}))
        self.groups = dict(groups or {})
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
        out = [f"dn: {dn}\nobjectClass: organizationalUnit\n" for dn in (PEOPLE, GROUPS)]
        out += [person_ldif(name, password) for name, password in self.people.items()]
        out += [group_ldif(name) for name in self.groups]
        # Members last: groups may hold each other.
        out += [f"dn: {group_dn(name)}\nchangetype: modify\nadd: member\n"
                + "".join(f"member: {m}\n" for m in members)
                for name, members in self.groups.items() if members]
        return "\n".join(out)

    def load(self, ldif):
        """Applies LDIF to the database itself, in one transaction; quick, also for thousands of entries."""
        run(["/usr/bin/python3", "-I", os.path.join(HERE, "samba_load.py"), self.conf, self.path("dc", "private", "sam.ldb")],
            stdin=ldif, check=True, deadline=300)

    # --- life ---
    def start(self):
        if not os.path.exists(self.conf):
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
        return self

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
            "urls": [self.tls_url],
            "certificateAuthority": self.ca.pem,
            "bindDN": SERVICE_DN,
            "bindPasswordFile": secret,
            "userSearch": {"baseDN": BASE, "username": "sAMAccountName"},
            "groupSearch": {"baseDN": BASE},
            "usernamePrefix": "ad:",
            "groupsPrefix": "ad:",
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
