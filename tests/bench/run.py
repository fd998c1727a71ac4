"""make bench: what authentication and the policy cost, as ratios within one run. Nothing is asserted; README.md tells how to
read it. Server and client each have a core of their own where there are two."""
import json
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.environ.get("top_srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests"))
sys.path.insert(0, os.path.join(TOP, "tests", "bench"))

import policy  # noqa: E402  pylint: disable=wrong-import-position
from support import pki, slapd, tokens  # noqa: E402  pylint: disable=wrong-import-position
from support.paths import BUILD  # noqa: E402  pylint: disable=wrong-import-position
from support.ports import free_port  # noqa: E402  pylint: disable=wrong-import-position
from support.portcullisd import API_AUDIENCE, Portcullisd  # noqa: E402  pylint: disable=wrong-import-position

CLIENT = os.path.join(BUILD, "tests", "bench", "bench_client")
ISSUER = "https://issuer.bench.example"
LOGIN_ISSUER = "https://login.bench.example"
ROUNDS = 3
KINDS = {"RS256": "RSA", "ES256": "P-256", "EdDSA": "Ed25519"}
CORES = sorted(os.sched_getaffinity(0))[:2]


def pin(pid, core):
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), {core})


def cpu_ns(pid):
    """Time that all threads of PID have had a core, in nanoseconds."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total


# --- what is sent ---

def token_review(token):
    return json.dumps({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
                       "metadata": {"creationTimestamp": None},
                       "spec": {"token": token, "audiences": [API_AUDIENCE]},
                       "status": {"user": {}}})


def access_review(i):
    return json.dumps({
        "kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "metadata": {"creationTimestamp": None},
        "spec": {"user": f"alice-{i}", "groups": ["dev", "system:authenticated"], "resourceAttributes": {
            "verb": "list", "version": "v1", "resource": "pods", "namespace": f"team-{i % 50}"}},
        "status": {"allowed": False}})


def claims(issuer=ISSUER, **more):
    now = int(time.time())
    return {"iss": issuer, "aud": "kubernetes", "sub": secrets.token_hex(8), "iat": now, "exp": now + 3600,
            "email": "alice@example.com", "groups": ["dev", "ops"], **more}


def signed(key, **more):
    header = {"alg": key.alg, "kid": key.kid, "typ": "JWT"}
    payload = claims(**more)
    return tokens.compact(header, payload, key.sign(tokens.signing_input(header, payload)))


def service_account_token(key):
    """Of another cluster."""
    return signed(key, issuer="https://kubernetes.default.svc.cluster.local", **{"kubernetes.io": {
        "namespace": "monitoring", "pod": {"name": "prometheus-0", "uid": secrets.token_hex(16)},
        "serviceaccount": {"name": "prometheus", "uid": secrets.token_hex(16)}}})


def spoilt(token):
    head, _, _ = token.rpartition(".")
    return f"{head}.{tokens.b64(secrets.token_bytes(256))}"


# --- measuring ---

class Bench:
    def __init__(self, folder):
        self.folder = folder
        self.n = 0

    def bodies(self, lines):
        self.n += 1
        path = os.path.join(self.folder, f"bodies-{self.n}")
        with open(path, "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")
        return path

    def start(self, d, lines, requests, path="/authenticate", connections=4, rate=0):
        argv = [CLIENT, "load", d.port, d.server_ca.crt, d.apiserver.crt, d.apiserver.key, path,
                self.bodies(lines), connections, requests, rate]
        return subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, text=True)

    def load(self, d, lines, requests=None, **kw):
        """One round; gives the client's figures and `cpu`, µs of the server for each request."""
        before = cpu_ns(d.process.pid)
        with self.start(d, lines, requests or len(lines), **kw) as p:
            got = json.loads(p.communicate(timeout=60)[0])
        got["cpu"] = (cpu_ns(d.process.pid) - before) / 1000 / got["requests"]
        return got

    def bare(self, *argv):
        got = subprocess.run([CLIENT, *map(str, argv)], capture_output=True, text=True, check=True, timeout=60)
        return json.loads(got.stdout)["us"]

    def daemon(self, name, **kw):
        d = Portcullisd(os.path.join(self.folder, name), **kw)
        return d


def middle(rounds, key):
    return statistics.median(r[key] for r in rounds)


def table(title, head, rows):
    print(f"\n## {title}\n")
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(f"{c:.2f}" if isinstance(c, float) and c < 10 else
                                f"{c:.0f}" if isinstance(c, float) else str(c) for c in row) + " |")
    sys.stdout.flush()


def expect(got, accepted, what):
    """A figure about the wrong answers would be worth nothing."""
    if got["accepted"] != accepted:
        print(f"NOTE: {what}: {got['accepted']} of {got['requests']} accepted, {accepted} meant: {got}")


def jwt_entry(folder, keys):
    path = os.path.join(folder, "jwks.json")
    with open(path, "w", encoding="ascii") as f:
        json.dump({"keys": [k.jwk() for k in keys]}, f)
    return {"issuer": {"url": ISSUER, "audiences": ["kubernetes"], "jwksFile": path},
            "claimMappings": {"username": {"claim": "email", "prefix": "bench:"},
                              "groups": {"claim": "groups", "prefix": "bench:"}}}


