"""portcullis policy who-can and what-can: what they list is what is decided, for generated policies; words and exits."""
import fnmatch
import json
import random
import re

import pytest

from support.paths import program
from support.proc import run

HEAD = "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n"
NOW = "2026-11-22T10:00:00Z"
ACCOUNT = "system:serviceaccount:"


def cli(command, *argv, **kw):
    return run([program("portcullis"), "policy", command, *argv], **kw)


def data(command, *argv):
    got = cli(command, "-o", "json", "--now", NOW, *argv)
    assert got.returncode in (0, 1), got.stderr
    return json.loads(got.stdout)


# --- generated policies ---

def some(rnd, words, most=2):
    return rnd.sample(words, rnd.randint(1, most))


def make_subjects(rnd):
    s = {}
    if rnd.random() < 0.6:
        s["groups"] = some(rnd, ["dev", "ops", "dev-*", "*-x", "system:authenticated", "system:unauthenticated"])
    if rnd.random() < 0.4 or not s:
        s["users"] = some(rnd, ["ann", "bob", "a*", "*b", "eve"])
    if rnd.random() < 0.3:
        s["serviceAccounts"] = some(rnd, ["ci/build", "ci/*", "*/deploy"])
    if rnd.random() < 0.1:
        s["all"] = rnd.choice(["everyone", "authenticated", "serviceaccounts"])
    return s


def make_rule(rnd, number):
    effect = rnd.choice(["allow", "allow", "deny", "abstain"])
    r = {"id": f"r{number}", "effect": effect, "subjects": make_subjects(rnd)}
    if rnd.random() < 0.2:
        r["except"] = {"subjects": make_subjects(rnd)}
    if rnd.random() < 0.15:
        return {**r, "nonResourceURLs": some(rnd, ["/api", "/api/*", "*", "/healthz"]),
                "verbs": some(rnd, ["get", "post", "*"])}
    r["apiGroups"] = some(rnd, ["", "apps", "*"])
    r["resources"] = some(rnd, ["pods", "secrets", "nodes", "pods/log", "*/scale", "*"]
                          + (["pods/*", "*/*"] if effect != "allow" else []))
    r["verbs"] = some(rnd, ["get", "list", "delete", "*"])
    if rnd.random() < 0.3:
        r["resourceNames"] = some(rnd, ["db", "web"])
    elif rnd.random() < 0.2:
        r["resourceNamesGlob"] = some(rnd, ["w*", "*-db"])
    elif rnd.random() < 0.2:
        r["verbs"] = ["list"]
        r["labelSelector"] = {"requirements": [{"key": "t", "operator": "In", "values": ["a"]}]}
    place = rnd.random()
    if place < 0.4:
        r["namespaces"] = {"include": some(rnd, ["prod", "team-*", "dev"])}
        if rnd.random() < 0.4:
            r["namespaces"]["exclude"] = ["team-a"]
    elif place < 0.5:
        r["clusterScope"] = "only"
    if effect != "allow" and rnd.random() < 0.3:
        r["overlap"] = "exact"
    if rnd.random() < 0.2:
        r["valid"] = {rnd.choice(["from", "until"]): rnd.choice(["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"])}
    return r


def make_policy(rnd, path):
    p = {"apiVersion": "portcullis.dev/v1alpha1", "kind": "AccessPolicy",
         "defaults": {"decision": rnd.choice(["NoOpinion", "NoOpinion", "Deny"]), "exempt": {"users": ["eve"]}}}
    p["rules"] = [make_rule(rnd, i) for i in range(rnd.randint(3, 9))]
    path.write_text(json.dumps(p, indent=1) + "\n")  # JSON is YAML


def identities():
    for user in ("ann", "bob", "eve", "zoe", ACCOUNT + "ci:build", ACCOUNT + "team:deploy"):
        for groups in ([], ["dev"], ["dev-1"], ["ops", "a-x"]):
            yield user, with_implied(user, groups)
    yield "system:anonymous", ["system:unauthenticated"]


def with_implied(user, groups):
    out = list(groups)
    if user.startswith(ACCOUNT):
        out += ["system:serviceaccounts", "system:serviceaccounts:" + user.split(":")[2]]
    return out + ["system:authenticated"]


