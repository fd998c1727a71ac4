"""RBAC objects of tricky shapes, what the aggregation controller would make of them, and requests that concern them."""
import random

V = "rbac.authorization.k8s.io"
API = f"/apis/{V}/v1"
READ = ["get", "list", "watch"]
NAMESPACES = ["red", "blue", "default", "kube-system"]


def rule(verbs, groups=(), resources=(), names=(), urls=()):
    out = {"verbs": list(verbs)}
    if urls:
        return {**out, "nonResourceURLs": list(urls)}
    out.update(apiGroups=list(groups), resources=list(resources))
    return {**out, "resourceNames": list(names)} if names else out


def subject(text, binding_namespace=None):
    """"User:u", "Group:g", "SA:ns/name", or "SA:name", whose namespace is left to the binding."""
    kind, _, name = text.partition(":")
    if kind != "SA":
        return {"kind": kind, "apiGroup": V, "name": name}
    ns, _, sa = name.rpartition("/")
    out = {"kind": "ServiceAccount", "name": sa}
    return {**out, "namespace": ns} if ns else out


# Name, rules: each is bound in the cluster and in a namespace, to people of its own and to shared ones.
SHAPES = [
    ("pods", [rule(["*"], [""], ["pods"])]),
    ("pods-star", [rule(["*"], [""], ["pods/*"])]),
    ("star-star", [rule(["get"], ["*"], ["*/*"])]),
    ("parts", [rule(["get", "update"], ["*"], ["pods/status", "*/scale"])]),
    ("deep", [rule(["get"], [""], ["*/a/b", "pods/proxy/x"])]),
    ("odd-slashes", [rule(["get"], [""], ["*/", "/", "pods/", "/log"])]),
    ("everything", [rule(["*"], ["*"], ["*"]), rule(["*"], urls=["*"])]),
    ("all-verbs-apps", [rule(["*"], ["apps"], ["deployments", "deployments/scale"])]),
    ("named", [rule(["get", "list", "watch", "delete", "create"], [""], ["secrets"], ["a", "b"])]),
    ("named-empty", [rule(["get", "list", "create"], [""], ["secrets"], [""])]),
    ("named-star", [rule(["get", "list"], [""], ["secrets"], ["*"])]),
    ("two-rules", [rule(["get"], [""], ["pods"]), rule(["list"], ["apps"], ["deployments"])]),
    ("tuple", [rule(["get", "list"], ["", "apps"], ["pods", "deployments"])]),
    ("upper", [rule(["GET"], ["Apps"], ["Pods"])]),
    ("paths", [rule(["get"], urls=["/metrics", "/api/*", "/x**"]), rule(["*"], urls=["/own"])]),
    ("all-paths", [rule(["get"], urls=["/*"])]),
    ("odd-paths", [rule(["get"], urls=["/api/*/*", "*/api", "relative"])]),
    ("mixed", [rule(["get"], [""], ["pods"]), rule(["get"], urls=["/mixed"])]),
    ("impersonate", [rule(["impersonate"], [""], ["users", "groups"], ["jane"]),
                     rule(["impersonate"], ["authentication.k8s.io"], ["userextras/scopes"])]),
    ("escalate", [rule(["escalate", "bind"], [V], ["clusterroles"])]),
    ("nothing", []),
]