# --- (a) and (b): one token ---

def tokens_part(b, keys):
    d = b.daemon("tokens", jwt=[jwt_entry(b.folder, keys.values())])
    foreign = tokens.Key("RSA", "sa")
    work = {}
    for alg, key in keys.items():
        work[f"{alg} uncached"] = [[token_review(signed(key)) for _ in range(1500)] for _ in range(ROUNDS)]
        work[f"{alg} cached"] = [[token_review(signed(key))]] * ROUNDS
    work["foreign service account"] = [[token_review(service_account_token(foreign)) for _ in range(200)]] * ROUNDS
    work["garbage"] = [[token_review("x")]] * ROUNDS
    got = {name: [] for name in work}
    with d:
        pin(d.process.pid, CORES[0])
        for i in range(ROUNDS):
            for name, lines in work.items():
                if name.endswith(" cached"):
                    b.load(d, lines[i], 8)
                n = 1500 if name.endswith("uncached") else 4000
                r = b.load(d, lines[i], n)
                expect(r, n if name[:5] in KINDS else 0, name)
                got[name].append(r)
    bare = {alg: bare_signature(b, alg, key) for alg, key in keys.items()}
    floor = middle(got["garbage"], "cpu")
    rows = []
    for alg in KINDS:
        uncached, cached = middle(got[f"{alg} uncached"], "cpu"), middle(got[f"{alg} cached"], "cpu")
        rows.append([alg, bare[alg], uncached, cached, uncached / cached, (uncached - cached) / bare[alg],
                     middle(got[f"{alg} uncached"], "p50"), middle(got[f"{alg} cached"], "p50")])
    table("A token of ours: CPU of the server a review, µs", [
        "alg", "bare signature", "uncached", "cached", "uncached / cached", "(uncached - cached) / signature",
        "p50 uncached", "p50 cached"], rows)
    path = os.path.join(b.folder, "foreign")
    with open(path, "w", encoding="ascii") as f:
        f.write(service_account_token(foreign))
    peek = b.bare("peek", path, 200000)
    name = "foreign service account"
    table("A token that is nobody's: CPU of the server a review, µs", ["token", "review", "/ garbage", "p50"], [
        ["garbage (\"x\"): TLS, HTTP, JSON, audit", floor, 1.0, middle(got["garbage"], "p50")],
        ["another cluster's service account", middle(got[name], "cpu"), middle(got[name], "cpu") / floor,
         middle(got[name], "p50")],
        ["the filter alone, in process", peek, peek / floor, "-"]])


def bare_signature(b, alg, key):
    pem, token = os.path.join(b.folder, alg + ".pem"), os.path.join(b.folder, alg + ".token")
    with open(pem, "wb") as f:
        f.write(key.pem())
    with open(token, "w", encoding="ascii") as f:
        f.write(signed(key))
    return statistics.median(b.bare("verify", alg, pem, token, 2000) for _ in range(ROUNDS))


# --- (c): directories that are dead ---

