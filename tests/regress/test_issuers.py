"""The sample configuration of each provider, asked with tokens of that provider's shape.

tests/cases/issuers/NAME.yaml has a good token, the person it names, and its variations with what must come of
each; deploy/examples/issuers/NAME.yaml is loaded as it stands but for the keys, which come from a file.
"""
import copy
import glob
import json
import os
import shutil

import pytest
import yaml

from support import attacks, pki, tokens
from support.paths import TOP, program
from support.proc import run

EXAMPLES = os.path.join(TOP, "deploy", "examples", "issuers")
CASES = os.path.join(TOP, "tests", "cases", "issuers")
NAMES = ["auth0", "dex", "entra", "google", "keycloak", "okta", "uaa"]


def load(folder, name):
    with open(os.path.join(folder, name + ".yaml"), encoding="utf-8") as f:
        return yaml.safe_load(f)


def variations():
    for name in NAMES:
        for v in load(CASES, name)["also"]:
            yield pytest.param(name, v, id=f"{name}: {v['what']}")


@pytest.fixture(scope="module", name="keys")
def _keys():
    return {"RS256": tokens.Key("RSA", "k-rsa"), "PS256": tokens.Key("RSA", "k-rsa-pss"),
            "ES256": tokens.Key("P-256", "k-ec")}


@pytest.fixture(scope="module", name="door")
def _door(tmp_path_factory, keys):
    """One daemon with the entries of all samples: they also fit together."""
    folder = tmp_path_factory.mktemp("issuers")
    path = folder / "jwks.json"
    path.write_text(json.dumps(tokens.jwks(*keys.values())))
    entries = []
    for name in NAMES:
        (entry,) = load(EXAMPLES, name)["authentication"]["jwt"]
        entry["issuer"]["jwksFile"] = str(path)
        entries.append(entry)
    with attacks.Gate(folder / "d", jwt=entries) as g:
        yield g
    assert g.process.popen.returncode == 0, g.process.tail()


def sign(keys, case, change=None):
    change = change or {}
    header = change.get("header", case["header"])
    claims = {**tokens.in_force(), **copy.deepcopy(case["claims"]), **change.get("set", {})}
    for name in change.get("drop", []):
        del claims[name]
    key = keys[header["alg"]]
    return key.token(claims, header["alg"], header={**header, "kid": key.kid})


def named(got, want):
    for member, value in want.items():
        assert got.get(member, [] if member == "groups" else None) == value, (member, got)


def test_every_sample_has_its_cases():
    for folder in (EXAMPLES, CASES):
        assert sorted(os.path.basename(p)[:-5] for p in glob.glob(os.path.join(folder, "*.yaml"))) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_sample_passes_the_check_without_a_warning(tmp_path, name):
    ca = pki.CA(tmp_path / "pki", "client-ca")
    ca.server("server")
    shutil.copytree(os.path.join(TOP, "deploy", "examples", "policy"), tmp_path / "policy")
    shutil.copy(os.path.join(EXAMPLES, name + ".yaml"), tmp_path / "portcullis.yaml")
    got = run([program("portcullis"), "check", "--config", tmp_path / "portcullis.yaml"])
    assert got.returncode == 0, got.stdout + got.stderr
    assert "warning" not in got.stdout + got.stderr, got.stdout + got.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_providers_token_names_the_person(door, keys, name):
    case = load(CASES, name)
    got = door.accepted(sign(keys, case))
    named(got, case["user"])
    assert set(got) == set(case["user"])


@pytest.mark.parametrize("name,change", variations())
def test_a_token_of_another_shape(door, keys, name, change):
    case = load(CASES, name)
    token = sign(keys, case, change)
    assert len({"same", "user", "reason"} & set(change)) == 1
    if "reason" in change:
        door.refused(token, change["reason"])
    else:
        named(door.accepted(token), case["user"] if change.get("same") else change["user"])


@pytest.mark.parametrize("name", NAMES)
def test_a_stranger_signs_for_nobody(door, keys, name):
    case = load(CASES, name)
    stranger = {alg: tokens.Key(k.kind, k.kid) for alg, k in keys.items()}
    door.refused(sign(stranger, case), "badSignature")
    for alg, key in stranger.items():
        key.kid = "k-unknown"
        door.refused(sign(stranger, case, {"header": {"alg": alg}}), "unknownKey")
    expired = {"set": {"exp": tokens.in_force(-1)["exp"]}}
    door.refused(sign(keys, case, expired), "expired")