AGGREGATED = [
    ("gather-one", [{"matchLabels": {"tier": "leaf"}}]),
    ("gather-in", [{"matchExpressions": [{"key": "tier", "operator": "In", "values": ["leaf", "twig"]}]}]),
    ("gather-not-in", [{"matchLabels": {"wood": "yes"},
                        "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["leaf"]}]}]),
    ("gather-exists", [{"matchExpressions": [{"key": "wood", "operator": "Exists"},
                                             {"key": "tier", "operator": "DoesNotExist"}]}]),
    ("gather-two", [{"matchLabels": {"tier": "leaf"}}, {"matchLabels": {"tier": "twig"}}]),
    ("gather-chain", [{"matchLabels": {"chain": "1"}}]),
    ("gather-none", [{"matchLabels": {"tier": "no-such"}}]),
]
LEAVES = [
    ("leaf-1", {"tier": "leaf", "wood": "yes"}, [rule(["get"], ["wood"], ["leaves"])]),
    ("leaf-2", {"tier": "leaf", "wood": "yes"}, [rule(["get"], ["wood"], ["leaves"]),
                                                 rule(["list"], ["wood"], ["leaves"])]),
    ("twig", {"tier": "twig", "wood": "yes"}, [rule(["get"], ["wood"], ["twigs"])]),
    ("trunk", {"wood": "yes"}, [rule(["*"], ["wood"], ["trunks"])]),
]


def _binding(kind, name, role, subjects, namespace=None, role_kind="ClusterRole"):
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": f"{V}/v1", "kind": kind, "metadata": meta,
            "roleRef": {"apiGroup": V, "kind": role_kind, "name": role},
            "subjects": [subject(s) for s in subjects]}


def _role(kind, name, rules, **more):
    meta = {"name": name, **more.pop("meta", {})}
    return {"apiVersion": f"{V}/v1", "kind": kind, "metadata": meta, "rules": rules, **more}


# What the policy language cannot say: literal stars, odd slashes, the empty name, creating by name.
UNSAYABLE = ("pods-star", "star-star", "odd-slashes", "odd-paths", "named", "named-empty")


def objects(without=()):
    """All of them but those of the shapes WITHOUT, roles first."""
    out = []
    shapes = [(name, rules) for name, rules in SHAPES if name not in without]
    for name, rules in shapes:
        out.append(_role("ClusterRole", "t-" + name, rules))
        inside = [r for r in rules if "nonResourceURLs" not in r]
        out.append(_role("Role", "t-" + name, inside, meta={"namespace": "red"}))
    for name, labels, rules in LEAVES:
        out.append(_role("ClusterRole", "t-" + name, rules, meta={"labels": labels}))
    for name, selectors in AGGREGATED:
        labels = {"chain": "1"} if name in ("gather-one", "gather-exists") else {}
        out.append(_role("ClusterRole", "t-" + name, [], meta={"labels": labels},
                         aggregationRule={"clusterRoleSelectors": selectors}))
    for name in [n for n, _ in shapes] + [n for n, _ in AGGREGATED]:
        role = "t-" + name
        out.append(_binding("ClusterRoleBinding", role, role, [f"User:c-{name}", f"Group:gc-{name}", f"SA:blue/c-{name}"]))
        out.append(_binding("RoleBinding", role, role, [f"User:n-{name}", f"Group:gn-{name}", f"SA:n-{name}"], "red"))
        if name in dict(SHAPES):
            out.append(_binding("RoleBinding", role + "-r", role, [f"User:r-{name}", f"SA:blue/r-{name}"], "red", "Role"))
    out += [
        _binding("ClusterRoleBinding", "t-gone", "gone", ["User:lost", "User:c-pods"]),
        _binding("RoleBinding", "t-gone", "gone", ["User:lost-red"], "red", "Role"),
        _binding("RoleBinding", "t-other-namespace", "t-pods", ["User:lost-blue"], "blue", "Role"),
        _binding("ClusterRoleBinding", "t-empty", "t-everything", []),
        _binding("ClusterRoleBinding", "t-everyone", "t-paths", ["Group:system:authenticated"]),
        _binding("ClusterRoleBinding", "t-accounts", "t-named-star", ["Group:system:serviceaccounts:blue"]),
        _binding("ClusterRoleBinding", "t-literal", "t-two-rules", ["User:system:serviceaccount:blue:literal"]),
        _binding("ClusterRoleBinding", "t with space", "t-parts", ["User:spacy"]),
    ]
    if not without:
        out.append(_binding("ClusterRoleBinding", "t-star", "t-everything", ["User:*"]))
    return out


def _selects(selector, labels):
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for e in selector.get("matchExpressions") or []:
        key, values = e["key"], e.get("values") or []
        if not {"In": key in labels and labels.get(key) in values,
                "NotIn": labels.get(key) not in values,
                "Exists": key in labels,
                "DoesNotExist": key not in labels}[e["operator"]]:
            return False
    return True


def aggregate(cluster_roles):
    """Name -> rules, for each aggregated one: what the controller, which does not run here, comes to."""
    rules = {c["metadata"]["name"]: [] if c.get("aggregationRule") else c.get("rules") or [] for c in cluster_roles}
    aggregated = [c for c in cluster_roles if c.get("aggregationRule")]
    more = True
    while more:
        more = False
        for c in aggregated:
            name, new = c["metadata"]["name"], []
            for selector in c["aggregationRule"]["clusterRoleSelectors"]:
                for other in sorted(cluster_roles, key=lambda o: o["metadata"]["name"]):
                    if other is c or not _selects(selector, other["metadata"].get("labels") or {}):
                        continue
                    new += [r for r in rules[other["metadata"]["name"]] if r not in new]
            more |= new != rules[name]
            rules[name] = new
    return {c["metadata"]["name"]: rules[c["metadata"]["name"]] for c in aggregated}


class Requests:
    """Access reviews about the objects of a cluster, a good half of them about what somebody is granted."""

    def __init__(self, objects_by_kind, seed=20261122):
        self.r = random.Random(seed)
        self.roles = {(o["metadata"].get("namespace"), o["metadata"]["name"]): o.get("rules") or []
                      for kind in ("clusterroles", "roles") for o in objects_by_kind[kind]}
        self.bindings = [b for kind in ("clusterrolebindings", "rolebindings")
                         for b in objects_by_kind[kind] if b.get("subjects")]
        rules = [r for rs in self.roles.values() for r in rs]
        self.words = {key: sorted({w for r in rules for w in r.get(key) or []})
                      for key in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")}
        self.people = sorted({self._who(s, b) for b in self.bindings for s in b["subjects"]})

    def _who(self, s, binding):
        """(user, its groups) of somebody who is S."""
        if s["kind"] == "Group":
            return ("somebody", (s["name"],))
        if s["kind"] == "User":
            return (s["name"], ())
        ns = s.get("namespace") or binding["metadata"].get("namespace", "")
        return (f"system:serviceaccount:{ns}:{s['name']}", ("system:serviceaccounts", f"system:serviceaccounts:{ns}"))

    def _word(self, text, others):
        """A word for a rule's TEXT: a star may be anything, itself too."""
        return self.r.choice(others + ["*", "", "zz"]) if text == "*" else text

    def _granted(self):
        """Made from one rule of one binding: most of these are allowed."""
        r = self.r
        while True:
            b = r.choice(self.bindings)
            ref = b["roleRef"]
            ns = b["metadata"].get("namespace")
            rules = self.roles.get((ns if ref["kind"] == "Role" else None, ref["name"]))
            if rules:
                break
        grant = r.choice(rules)
        who = self._who(r.choice(b["subjects"]), b)
        verb = self._word(r.choice(grant["verbs"]), self.words["verbs"])
        if grant.get("nonResourceURLs"):
            url = r.choice(grant["nonResourceURLs"])
            path = url.rstrip("*") + r.choice(["", "x", "v1/y"]) if url.endswith("*") else url
            return who, {"nonResourceAttributes": {"path": path, "verb": verb}}
        resource = r.choice(grant["resources"])
        resource, _, sub = resource.partition("/")
        if resource == "*":
            resource = r.choice(["pods", "things", "secrets", "*"])
            sub = sub or r.choice(["", "", "log", "scale", "a/b"])
        names = grant.get("resourceNames")
        attributes = {"verb": verb, "group": self._word(r.choice(grant["apiGroups"]), self.words["apiGroups"]),
                      "version": r.choice(["", "v1", "*"]), "resource": resource, "subresource": sub,
                      "name": r.choice(names) if names else r.choice(["", "a", "zz"]),
                      "namespace": ns or r.choice(["", *NAMESPACES])}
        return who, {"resourceAttributes": attributes}

    def _change(self, who, spec):
        """One dimension becomes another."""
        r = self.r
        if "nonResourceAttributes" in spec:
            a = spec["nonResourceAttributes"]
            what = r.choice(["who", "verb", "path"])
            if what == "verb":
                a["verb"] = r.choice(["get", "post", "head", "*", "GET"])
            elif what == "path":
                a["path"] = r.choice([u.rstrip("*") for u in self.words["nonResourceURLs"]] + ["", "/", "/zz"]) + r.choice(["", "/", "y"])
        else:
            a = spec["resourceAttributes"]
            what = r.choice(["who", "verb", "group", "resource", "subresource", "name", "namespace"])
            plain = [x.partition("/")[0] for x in self.words["resources"]]
            others = {"verb": self.words["verbs"] + ["GET", "zz"], "group": self.words["apiGroups"] + ["zz"],
                      "resource": plain + ["zz", ""], "subresource": ["", "log", "status", "scale", "a/b", "a", "*", "proxy"],
                      "name": ["", "a", "b", "*", "zz"], "namespace": ["", "zz", *NAMESPACES]}
            if what in others:
                a[what] = r.choice(others[what])
        return (r.choice(self.people) if what == "who" else who), spec

    def one(self):
        who, spec = self._granted()
        if self.r.random() < 0.4:
            who, spec = self._change(who, spec)
        user, groups = who
        groups = list(groups) + self.r.choice([[], ["system:authenticated"], ["zz"]])
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                "spec": {**spec, "user": user, **({"groups": groups} if groups else {})}}