class Silent:
    """Accepts and says nothing."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        self.held = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                self.held.append(self.socket.accept()[0])
            except OSError:
                return


class Background:
    """People log in and use their login tokens, at a fixed pace, from threads of their own."""

    def __init__(self, d, token, threads=16, pace=5):
        self.d, self.token, self.pace = d, token, pace
        self.stop = threading.Event()
        self.status = {}
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(threads)]

    def _once(self, i, client):
        if i % 2:
            return self.d.token_review(self.token, client=client).status
        people = list(slapd.DEFAULT_PEOPLE.items())
        name, (password, _) = people[i // 2 % len(people)]
        return client.post("/login", json={"username": name, "password": password}).status

    def _run(self, i):
        login = i % 2 == 0
        with (self.d.login_client() if login else self.d.client()) as client:
            while not self.stop.is_set():
                end = time.monotonic() + 1 / self.pace
                status = self._once(i, client)
                key = f"{'login' if login else 'review'} {status}"
                self.status[key] = self.status.get(key, 0) + 1
                self.stop.wait(max(0, end - time.monotonic()))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        for t in self.threads:
            t.join(30)


def directory_daemon(b, name, people, urls, key):
    entry = people.config(urls=urls, cacheTTL="0s", timeout="1s")
    return b.daemon(name, jwt=[jwt_entry(b.folder, [key])], ldap=[entry],
                    login={"issuer": LOGIN_ISSUER})


def directories_part(b, key):
    silent = [Silent(), Silent()]
    with slapd.Slapd(os.path.join(b.folder, "slapd")) as people:
        states = {
            "healthy": [people.tls_url],
            "silent": [f"ldaps://127.0.0.1:{s.port}" for s in silent],
            "refused": [f"ldaps://127.0.0.1:{free_port()}" for _ in range(2)],
        }
        daemons = {name: directory_daemon(b, f"dir-{name}", people, urls, key)
                   for name, urls in states.items()}
        healthy = daemons["healthy"]
        try:
            healthy.start()
            token = healthy.login_token("bob", "bob-secret-8841")
            for name in ("silent", "refused"):
                shutil.copy(os.path.join(healthy.state, "login-keys"), daemons[name].state)
                daemons[name].start()
            rows = directories_rounds(b, daemons, token, key)
        finally:
            for d in daemons.values():
                d.stop()
    table("Directories healthy and dead, 400 reviews a second beside 40 logins and 40 login-token reviews", [
        "reviews", "directories", "p50 µs", "p99 µs", "/ healthy p50", "/ healthy p99", "CPU µs",
        "/ healthy", "logins and reviews beside them"], rows)


def directories_rounds(b, daemons, token, key):
    n, got, beside = 700, {}, {name: {} for name in daemons}
    for d in daemons.values():
        pin(d.process.pid, CORES[0])
    for _ in range(ROUNDS):
        for name, d in daemons.items():
            with Background(d, token) as background:
                jwt = b.load(d, [token_review(signed(key)) for _ in range(n)], rate=400)
                sar = b.load(d, [access_review(i) for i in range(n)], path="/authorize", rate=400)
            expect(jwt, n, f"jwt while {name}")
            expect(sar, n, f"access while {name}")
            got.setdefault(("JWT, uncached", name), []).append(jwt)
            got.setdefault(("access", name), []).append(sar)
            for k, v in background.status.items():
                beside[name][k] = beside[name].get(k, 0) + v
    rows = []
    for kind in ("JWT, uncached", "access"):
        base = {k: middle(got[kind, "healthy"], k) for k in ("p50", "p99", "cpu")}
        for name in daemons:
            m = {k: middle(got[kind, name], k) for k in base}
            rows.append([kind, name, m["p50"], m["p99"], m["p50"] / base["p50"], m["p99"] / base["p99"],
                         m["cpu"], m["cpu"] / base["cpu"],
                         ", ".join(f"{k}: {v}" for k, v in sorted(beside[name].items()))])
    return rows


# --- (d): a flood ---

def flood_part(b, keys):
    key = keys["ES256"]
    made_up = [spoilt(signed(keys["RS256"])) for _ in range(200)]
    d = b.daemon("flood", jwt=[jwt_entry(b.folder, keys.values())])
    good = [token_review(signed(key)) for _ in range(100)]
    rounds = {"before": [], "during": [], "after": []}
    floods = []
    with d:
        pin(d.process.pid, CORES[0])
        b.load(d, good)
        misses = d.metric("portcullis_verdict_cache_misses_total")
        evicted = d.metric("portcullis_verdict_cache_evictions_total", kind="accepted")
        for _ in range(ROUNDS):
            flood = [token_review(made_up[i % 200].rpartition(".")[0] + "." + tokens.b64(secrets.token_bytes(256))
                                  if i % 2 else secrets.token_urlsafe(120)) for i in range(10000)]
            rounds["before"].append(b.load(d, good, 600, rate=400, connections=2))
            with b.start(d, flood, len(flood)) as p:
                rounds["during"].append(b.load(d, good, 600, rate=400, connections=2))
                floods.append(json.loads(p.communicate(timeout=60)[0]))
            rounds["after"].append(b.load(d, good, 600, rate=400, connections=2))
        for name, rs in rounds.items():
            for r in rs:
                expect(r, 600, f"good tokens {name} the flood")
        hits = d.metric("portcullis_verdict_cache_hits_total", kind="accepted")
        misses = d.metric("portcullis_verdict_cache_misses_total") - misses
        evicted = d.metric("portcullis_verdict_cache_evictions_total", kind="accepted") - evicted
    base = {k: middle(rounds["before"], k) for k in ("p50", "p99")}
    table("100 cached good tokens, 400 reviews a second, and a flood of 10,000 made-up ones", [
        "", "p50 µs", "p99 µs", "/ before p50", "/ before p99"],
          [[name, middle(rs, "p50"), middle(rs, "p99"), middle(rs, "p50") / base["p50"],
            middle(rs, "p99") / base["p99"]] for name, rs in rounds.items()])
    print(f"\nThe flood: {middle(floods, 'requests') / middle(floods, 'seconds'):.0f} reviews a second; good "
          f"tokens answered from the cache: {hits:.0f} of {9 * 600}, evicted: {evicted:.0f} "
          f"(look-ups that missed, all of made-up tokens: {misses:.0f}).")


def main():
    began = time.monotonic()
    os.sched_setaffinity(0, {CORES[-1]})
    keys = {alg: tokens.Key(kind, alg) for alg, kind in KINDS.items()}
    print(f"# make bench, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}; {os.cpu_count()} cores, load "
          f"{os.getloadavg()[0]:.1f}, {os.uname().release}")
    folder = tempfile.mkdtemp(prefix="portcullis-bench-")
    try:
        policy.part(BUILD, folder, table)
        b = Bench(folder)
        tokens_part(b, keys)
        directories_part(b, keys["ES256"])
        flood_part(b, keys)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
