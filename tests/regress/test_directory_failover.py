"""Directories whose servers die, hang, lie or come back: no verdict is wrong, and nobody else waits."""
import os
import random
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import pki
from support.fakeldap import FakeLdap, Hangup, bind_result, entry, search_done
from support.ldapprobe import Probe
from support.paths import tool
from support.portcullisd import Load
from support.ports import free_port
from support.proc import run, wait_until
from support.slapd import DEFAULT_PEOPLE, GROUPS, PEOPLE, SERVICE_DN, Slapd

ALICE = DEFAULT_PEOPLE["alice"][0]
GOOD = {name: (password, [f"corp:{g}" for g in groups])
        for name, (password, groups) in DEFAULT_PEOPLE.items() if name != "dora"}
UP = "portcullis_directory_server_up"
OPERATIONS = "portcullis_directory_operations_total"
PASSED_OVER = 10  # seconds for which a server that failed once comes after the others


class Replica(Slapd):
    """Another server of the same data, entryUUIDs included."""

    def __init__(self, folder, of):
        super().__init__(folder, ca=of.ca, people=of.people)
        self.of = of

    def _data(self):
        return run([tool("slapcat"), "-f", self.of.conf], check=True).stdout


class Mutual(Slapd):
    """Demands a certificate; that of portcullis-client is the service account."""

    def _write_conf(self):
        super()._write_conf()
        with open(self.conf, encoding="utf-8") as f:
            text = f.read()
        assert "TLSVerifyClient never\n" in text
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(text.replace("TLSVerifyClient never\n", "TLSVerifyClient demand\nauthz-regexp "
                                 f'"cn=portcullis-client" "{SERVICE_DN}"\n'))


@pytest.fixture
def pair(tmp_path):
    with Slapd(tmp_path / "one") as one, Replica(tmp_path / "two", one) as two:
        yield one, two


def up(d, server):
    return d.metric(UP, server=server.tls_url)


def logins(d, token):
    """Work for one thread. The only right answers, whatever the servers do."""
    rng = random.Random(7)

    def good():
        name, (password, groups) = rng.choice(list(GOOD.items()))
        got = d.login(name, password)
        assert got.status == 200, got
        user = d.user_of(got.json["token"])
        assert (user["username"], user["groups"]) == (f"corp:{name}", groups), user

    def wrong():
        assert d.login("dora", f"wrong-{rng.random()}").status in (401, 429)

    def again():
        assert d.user_of(token)["groups"] == GOOD["alice"][1]

    return lambda _: rng.choice([good, good, wrong, again])()


def test_first_server_killed_under_load(daemon, pair):
    one, two = pair
    d = daemon(ldap=[one.config(urls=[one.tls_url, two.tls_url], cacheTTL="0s", timeout="10s")])
    with Load(logins(d, d.login_token("alice", ALICE))) as load:
        load.wait_more(20)
        assert d.metric(OPERATIONS, server=two.tls_url) == 0
        one.process.kill()
        load.wait_more(40)
        wait_until(lambda: up(d, one) == 0, "the first server's breaker to open")
        load.wait_more(20)
        one.start()
        wait_until(lambda: up(d, one) == 1, "the first server to be asked again")
        before = d.metric(OPERATIONS, server=one.tls_url, operation="search")
        load.wait_more(20)
        assert d.metric(OPERATIONS, server=one.tls_url, operation="search") > before
    assert not load.errors, load.errors[:3]
    assert d.metric(OPERATIONS, server=two.tls_url, operation="search", result="ok") > 0
    d.wait_log("directory server keeps failing and is not asked")
    d.wait_log("directory server is well again")


