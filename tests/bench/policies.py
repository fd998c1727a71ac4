"""Policies of a given size and requests to ask of them, for make bench: a realistic mix and the worst one."""
import json
import random

HEAD = "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: bench, generation: 7}\n" \
       "defaults:\n  exempt: {groups: [\"system:nodes\"], users: [\"system:kube-*\", \"system:apiserver\"]}\n"

CORE = ["pods", "services", "configmaps", "secrets", "endpoints", "serviceaccounts", "persistentvolumeclaims",
        "events", "pods/log", "pods/exec", "pods/attach", "pods/portforward", "replicationcontrollers",
        "limitranges", "resourcequotas", "bindings", "pods/status", "services/proxy"]
APPS = ["deployments", "replicasets", "statefulsets", "daemonsets", "deployments/scale", "statefulsets/scale"]
NAMED = ["get", "update", "patch", "delete"]
READ, WRITE = ["get", "list", "watch"], ["create", "update", "patch", "delete", "deletecollection"]


def words(items):
    return "[" + ", ".join(json.dumps(i) for i in items) + "]"


def grant(groups, resources, verbs, names=None):
    text = f"apiGroups: {words(groups)}, resources: {words(resources)}, verbs: {words(verbs)}"
    return text + (f", resourceNames: {words(names)}" if names else "")


def roles():
    """A few like Kubernetes' own, and forty small ones of operators."""
    out = ["roles:"]
    for name, verbs in (("view", READ), ("edit", READ + WRITE), ("admin", READ + WRITE + ["escalate"])):
        out.append(f"- name: {name}\n  rules:\n  - {{{grant([''], CORE, verbs)}}}\n  - {{{grant(['apps'], APPS, verbs)}}}\n"
                   f"  - {{{grant(['batch'], ['jobs', 'cronjobs'], verbs)}}}\n"
                   f"  - {{{grant(['networking.k8s.io'], ['ingresses', 'networkpolicies'], verbs)}}}")
    for i in range(40):
        out.append(f"- name: operator-{i}\n  rules:\n  - {{{grant([f'op{i}.example.com'], [f'things{i}', f'things{i}/status'], READ + WRITE)}}}\n"
                   f"  - {{{grant([''], ['configmaps', 'events'], READ + ['create'])}}}")
    return out


def realistic(n, rng):
    """Teams of fifty rules: groups bound in the team's namespaces, some people and service accounts, a few
    bindings for the whole cluster, denies that protect, names, aliases, globs."""
    out = [HEAD + "aliases:\n  subjects:\n    sre: {groups: [\"oidc:sre\"], users: [\"root@example.com\"]}",
           "  namespaces:\n    tenant: {include: [\"team-*\"], exclude: [\"*-restricted\"]}"]
    out += roles() + ["rules:"]
    for i in range(n):
        team, kind = i // 50, i % 50
        ns = f"team-{team}" + ("", "-prod", "-test")[i % 3]
        role = ("view", "edit", "admin")[kind % 3]
        rule = f"- {{id: r{i}, effect: "
        if kind < 28:
            out.append(f"{rule}allow, subjects: {{groups: [\"oidc:team-{team}-{kind % 7}\"]}}, roles: [{role}], namespaces: [{ns}]}}")
        elif kind < 36:
            out.append(f"{rule}allow, subjects: {{users: [\"user{rng.randrange(max(4, n // 10))}@example.com\"]}}, "
                       f"roles: [{role}], namespaces: [{ns}]}}")
        elif kind < 43:
            out.append(f"{rule}allow, subjects: {{serviceAccounts: [\"team-{team}/sa{kind}\"]}}, "
                       f"roles: [operator-{rng.randrange(40)}], namespaces: [{ns}]}}")
        elif kind < 45:
            out.append(f"{rule}allow, subjects: {{serviceAccounts: [\"team-{team}/operator\"]}}, roles: [operator-{rng.randrange(40)}]}}")
        elif kind == 45:
            out.append(f"{rule}allow, subjects: {{groups: [\"oidc:team-{team}-0\"]}}, {grant([''], ['secrets'], READ, [f'db-{team}', 'tls'])}, namespaces: [{ns}]}}")
        elif kind == 46:
            out.append(f"{rule}allow, subjects: {{groups: [\"oidc:team-{team}-*\"]}}, roles: [view], namespaces: [\"team-{team}-*\"]}}")
        elif kind == 47:
            out.append(f"{rule}deny, subjects: {{all: authenticated}}, except: {{subjects: {{alias: sre}}}}, "
                       f"{grant(['*'], ['*'], WRITE)}, namespaces: [\"team-{team}-restricted\"], message: \"team {team} is restricted\"}}")
        elif kind == 48:
            out.append(f"{rule}abstain, subjects: {{groups: [\"oidc:contractors-{team % 20}\"]}}, {grant([''], ['secrets'], ['*'])}, namespaces: {{alias: tenant}}}}")
        elif team % 10 == 0:
            out.append(f"{rule}allow, subjects: {{all: authenticated}}, {grant([f'crd{team}.example.com'], ['*'], READ)}}}")
        else:
            out.append(f"{rule}allow, subjects: {{users: [\"audit-{team}\"]}}, nonResourceURLs: [\"/healthz\", \"/metrics/*\"], verbs: [get]}}")
    return "\n".join(out) + "\n"