def make_request(rnd):
    if rnd.random() < 0.2:
        return {"verb": rnd.choice(["get", "post"]), "path": rnd.choice(["/api", "/api/v1", "/healthz", "/x"])}
    return {"verb": rnd.choice(["get", "list", "delete", "create"]), "group": rnd.choice(["", "apps"]),
            "resource": rnd.choice(["pods", "secrets", "nodes"]), "subresource": rnd.choice(["", "", "log", "scale"]),
            "name": rnd.choice(["", "db", "web", "x-db"]), "namespace": rnd.choice(["", "prod", "team-a", "team-b"])}


def verdicts(path, asked):
    """What policy eval says of (user, groups, request) triples."""
    lines = []
    for user, groups, request in asked:
        kind = "nonResourceAttributes" if "path" in request else "resourceAttributes"
        lines.append(json.dumps({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                                 "spec": {"user": user, "groups": groups, kind: request}}))
    got = cli("eval", "--now", NOW, "-p", path, stdin="\n".join(lines) + "\n")
    assert got.returncode == 0, got.stderr
    out = []
    for line in got.stdout.splitlines():
        status = json.loads(line)["status"]
        out.append("allow" if status["allowed"] else "deny" if status.get("denied") else "noOpinion")
    assert len(out) == len(asked)
    return out


# --- what the answers say, read naively ---

def star(pattern, text):
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def names_subject(entry, user, groups):
    if entry["kind"] == "everyone":
        return True
    same = star if entry["pattern"] else str.__eq__
    if entry["kind"] == "user":
        return same(entry["name"], user)
    if entry["kind"] == "group":
        return any(same(entry["name"], g) for g in groups)
    parts = user.split(":")
    return user.startswith(ACCOUNT) and len(parts) == 4 and all(
        same(n, t) for n, t in zip(entry["name"].split("/"), parts[2:]))


def any_subject(entries, user, groups):
    return any(names_subject(e, user, groups) for e in entries)


def form(resource, text, sub):
    if resource == "*":
        return True
    name, _, want = resource.partition("/")
    return name in ("*", text) and (sub != "" if want == "*" else sub == want)


def row_matches(row, r):
    takes = row["effect"] != "allow" and row["overlap"] == "possible"
    if "*" not in row["verbs"] and r["verb"] not in row["verbs"]:
        return False
    if "path" in r or "nonResourceURLs" in row:
        return "path" in r and any(
            r["path"].startswith(u[:-1]) if u.endswith("*") else r["path"] == u for u in row.get("nonResourceURLs", []))
    if "*" not in row["apiGroups"] and r["group"] not in row["apiGroups"]:
        return False
    if not any(form(f, r["resource"], r["subresource"]) for f in row["resources"]):
        return False
    if "resourceNames" in row:
        named = r["name"] and (r["name"] in row["resourceNames"]
                               or any(star(g, r["name"]) for g in row["resourceNamesGlob"]))
        if not named and not (takes and r["name"] == ""):
            return False
    if "labelSelector" in row and not takes:
        return False
    cluster = r["resource"] == "nodes" and r["group"] == ""
    if row["scope"] == "cluster":
        return r["namespace"] == "" or (takes and cluster)
    if row["scope"] == "namespaces" and r["namespace"] == "":
        return takes and not cluster
    return row["scope"] == "all" or (
        any(star(n, r["namespace"]) for n in row["namespaces"]["include"])
        and not any(star(n, r["namespace"]) for n in row["namespaces"]["exclude"]))


def verdict_of(rows, default):
    """Of the rows that match: deny over abstain over allow."""
    effects = {row["effect"] for row in rows if not row.get("exempt")}
    for effect, verdict in (("deny", "deny"), ("abstain", "noOpinion"), ("allow", "allow")):
        if effect in effects:
            return verdict
    return default


@pytest.mark.parametrize("seed", range(12))
def test_what_can_tells_all_that_is_decided(tmp_path, seed):
    rnd = random.Random(seed)
    path = tmp_path / "p.yaml"
    allowed = 0
    for _ in range(4):
        make_policy(rnd, path)
        for user, groups in rnd.sample(list(identities()), 4):
            own = [g for g in groups if not g.startswith("system:")]
            answer = data("what-can", user, *(f"--group={g}" for g in own), "-p", path)
            assert (answer["user"], answer["groups"][:len(own)]) == (user, own)
            default = "noOpinion" if user == "eve" else answer["default"]
            asked = [(user, answer["groups"], make_request(rnd)) for _ in range(60)]
            for (_, _, request), got in zip(asked, verdicts(path, asked)):
                rows = [r for r in answer["rows"] if r["now"] and row_matches(r, request)]
                assert verdict_of(rows, default) == got, (request, rows)
                allowed += got == "allow"
                # What is taken away as a whole is never allowed.
                assert got != "allow" or any(r["effect"] == "allow" and "takenBy" not in r for r in rows)
    assert allowed > 5