def test_a_server_that_stops_in_its_tracks_is_passed_over(daemon, pair):
    """Its connections stay open, kept ones too, and nothing comes any more."""
    one, two = pair
    d = daemon(ldap=[one.config(urls=[one.tls_url, two.tls_url], cacheTTL="0s", timeout="2s")])
    token = d.login_token("alice", ALICE)
    one.process.signal(signal.SIGSTOP)
    try:
        for name, (password, _) in GOOD.items():
            assert d.login(name, password).status == 200
        assert d.user_of(token)["groups"] == GOOD["alice"][1]
        assert d.login("dora", "wrong").status == 401
    finally:
        one.process.signal(signal.SIGCONT)
    wait_until(lambda: up(d, one) == 1, "the first server to be asked again")
    assert d.login("bob", GOOD["bob"][0]).status == 200


def test_all_dead_is_an_outage_of_logins_alone(daemon, issuer, tmp_path):
    """Silent servers: the worst kind. Reviews that need no directory are answered while a login waits."""
    ca = pki.CA(tmp_path / "ca")
    with FakeLdap(ca.server(), silent=True) as one, FakeLdap(ca.server(), silent=True) as two:
        d = daemon(jwt=[issuer.config()],
                   ldap=[fake_config(tmp_path, ca, [one.url, two.url], timeout="10s")])
        token = issuer.id_token("alice")
        got = []
        waiting = [threading.Thread(target=lambda: got.append(d.login("alice", ALICE))) for _ in range(4)]
        for t in waiting:
            t.start()
        wait_until(lambda: one.connections >= 1, "a login to be under way")
        for _ in range(20):
            assert d.user_of(token)["username"]
            assert d.verdict("bob", groups=["dev"], namespace="team-a") == "allow"
        assert not got
        for t in waiting:
            t.join(60)
        assert [g.status for g in got] == [503] * 4
        with d.ops() as c:
            assert c.get("/readyz").status == 200


def test_while_no_server_is_well_the_answer_comes_at_once(daemon, tmp_path):
    ca = pki.CA(tmp_path / "ca")

    def gone(_):
        raise Hangup

    with FakeLdap(ca.server(), on_bind=lambda dn, pw: gone(dn), on_search=gone) as f:
        d = daemon(ldap=[fake_config(tmp_path, ca, [f.url])])
        for _ in range(3):
            assert d.login("alice", ALICE).status == 503
        wait_until(lambda: d.metric(UP, server=f.url) == 0, "the breaker to open")
        before = f.connections
        for _ in range(60):
            assert d.login("alice", ALICE).status == 503
        # Only probes, seconds apart, connect.
        assert f.connections - before < 30
        with d.ops() as c:
            got = c.get("/readyz?verbose")
        assert got.status == 200
        assert f"[-]directory degraded: corp: {f.url}: not asked: " in got.text
        assert d.metric("portcullis_directory_breaker_state", server=f.url) >= 1
        reasons = {r["reason"] for r in d.audit("authn.login")}
        assert reasons <= {"directoryDown", "directoryTimeout"}, reasons


def test_one_slow_entry_does_not_take_the_server_from_others(daemon, tmp_path):
    """Binds of one person hang; the server answers everything else."""
    ca = pki.CA(tmp_path / "ca")

    def bind(dn, _):
        return [] if dn.startswith("uid=slow") else [bind_result(0)]

    name = "slow"

    def search(base):
        if base != PEOPLE:
            return [search_done()]
        return [entry(f"uid={name},{PEOPLE}", uid=name, entryUUID=name), search_done()]

    with FakeLdap(ca.server(), on_bind=bind, on_search=search) as f:
        d = daemon(ldap=[fake_config(tmp_path, ca, [f.url], timeout="2s")])
        with ThreadPoolExecutor(4) as pool:
            assert [g.status for g in pool.map(lambda i: d.login("slow", f"x{i}"), range(4))] == [503] * 4
        name = "quick"
        assert d.login("quick", "x").status == 200
        assert d.metric(UP, server=f.url) == 1


