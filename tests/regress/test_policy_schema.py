"""The JSON Schema of the policy language: published as it is printed, takes what the loader takes, and refuses
what its tables can tell."""
import glob
import json
import os
import re

import jsonschema
import pytest
import yaml

from support.paths import TOP, program
from support.proc import run

HEAD = "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n"
RULE = {"id": "a", "effect": "allow", "subjects": {"users": ["u"]}, "apiGroups": [""], "resources": ["pods"],
        "verbs": ["get"]}
TEST = {"as": {"user": "u"}, "can": {"verb": "get", "resource": "pods"}, "expect": "allow"}


class Core(yaml.SafeLoader):
    """YAML 1.2's core types, as editors read them: `no` and dates are strings."""


Core.yaml_implicit_resolvers = {}
Core.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))
Core.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(?:null|~|)$"), ["n", "~", ""])
Core.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


@pytest.fixture(scope="module")
def printed():
    got = run([program("portcullis"), "policy", "schema"])
    assert got.returncode == 0 and not got.stderr
    return got.stdout


@pytest.fixture(scope="module")
def schema(printed):
    doc = json.loads(printed)
    jsonschema.Draft7Validator.check_schema(doc)
    return jsonschema.Draft7Validator(doc)


def faults(schema, text):
    return [e.message for e in schema.iter_errors(yaml.load(text, Loader=Core))]


def test_the_published_schema_is_the_printed_one(printed):
    assert read("docs/access-policy.schema.json") == printed


def test_every_key_has_words_and_no_object_takes_more(printed):
    tables = [json.loads(printed), *json.loads(printed)["definitions"].values()]
    assert len(tables) > 15
    for table in tables:
        assert table["additionalProperties"] is False
        assert table["properties"]
        assert all(p["description"] for p in table["properties"].values())
        assert set(table.get("required", [])) <= set(table["properties"])


def examples():
    for path in sorted(glob.glob(os.path.join(TOP, "docs", "*.md")) + [os.path.join(TOP, "README.md")]):
        text = read(path)
        for m in re.finditer(r"^```yaml\n(.*?)^```$", text, re.M | re.S):
            doc = m.group(1)
            whole = path.endswith("policy-language.md") and "apiVersion:" not in doc
            if whole or "kind: AccessPolicy" in doc:
                line = text.count("\n", 0, m.start()) + 1
                yield pytest.param(HEAD + doc if whole else doc, id=f"{os.path.basename(path)}-{line}")
    for pattern in ("deploy/examples/policy/*.yaml", "tests/golden/policy/*.yaml"):
        for path in sorted(glob.glob(os.path.join(TOP, pattern))):
            yield pytest.param(read(path), id=os.path.basename(path))


@pytest.mark.parametrize("text", examples())
def test_examples_are_valid(schema, text):
    assert faults(schema, text) == []


def test_there_are_examples():
    assert len(list(examples())) > 10


def corpus():
    return sorted(glob.glob(os.path.join(TOP, "tests", "fuzz", "corpus", "policy", "*")))


def test_what_the_loader_takes_is_valid(schema, tmp_path):
    taken = 0
    for seed in corpus():
        path = tmp_path / "p.yaml"
        with open(seed, "rb") as f:
            path.write_bytes(f.read())
        if run([program("portcullis"), "policy", "dump", "--policy", path]).returncode != 0:
            continue
        taken += 1
        assert faults(schema, path.read_text()) == [], seed
    assert taken > 10


def blocks():
    """Policies of the access cases that a question follows: they load."""
    for path in sorted(glob.glob(os.path.join(TOP, "tests", "cases", "authz", "*.cases"))):
        for m in re.finditer(r"^policy\n(.*?)^end\n(?:#.*\n|\n)*row [^|]*\|([^|]*)", read(path), re.M | re.S):
            if m.group(2).strip() != "load":
                yield os.path.basename(path), re.sub("^  ", "", m.group(1), flags=re.M)


def test_policies_of_the_access_cases_are_valid(schema):
    found = list(blocks())
    assert len(found) > 30
    for name, text in found:
        assert faults(schema, HEAD + text) == [], (name, text)


def rule(drop=(), **change):
    doc = {**RULE, **change}
    for key in drop:
        del doc[key]
    return {"rules": [doc]}


def test_(**change):
    return {**rule(), "tests": [{**TEST, **change}]}


test_.__test__ = False