def query_of(request):
    if "path" in request:
        return [request["verb"], "--path", request["path"]]
    what = request["resource"] + (f".{request['group']}" if request["group"] else "")
    what += f"/{request['subresource']}" if request["subresource"] else ""
    place = ["-n", request["namespace"]] if request["namespace"] else ["-A"]
    return [request["verb"], what, *([request["name"]] if request["name"] else []), *place]


def listed(answer, parts, user, groups):
    return [e for part in parts for e in answer[part]
            if names_subject(e["subject"], user, groups) and not any_subject(e["except"], user, groups)
            and not set(e["limits"]) - {"time"}]


@pytest.mark.parametrize("seed", range(12))
def test_who_can_lists_exactly_those_who_are_allowed(tmp_path, seed):
    rnd = random.Random(1000 + seed)
    path = tmp_path / "p.yaml"
    people = list(identities())
    allowed = entries = 0
    for _ in range(5):
        make_policy(rnd, path)
        for _ in range(6):
            request = make_request(rnd)
            answer = data("who-can", "-p", path, *query_of(request))
            if not answer["oneRequest"]:
                assert request["name"] == "" and request["verb"] in ("get", "delete")
                continue
            got = verdicts(path, [(u, g, request) for u, g in people])
            for (user, groups), verdict in zip(people, got):
                exempt = any_subject(answer["exempt"], user, groups)
                rows = listed(answer, ("allowed", "taken"), user, groups)
                if not exempt:
                    rows += listed(answer, ("denied", "abstained"), user, groups)
                default = "noOpinion" if exempt else answer["default"]
                assert verdict_of(rows, default) == verdict, (request, user, groups, rows)
                allowed += verdict == "allow"
            # Each subject that is listed, asked for alone.
            plain = [(part, e) for part in ("allowed", "taken") for e in answer[part] if not e["limits"]
                     and e["subject"]["kind"] != "everyone" and not e["subject"]["pattern"]]
            alone = [alone_as(e["subject"], request) for _, e in plain]
            for (part, e), verdict in zip(plain, verdicts(path, alone) if alone else []):
                assert (verdict == "allow") == (part == "allowed"), (request, e)
                entries += 1
    assert allowed > 3 and entries > 0


def alone_as(subject, request):
    name = subject["name"]
    if subject["kind"] == "group":
        return "nobody-else", [name] + ([] if "authenticated" in name else ["system:authenticated"]), request
    user = ACCOUNT + name.replace("/", ":") if subject["kind"] == "serviceAccount" else name
    return user, with_implied(user, []), request


# --- words ---

POLICY = HEAD + """\
defaults: {exempt: {groups: ["system:nodes"]}}
rules:
- {id: dev, effect: allow, subjects: {groups: ["dev-*"], serviceAccounts: ["ci/*"]}, namespaces: ["team-*"], \
apiGroups: [""], resources: [pods], verbs: [get, delete]}
- {id: web, effect: allow, subjects: {users: [ann]}, apiGroups: [""], resources: [pods], resourceNames: [web], verbs: [get]}
- {id: guests, effect: deny, subjects: {groups: ["dev-guests"]}, except: {subjects: {users: [bob]}}, apiGroups: [""], \
resources: [pods], verbs: [delete]}
- {id: gone, effect: allow, subjects: {groups: [old]}, apiGroups: [""], resources: [pods], verbs: [get], \
valid: {until: 2026-01-01T00:00:00Z}}
- {id: bg, effect: allow, subjects: {users: [carol]}, apiGroups: [""], resources: [pods], verbs: [delete], \
valid: {from: 2026-11-22T09:00:00Z, until: 2026-11-22T11:00:00Z}}
- {id: soon, effect: allow, subjects: {users: [dave]}, apiGroups: [""], resources: [pods], verbs: [delete], \
valid: {from: 2026-12-01T00:00:00Z}}
- {id: one, effect: allow, subjects: {groups: ["dev-guests"]}, apiGroups: [""], resources: [pods], verbs: [delete]}
"""


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(POLICY)
    return path