@pytest.mark.parametrize("how", ["mid-search", "other-host", "refuses-starttls", "strips-starttls"])
def test_a_first_server_that_cannot_be_trusted_is_passed_over(tmp_path, how):
    """Nothing secret reaches it; the second answers."""
    starttls = how.endswith("starttls")
    with Slapd(tmp_path / "slapd") as good:
        cert = good.ca.server("other", sans=("DNS:other.example.com",)) if how == "other-host" \
            else good.ca.server("same")

        def search(_):
            raise Hangup

        with FakeLdap(cert, tls=not starttls, on_search=search,
                      on_starttls="refuse" if how == "refuses-starttls" else "plain") as bad:
            config = good.config(urls=[bad.url, good.url if starttls else good.tls_url],
                                 startTLS=starttls, timeout="2s")
            env = {"LDAPTLS_REQCERT": "never", "LDAPTLS_REQSAN": "never"}
            with Probe(tmp_path / "probe", config, env=env) as p:
                got = p.login("alice", ALICE)
            assert (got["verdict"], got["username"]) == ("good", "corp:alice"), got
            assert got["groups"] == GOOD["alice"][1]
            assert all(ALICE.encode() not in s for s in bad.seen if s[0] == "bind"), bad.seen
            if how != "mid-search":
                assert bad.binds() == []


# --- reloads ---

def test_a_reload_keeps_connections_and_what_is_known(daemon, directory, tmp_path):
    gone = f"ldaps://127.0.0.1:{free_port()}"
    d = daemon(ldap=[directory.config(urls=[gone, directory.tls_url])])
    began = time.monotonic()
    for _ in range(3):
        d.login_token("alice", ALICE)
    # A failure puts a server behind the others for a while: only its probes and time open the breaker here.
    connects = {"operation": "connect", "result": "ok", "server": directory.tls_url}
    before = d.metric(OPERATIONS, **connects)
    failed = d.metric(OPERATIONS, operation="connect", server=gone)
    assert failed == 1 or time.monotonic() > began + PASSED_OVER
    loads = {"what": "config", "result": "loaded"}
    done = d.metric("portcullis_config_reloads_total", **loads)
    d.config["authentication"]["ldap"][0]["cacheTTL"] = "31s"
    d.write_config()
    d.reload()
    wait_until(lambda: d.metric("portcullis_config_reloads_total", **loads) > done, "the reload")
    d.login_token("alice", ALICE)
    # One connection for the person's own bind; the service account's was kept, the dead server not asked.
    assert d.metric(OPERATIONS, **connects) == before + 1
    assert d.metric(OPERATIONS, operation="connect", server=gone) == failed or time.monotonic() > began + PASSED_OVER
    # Another timeout is another pool; series of servers that are gone go too.
    done = d.metric("portcullis_config_reloads_total", **loads)
    d.config["authentication"]["ldap"][0]["urls"] = [directory.tls_url]
    d.write_config()
    d.reload()
    wait_until(lambda: d.metric("portcullis_config_reloads_total", **loads) > done, "the reload")
    d.login_token("alice", ALICE)
    wait_until(lambda: not any(gone in k for k in d.metrics()), "the old series to go")
    with d.ops() as c:
        text = c.get("/readyz?verbose").text
    assert f"[+]directory ok: corp: {directory.tls_url}\n" in text and gone not in text


# --- certificates of our own ---

def external(s, cert, key):
    config = s.config(clientCertificateFile=cert, clientKeyFile=key, saslExternal=True)
    del config["bindDN"], config["bindPasswordFile"]
    return config


@pytest.fixture(scope="module")
def mutual(tmp_path_factory):
    with Mutual(tmp_path_factory.mktemp("mutual")) as s:
        yield s


