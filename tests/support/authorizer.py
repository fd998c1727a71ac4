"""What an apiserver's RBAC knows: its authorizer learns of roles and bindings by watches of its own, a moment after they
were written. Whoever needs rights to hold, or to be gone, waits here."""
import itertools

from .proc import wait_until

SAR = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def _subject(s):
    if s["kind"] == "Group":
        return {"user": "somebody", "groups": [s["name"]]}
    if s["kind"] == "ServiceAccount":
        return {"user": f"system:serviceaccount:{s['namespace']}:{s['name']}"}
    return {"user": s["name"]}


def questions(rules, namespace=None):
    """resourceAttributes of all that RULES allow."""
    for r in rules:
        for group, resource, verb, name in itertools.product(
                r.get("apiGroups", [""]), r.get("resources", []), r["verbs"], r.get("resourceNames", [""])):
            resource, _, sub = resource.partition("/")
            asked = {"group": group, "resource": resource, "subresource": sub, "verb": verb, "name": name,
                     "namespace": namespace or ""}
            yield {k: v for k, v in asked.items() if v}


def wait_verdict(api, subject, asked, allowed=True):
    """Until RBAC says of each of ASKED what it is to say to SUBJECT, that of a binding."""
    with api.client() as c:
        for attributes in asked:
            def told(spec={**_subject(subject), "resourceAttributes": attributes}):  # pylint: disable=dangerous-default-value
                got = c.post(SAR, json={"spec": spec})
                assert got.status == 201, got
                return got.json["status"]["allowed"] is allowed
            wait_until(told, f"{subject} to be {'allowed' if allowed else 'refused'} {attributes}")


def bound(docs):
    """(subject, namespace, role) of each binding in DOCS whose role is there too."""
    roles = {(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]): d for d in docs if "rules" in d}
    for d in docs:
        if "roleRef" not in d:
            continue
        ns, ref = d["metadata"].get("namespace"), d["roleRef"]
        role = roles.get((ref["kind"], ns if ref["kind"] == "Role" else None, ref["name"]))
        for s in d.get("subjects") or []:
            if role:
                yield s, ns, role


def wait_rights(api, docs):
    """Until all that the roles in DOCS give by the bindings in DOCS is in force."""
    for subject, ns, role in bound([d for d in docs if d]):
        wait_verdict(api, subject, questions(role["rules"], ns))
