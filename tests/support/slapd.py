"""A real slapd: ldap and ldaps on free ports, unprivileged, dc=example,dc=com."""
import os

from . import pki
from .paths import tool
from .ports import free_ports
from .proc import Process, Service, run

BASE = "dc=example,dc=com"
PEOPLE = f"ou=people,{BASE}"
GROUPS = f"ou=groups,{BASE}"
SERVICE_DN = f"cn=portcullis,ou=services,{BASE}"
SERVICE_PASSWORD = "service-secret-7d1f"
ROOT_DN = f"cn=admin,{BASE}"
ROOT_PASSWORD = "root-secret-93ab"

# uid: (password, groups)
DEFAULT_PEOPLE = {
    "alice": ("alice-secret-5512", ["dev", "ops"]),
    "bob": ("bob-secret-8841", ["dev"]),
    "carol": ("carol-secret-1903", ["contractors"]),
    "dora": ("dora-secret-6620", []),
}


def _ldif(people, extra=""):
    out = [f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n"]
    for ou in ("people", "groups", "services"):
        out.append(f"dn: ou={ou},{BASE}\nobjectClass: organizationalUnit\nou: {ou}\n")
    out.append(f"dn: {SERVICE_DN}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n"
               f"cn: portcullis\nuserPassword: {SERVICE_PASSWORD}\n")
    groups = {}
    for uid, (password, member_of) in people.items():
        out.append(person_ldif(uid, password))
        for g in member_of:
            groups.setdefault(g, []).append(uid)
    for name, members in groups.items():
        out.append(group_ldif(name, members))
    return "\n".join(out + [extra])


def person_dn(uid):
    return f"uid={uid},{PEOPLE}"


def person_ldif(uid, password):
    return (f"dn: {person_dn(uid)}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid.title()} Example\n"
            f"sn: Example\nmail: {uid}@example.com\nuserPassword: {password}\n")


def group_ldif(name, members):
    return (f"dn: cn={name},{GROUPS}\nobjectClass: groupOfNames\ncn: {name}\n"
            + "".join(f"member: {person_dn(m)}\n" for m in members))


class Slapd(Service):
    """start() loads PEOPLE with slapadd; change(ldif) talks to the running server."""

    def __init__(self, folder, ca=None, people=None, cert=None, log="0", overlays="", extra=""):
        """CERT: a pki.Pair instead of one that is right. LOG: slapd's -d; "stats" shows each operation. OVERLAYS: lines
        of slapd.conf, modules are loaded for them. EXTRA: LDIF to begin with."""
        self.folder = str(folder)
        os.makedirs(os.path.join(self.folder, "db"), exist_ok=True)
        self.ca = ca or pki.CA(os.path.join(self.folder, "pki"), "ldap-ca")
        self.cert = cert or self.ca.server("slapd", folder=os.path.join(self.folder, "pki"))
        self.log = log
        self.overlays, self.extra = overlays, extra
        self.port, self.tls_port = free_ports(2)
        self.people = dict(DEFAULT_PEOPLE if people is None else people)
        self.process = None
        self.conf = os.path.join(self.folder, "slapd.conf")

    @property
    def url(self):
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self):
        return f"ldaps://127.0.0.1:{self.tls_port}"

    def _write_conf(self):
        f = self.folder
        modules = "".join(f"moduleload {line.split()[1]}\n" for line in self.overlays.splitlines()
                          if line.startswith("overlay "))
        text = f"""include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
{modules}pidfile {f}/slapd.pid
argsfile {f}/slapd.args
TLSCACertificateFile {self.ca.crt}
TLSCertificateFile {self.cert.crt}
TLSCertificateKeyFile {self.cert.key}
TLSVerifyClient never
database mdb
suffix "{BASE}"
rootdn "{ROOT_DN}"
rootpw {ROOT_PASSWORD}
directory {f}/db
maxsize 268435456
index objectClass,uid,cn,member eq
access to attrs=userPassword
  by self =xw
  by anonymous auth
  by * none
access to *
  by dn.exact="{SERVICE_DN}" read
  by self read
  by * none
{self.overlays}"""
        with open(self.conf, "w", encoding="utf-8") as out:
            out.write(text)

    def _data(self):
        """What the database begins with, as LDIF."""
        return _ldif(self.people, self.extra)

    def start(self):
        if self.process is None:
            self._write_conf()
            ldif = os.path.join(self.folder, "base.ldif")
            with open(ldif, "w", encoding="utf-8") as out:
                out.write(self._data())
            run([tool("slapadd"), "-f", self.conf, "-q", "-l", ldif], check=True)
            self.process = Process(
                [tool("slapd"), "-f", self.conf, "-h", f"{self.url}/ {self.tls_url}/", "-d", self.log],
                os.path.join(self.folder, "slapd.log"), name="slapd")
        self.process.start()
        self.process.wait_port(self.port)
        self.process.wait_port(self.tls_port)
        return self

    def stop(self):
        if self.process is not None:
            self.process.stop()

    def change(self, ldif, add=False):
        """Applies LDIF with ldapmodify (or ldapadd) as the root DN, over TLS."""
        argv = [tool("ldapmodify"), "-x", "-H", self.tls_url, "-D", ROOT_DN, "-w", ROOT_PASSWORD]
        run(argv + (["-a"] if add else []), env={"LDAPTLS_CACERT": self.ca.crt}, stdin=ldif, check=True)

    def add_person(self, uid, password, groups=()):
        self.people[uid] = (password, list(groups))
        self.change(person_ldif(uid, password), add=True)
        for g in groups:
            self.add_member(g, uid)

    def add_member(self, group, uid):
        if any(group in gs for u, (_, gs) in self.people.items() if u != uid):
            self.change(f"dn: cn={group},{GROUPS}\nchangetype: modify\nadd: member\n"
                        f"member: {person_dn(uid)}\n")
        else:
            self.change(group_ldif(group, [uid]), add=True)

    def delete_person(self, uid):
        self.change(f"dn: {person_dn(uid)}\nchangetype: delete\n")

    def config(self, **override):
        """The ldap[] entry of portcullis.yaml for this directory; the password file is written here."""
        secret = os.path.join(self.folder, "bind-password")
        with open(secret, "w", encoding="ascii") as f:
            f.write(SERVICE_PASSWORD + "\n")
        os.chmod(secret, 0o600)
        entry = {
            "name": "corp",
            "urls": [self.tls_url],
            "certificateAuthority": self.ca.pem,
            "bindDN": SERVICE_DN,
            "bindPasswordFile": secret,
            "userSearch": {"baseDN": PEOPLE, "filter": "(objectClass=inetOrgPerson)",
                           "username": "uid", "uidAttr": "entryUUID"},
            "groupSearch": {"baseDN": GROUPS, "filter": "(objectClass=groupOfNames)",
                            "userMatchers": [{"userAttr": "DN", "groupAttr": "member"}],
                            "nameAttr": "cn"},
            "usernamePrefix": "corp:",
            "groupsPrefix": "corp:",
        }
        entry.update(override)
        return entry