def test_who_can_tells_limits_times_and_what_is_taken_away(policy):
    got = cli("who-can", "delete", "pods", "--now", NOW, "-p", policy)
    assert got.returncode == 0 and not got.stderr
    assert got.stdout == """\
allowed:
  group dev-*  by dev (p.yaml:5)  [only namespaces team-*]
  service account ci/*  by dev (p.yaml:5)  [only namespaces team-*]
  user carol  by bg (p.yaml:9)  [until 2026-11-22T11:00:00Z]
allowed by a rule, but not in the end:
  group dev-guests  by one (p.yaml:11)  [taken away by guests]
not at this time:
  user dave  by soon (p.yaml:10)  [from 2026-12-01T00:00:00Z]
denied, whatever other rules and authorizers say:
  group dev-guests  by guests (p.yaml:7)  [except user bob]
exempt from what is denied and left: group system:nodes
all others: no opinion, the next authorizer decides
"""


def test_who_can_asks_for_one_request_when_told_so(policy):
    assert "ann" not in cli("who-can", "get", "pods", "db", "-n", "team-a", "-p", policy).stdout
    got = cli("who-can", "get", "pods", "-n", "other", "-p", policy)
    assert got.returncode == 0 and "user ann  by web (p.yaml:6)  [only names web]" in got.stdout
    assert "dev" not in got.stdout
    got = cli("who-can", "watch", "pods", "-A", "-p", policy)
    assert got.returncode == 1 and got.stdout.startswith("no rule allows it to anybody\n")
    got = cli("who-can", "get", "/healthz", "-p", policy)
    assert got.returncode == 1


@pytest.mark.parametrize("argv, words", [
    (["get"], "expected VERB RESOURCE"),
    (["get", "pods", "a", "b"], "expected VERB RESOURCE"),
    (["get", "pods", "-n", "x", "-A"], "-n beside -A"),
    (["get", "/x", "-n", "x"], "a path is in no namespace"),
])
def test_who_can_refuses_other_usage(policy, argv, words):
    got = cli("who-can", *argv, "-p", policy)
    assert got.returncode == 2 and words in got.stderr and not got.stdout
    assert "--policy is missing" in cli("who-can", "get", "pods").stderr


def test_what_can_is_a_table(policy):
    got = cli("what-can", "carol", "-g", "dev-guests", "--now", NOW, "-p", policy)
    assert got.returncode == 0 and not got.stderr
    lines = [re.split(r" {2,}", line) for line in got.stdout.splitlines()]
    assert lines == [
        ["EFFECT", "VERBS", "RESOURCES", "NAMES", "NAMESPACES", "RULE"],
        ["deny", "delete", "pods", "-", "all", "guests (p.yaml:7)"],
        ["allow", "get, delete", "pods", "-", "team-*", "dev (p.yaml:5)"],
        ["allow", "delete", "pods", "-", "all", "bg (p.yaml:9)", "taken away by guests; until 2026-11-22T11:00:00Z"],
        ["allow", "delete", "pods", "-", "all", "one (p.yaml:11)", "taken away by guests"],
        ["everything else: no opinion, the next authorizer decides"]]
    got = cli("what-can", "carol", "-g", "dev-1", "-n", "other", "--now", NOW, "-p", policy)
    assert "dev (p.yaml:5)" not in got.stdout and "bg (p.yaml:9)" in got.stdout


def test_what_can_of_service_accounts_and_nobody(policy):
    got = cli("what-can", "--service-account", "ci/build", "-p", policy)
    assert got.returncode == 0 and "dev (p.yaml:5)" in got.stdout
    got = cli("what-can", "zoe", "-p", policy)
    assert (got.returncode, got.stdout) == (1, "everything else: no opinion, the next authorizer decides\n")
    for argv in ([], ["u", "--service-account", "a/b"], ["--service-account", "a"], ["u", "--group"], ["u", "v"]):
        got = cli("what-can", *argv, "-p", policy)
        assert got.returncode == 2 and not got.stdout and got.stderr, argv