@pytest.mark.parametrize("starttls", [False, True])
def test_our_certificate_opens_the_door_and_names_the_service_account(mutual, tmp_path, starttls):
    own = mutual.ca.client("portcullis-client", folder=str(tmp_path))
    config = mutual.config(startTLS=starttls)
    config["urls"] = [mutual.url if starttls else mutual.tls_url]
    with Probe(tmp_path / "without", config) as p:
        assert p.login("alice", ALICE)["verdict"] == "unavailable"
    config.update(clientCertificateFile=own.crt, clientKeyFile=own.key)
    with Probe(tmp_path / "bind", config) as p:
        assert p.login("alice", ALICE)["groups"] == GOOD["alice"][1]
    config["saslExternal"] = True
    del config["bindDN"], config["bindPasswordFile"]
    with Probe(tmp_path / "external", config) as p:
        got = p.login("alice", ALICE)
        assert (got["verdict"], got["groups"]) == ("good", GOOD["alice"][1]), got
        assert p.login("alice", "wrong")["verdict"] == "refused"


def test_a_certificate_of_nobody_searches_nothing(mutual, tmp_path):
    own = mutual.ca.client("somebody-else", folder=str(tmp_path))
    with Probe(tmp_path, external(mutual, own.crt, own.key)) as p:
        assert p.login("alice", ALICE)["verdict"] == "unavailable"


def test_our_certificate_is_read_again_when_it_changes(mutual, tmp_path):
    good = mutual.ca.client("portcullis-client", folder=str(tmp_path / "good"))
    other = pki.CA(tmp_path / "other").client("portcullis-client", folder=str(tmp_path / "bad"))
    crt, key = str(tmp_path / "tls.crt"), str(tmp_path / "tls.key")

    def use(pair):
        for source, target in ((pair.crt, crt), (pair.key, key)):
            shutil.copy(source, target + ".new")
            os.replace(target + ".new", target)

    use(good)
    with Probe(tmp_path / "probe", external(mutual, crt, key)) as p:
        assert p.login("alice", ALICE)["verdict"] == "good"
        use(other)
        assert p.login("alice", ALICE)["verdict"] == "unavailable"
        use(good)
        assert p.login("alice", ALICE)["verdict"] == "good"
        # Half of a change: what was read before serves on.
        with open(key, "w", encoding="ascii") as f:
            f.write("not a key\n")
        assert p.login("alice", ALICE)["verdict"] == "good"


def test_unfit_certificates_of_ours_are_refused_at_load(mutual, tmp_path):
    own = mutual.ca.client("portcullis-client", folder=str(tmp_path))
    stranger = mutual.ca.client("other", folder=str(tmp_path / "o"))
    for name, (crt, key) in {"mixed": (own.crt, stranger.key), "swapped": (own.key, own.crt),
                             "absent": (str(tmp_path / "none"), own.key)}.items():
        code, err = Probe(tmp_path / name, external(mutual, crt, key)).failure()
        assert code == 2 and "clientCertificateFile" in err, (name, err)
    config = external(mutual, own.crt, own.key)
    del config["clientKeyFile"]
    code, err = Probe(tmp_path / "alone", config).failure()
    assert code == 2 and "go together" in err
    config = mutual.config(saslExternal=True, clientCertificateFile=own.crt, clientKeyFile=own.key)
    code, err = Probe(tmp_path / "both", config).failure()
    assert code == 2 and "saslExternal" in err
    config = mutual.config(saslExternal=True)
    del config["bindDN"], config["bindPasswordFile"]
    code, err = Probe(tmp_path / "neither", config).failure()
    assert code == 2 and "saslExternal" in err


def fake_config(tmp_path, ca, urls, **override):
    secret = tmp_path / "bind-password"
    secret.write_text("service\n")
    return dict({
        "name": "corp", "urls": urls, "certificateAuthority": ca.pem, "bindDN": SERVICE_DN,
        "bindPasswordFile": str(secret),
        "userSearch": {"baseDN": PEOPLE, "username": "uid", "uidAttr": "entryUUID"},
        "groupSearch": {"baseDN": GROUPS, "userMatchers": [{"userAttr": "DN", "groupAttr": "member"}]},
        "usernamePrefix": "corp:", "groupsPrefix": "corp:", "timeout": "2s"}, **override)