LABELS = {"requirements": [{"key": "team", "operator": "In", "values": ["a"]}]}
REFUSED = {
    "kind": {"kind": "Policy"},
    "version": {"apiVersion": "v1"},
    "unknown-key": {"rulez": []},
    "empty-rules": {"rules": []},
    "rules-no-list": {"rules": {}},
    "generation": {"metadata": {"generation": -1}},
    "generation-text": {"metadata": {"generation": "1"}},
    "shrink": {"metadata": {"allowShrink": "yes"}},
    "expect": {"expect": {"rules": "x"}},
    "no-id": rule(drop=["id"]),
    "upper-id": rule(id="A"),
    "long-id": rule(id="a" * 64),
    "no-effect": rule(drop=["effect"]),
    "effect": rule(effect="Allow"),
    "mode": rule(mode="audit"),
    "overlap": rule(overlap="none"),
    "no-subjects": rule(drop=["subjects"]),
    "subject-key": rule(subjects={"user": ["u"]}),
    "empty-users": rule(subjects={"users": []}),
    "users-no-list": rule(subjects={"users": "u"}),
    "users-null": rule(subjects={"users": [None]}),
    "all": rule(subjects={"all": "nobody"}),
    "account": rule(subjects={"serviceAccounts": ["x"]}),
    "no-verbs": rule(drop=["verbs"]),
    "verb-glob": rule(verbs=["get*"]),
    "roles-and-verbs": rule(roles=["x"]),
    "empty-names": rule(resourceNames=[]),
    "empty-name": rule(resourceNames=[""]),
    "group-version": rule(apiGroups=["apps/v1"]),
    "resource-glob": rule(resources=["pod*"]),
    "path": rule(drop=["resources", "apiGroups"], nonResourceURLs=["api"]),
    "path-star": rule(drop=["resources", "apiGroups"], nonResourceURLs=["/a*b"]),
    "namespace-negated": rule(namespaces=["!a"]),
    "namespace-empty": rule(namespaces=[""]),
    "namespace-text": rule(namespaces="a"),
    "namespace-key": rule(namespaces={"included": ["a"]}),
    "scope": rule(clusterScope="both"),
    "message": rule(message="x" * 121),
    "selector": rule(labelSelector={"matchLabels": {"a": "b"}}),
    "selector-empty": rule(labelSelector={"requirements": []}),
    "operator": rule(labelSelector={"requirements": [{"key": "a", "operator": "in", "values": ["x"]}]}),
    "values": rule(labelSelector={"requirements": [{"key": "a", "operator": "In", "values": []}]}),
    "key": rule(fieldSelector={"requirements": [{"operator": "Exists"}]}),
    "when": rule(when="true"),
    "valid": rule(valid={"to": "2026-11-22T10:00:00Z"}),
    "valid-time": rule(valid={"until": "tomorrow"}),
    "days": rule(valid={"days": ["monday"]}),
    "hours": rule(valid={"hours": ["8-18"]}),
    "break-glass": rule(breakGlass={"ticket": "X"}),
    "except": rule(**{"except": {}}),
    "role-name": {"roles": [{"rules": [{"resources": ["pods"], "verbs": ["get"]}]}]},
    "role-verbs": {"roles": [{"name": "a", "rules": [{"resources": ["pods"]}]}]},
    "role-both": {"roles": [{"name": "a", "rules": [
        {"resources": ["pods"], "nonResourceURLs": ["/a"], "verbs": ["get"]}]}]},
    "alias-key": {"aliases": {"subject": {}}},
    "alias-in-alias": {"aliases": {"subjects": {"a": {"alias": "b"}}}},
    "exempt-all": {"defaults": {"exempt": {"all": "everyone"}}},
    "decision": {"defaults": {"decision": "Allow"}},
    "cluster-scoped": {"defaults": {"clusterScopedResources": ["things"]}},
    "test-verb": test_(can={"resource": "pods"}),
    "test-both": test_(can={"verb": "get", "resource": "pods", "path": "/a"}),
    "test-neither": test_(can={"verb": "get"}),
    "test-expect": test_(expect="NoOpinion"),
    "test-at": test_(at="noon"),
    "test-extra": test_(**{"as": {"user": "u", "extra": {"k": "v"}}}),
    "imports": {"imports": [{"rbac": {"path": "a.yaml"}, "abac": {"path": "b.jsonl"}}]},
    "imports-key": {"imports": [{"cedar": {"path": "a"}}]},
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_documents_are_not_valid(schema, tmp_path, name):
    doc = {"apiVersion": "portcullis.dev/v1alpha1", "kind": "AccessPolicy", **REFUSED[name]}
    assert list(schema.iter_errors(doc)), name
    path = tmp_path / "p.yaml"
    path.write_text(json.dumps(doc) + "\n")
    got = run([program("portcullis"), "policy", "dump", "--policy", path])
    assert got.returncode == 2 and "error: " in got.stderr


def test_the_base_of_the_refused_documents_is_valid(schema, tmp_path):
    doc = {"apiVersion": "portcullis.dev/v1alpha1", "kind": "AccessPolicy", **test_()}
    assert not list(schema.iter_errors(doc))
    path = tmp_path / "p.yaml"
    path.write_text(json.dumps(doc) + "\n")
    got = run([program("portcullis"), "policy", "dump", "--policy", path])
    assert (got.returncode, got.stderr) == (0, "")