def worst(n, rng):
    """Half of all rules name one group, a tenth allow everything, patterns wherever they may stand, and no two
    rules are alike."""
    out = [HEAD, "rules:"]
    for i in range(n):
        rule = f"- {{id: w{i}, effect: {('allow', 'allow', 'deny', 'abstain')[i % 4]}, subjects: "
        verbs, resources = rng.sample(READ + WRITE, 3), rng.sample(CORE + APPS, 4)
        kind = i % 20
        if kind < 4:
            out.append(f"{rule}{{groups: [half]}}, {grant([''], ['secrets'], rng.sample(NAMED, 2), [f'name-{i}'])}}}")
        elif kind < 7:
            out.append(f"{rule}{{groups: [half, g{i % 2000}]}}, {grant(['', 'apps'], [f'kind{i}'] + resources, ['verb' + str(i % 9)])}, namespaces: [\"ns-{i % 5000}\", shared]}}")
        elif kind < 10:
            out.append(f"{rule}{{groups: [half]}}, except: {{subjects: {{groups: [\"x{i % 3000}\"]}}}}, {grant([f'api{i % 500}'], ['*'], verbs)}}}")
        elif kind < 12:
            out.append(f"{rule}{{groups: [\"g{i % 2000}\"]}}, {grant(['*'], ['*'], ['*'])}, namespaces: [\"ns-{i % 5000}\"]}}")
        elif kind < 14:
            out.append(f"{rule}{{users: [\"u{i}-*\", \"*-v{i}\"]}}, {grant([''], resources, verbs)}}}")
        elif kind < 16:
            out.append(f"{rule}{{groups: [\"p{i}-*\"]}}, {grant([''], resources, verbs)}, namespaces: [\"ns-{i % 900}-*\", \"*-{i}\"]}}")
        elif kind < 18:
            out.append(f"{rule}{{users: [heavy]}}, {grant([''], resources, verbs)}, namespaces: [\"ns-{i}\"]}}")
        else:
            out.append(f"{rule}{{users: [\"u{i}\"], serviceAccounts: [\"ns-{i % 5000}/*\"]}}, {grant([''], resources, verbs)}}}")
    return "\n".join(out) + "\n"


def review(user, groups, verb, resource=None, namespace="", name="", group="", sub="", path=None):
    spec = {"user": user, "groups": groups + ["system:authenticated"], "uid": "u-1",
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=0aaf"]}}
    if path:
        spec["nonResourceAttributes"] = {"path": path, "verb": verb}
    else:
        spec["resourceAttributes"] = {k: v for k, v in (
            ("namespace", namespace), ("verb", verb), ("group", group), ("version", "v1"), ("resource", resource),
            ("subresource", sub), ("name", name)) if v}
    return json.dumps({"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
                       "spec": spec, "status": {"allowed": False}})


def realistic_requests(n):
    teams = max(1, n // 50)
    t = teams // 2
    own = [f"oidc:team-{t}-{i}" for i in range(3)]
    ten = own + [f"oidc:team-{i % teams}-{i % 7}" for i in range(3)] + [f"oidc:mail-{i}" for i in range(4)]
    thirty = own + [f"oidc:team-{i % teams}-{i % 7}" for i in range(9)] + [f"oidc:mail-{i}" for i in range(18)]
    many = [f"oidc:team-{i % teams}-{i % 7}" for i in range(1000)] + [f"oidc:mail-{i}" for i in range(1000)]
    account = f"system:serviceaccount:team-{t}:operator"
    sa_groups = ["system:serviceaccounts", f"system:serviceaccounts:team-{t}"]
    return [
        ("allow, 10 groups", review("jane@example.com", ten, "get", "pods", f"team-{t}", "web-1")),
        ("allow, 30 groups", review("jane@example.com", thirty, "get", "pods", f"team-{t}", "web-1")),
        ("allow, service account", review(account, sa_groups, "list", "configmaps", "", "")),
        ("deny, 10 groups", review("jane@example.com", ten, "create", "pods", f"team-{t}-restricted")),
        ("no opinion, 10 groups", review("jane@example.com", ten, "delete", "pods", "kube-system", "dns")),
        ("no opinion, all namespaces", review("jane@example.com", ten, "list", "nodes")),
        ("no opinion, path", review("jane@example.com", ten, "get", path="/openapi/v3")),
        ("no opinion, 2000 groups", review("jane@example.com", many, "delete", "pods", "kube-system", "dns")),
    ]


def worst_requests(n):
    many = [f"g{i}" for i in range(1000)] + [f"p{i}-x" for i in range(1000)]
    return [
        ("no opinion, half of all rules", review("jane", ["half"], "bind", "secrets", "shared", "no-such")),
        ("no opinion, one place of many rules", review("jane", ["half"], "verb9", "pods", "shared", "a")),
        ("named, one of many names", review("jane", ["half"], "get", "secrets", "ns-1", f"name-{n // 2 // 20 * 20}")),
        ("all namespaces", review("jane", ["half"], "list", "leases", group="coordination.k8s.io")),
        ("one user in many namespaces", review("heavy", [], "get", "pods", f"ns-{n // 2 // 20 * 20 + 16}", "a")),
        ("patterns", review("u1-x-v2", ["p14-1"], "approve", "pods", "ns-1-x-14", "a")),
        ("2000 groups", review("jane", many, "approve", "leases", "ns-1-x", "a")),
    ]


MIXES = {"realistic": (realistic, realistic_requests), "worst": (worst, worst_requests)}


def write(mix, n, policy, requests):
    """Writes a policy of N rules to POLICY and to REQUESTS lines of a name, a tab and a review."""
    make, ask = MIXES[mix]
    with open(policy, "w", encoding="ascii") as f:
        f.write(make(n, random.Random(n)))
    with open(requests, "w", encoding="ascii") as f:
        f.writelines(f"{name}\t{text}\n" for name, text in ask(n))
