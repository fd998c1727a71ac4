"""Rows 44, 45, 96 to 98: configurations that would let somebody in. The daemon does not start with them, and keeps
the old one when it meets them later."""
import copy
import os

import pytest

from support import tokens
from support.attacks import URL_A, URL_B, Gate
from support.portcullisd import API_AUDIENCE
from support.proc import Process, wait_until
from support.paths import program


@pytest.fixture(name="refuses", scope="module")
def _refuses(tmp_path_factory, site):
    """refuses(words, change): the program does not start with the changed configuration, and says why and where."""
    g = Gate(tmp_path_factory.mktemp("refused") / "gate",
             jwt=[site.entry(URL_A, "a", "a:"), site.entry(URL_B, "b", "b:")])
    good = copy.deepcopy(g.config)

    def go(words, change):
        g.config = copy.deepcopy(good)
        change(g.config["authentication"])
        g.write_config()
        with Process([program("portcullisd"), "--config", g.config_path], g.path("refused.log")) as p:
            assert p.wait() == 1, p.output()
            assert words in p.output() and "portcullis.yaml:" in p.output(), p.output()
            assert '"msg":"serving"' not in p.output()
    return go


def mapping(**change):
    return lambda auth: auth["jwt"][1]["claimMappings"].update(change)


def issuer(**change):
    return lambda auth: auth["jwt"][1]["issuer"].update(change)


@pytest.mark.attack("44")
@pytest.mark.parametrize("one,two", [("x:", "x:y:"), ("x:y:", "x:"), ("x:", "x:"), ("", "x:"), ("x:", ""), ("", "")])
def test_two_issuers_could_give_one_name(refuses, one, two):
    def change(auth):
        for entry, prefix in zip(auth["jwt"], (one, two)):
            entry["claimMappings"]["username"]["prefix"] = prefix
    refuses("the same name", change)


@pytest.mark.attack("45")
@pytest.mark.parametrize("key", [
    "Example.com/team", "example.com/Team", "kubernetes.io/x", "authentication.kubernetes.io/pod-name", "x.k8s.io/y",
    "portcullis.dev/x", "team", "example.com/", "/x", "exa mple.com/x"])
def test_extra_keys_of_others(refuses, key):
    refuses("key", mapping(extra=[{"key": key, "claim": "team"}]))


@pytest.mark.attack("97")
@pytest.mark.parametrize("words,change", [
    ("https://", issuer(url="http://b.example.com")),
    ("https://", issuer(url="b.example.com")),
    ("host", issuer(url="https://")),
    ("user name", issuer(url="https://u:p@b.example.com")),
    ("query", issuer(url="https://b.example.com/?x=1")),
    ("fragment", issuer(url="https://b.example.com/#x")),
    ("audiences", lambda auth: auth["jwt"][1]["issuer"].pop("audiences")),
    ("empty", issuer(audiences=[])),
    ("empty", issuer(audiences=[""])),
    ("MatchAny", issuer(audiences=["x", "y"])),
    ("prefix", mapping(username={"claim": "sub"})),
    ("prefix", mapping(groups={"claim": "groups"})),
    ("reserved", mapping(username={"claim": "sub", "prefix": "system:"})),
    ("reserved", mapping(groups={"claim": "groups", "prefix": "System:"})),
    ("claimMappings", lambda auth: auth["jwt"][1].pop("claimMappings")),
    ("none", issuer(signingAlgorithms=["none"])),
    ("HS256", issuer(signingAlgorithms=["RS256", "HS256"])),
    ("empty", issuer(signingAlgorithms=[])),
    ("not supported yet", lambda auth: auth["jwt"][1].update(userValidationRules=[{"expression": "true"}])),
    ("not supported yet", mapping(username={"expression": "claims.sub"})),
    ("audiences", lambda auth: auth.pop("audiences")),
    ("unknown", issuer(insecureSkipVerify=True)),
])
def test_issuers_that_prove_nothing(refuses, words, change):
    refuses(words, change)


@pytest.mark.attack("98")
def test_one_url_is_one_issuer_and_not_the_clusters_own(refuses):
    def twice(auth):
        auth["jwt"][1]["issuer"]["url"] = auth["jwt"][0]["issuer"]["url"]
    refuses("twice", twice)
    refuses("own", issuer(url=API_AUDIENCE))

    def discovery(auth):
        for entry in auth["jwt"]:
            entry["issuer"].pop("jwksFile")
            entry["issuer"]["discoveryURL"] = "https://d.example.com/.well-known/openid-configuration"
    refuses("another issuer", discovery)


def readyz(gate):
    with gate.ops() as c:
        return c.get("/readyz?verbose").text


@pytest.mark.attack("96")
def test_a_file_that_cannot_be_used_changes_nothing(tmp_path, site):
    """Invalid, empty, cut, no file at all, a folder, unreadable as text: the old configuration serves on."""
    gate = Gate(tmp_path / "gate", jwt=[site.entry(URL_A, "a", "a:")])
    with gate:
        good = site.rsa.token(site.claims())
        with open(gate.config_path, encoding="utf-8") as f:
            text = f.read()
        broken = {
            "invalid": text.replace("https://a.example.com", "http://a.example.com"),
            "empty": "", "space": "\n\n", "cut": text[:len(text) // 2], "no YAML": "[", "doubled": text + text,
            "unknown key": text + "new: 1\n", "NUL": text + "\0",
            "another kind": text.replace("PortcullisConfiguration", "Secret"),
            "tokens for anybody": text.replace("- kubernetes\n", "- \"\"\n"),
        }
        assert all(b != text for b in broken.values())
        for n, (what, bad) in enumerate(broken.items()):
            with open(gate.config_path + ".new", "w", encoding="utf-8") as f:
                f.write(bad)
            os.replace(gate.config_path + ".new", gate.config_path)
            gate.wait_audit("config.rejected", after=n)
            assert gate.accepted(good)["username"] == "a:jane", what
            assert "stale since" in readyz(gate), what
        rejected = gate.metric("portcullis_config_reloads_total", what="config", result="rejected")
        assert rejected >= len(broken)
        os.unlink(gate.config_path)
        gate.reload()
        gate.wait_audit("config.rejected", after=len(broken))
        assert gate.accepted(good)["username"] == "a:jane"
        os.mkdir(gate.config_path)
        gate.reload()
        gate.wait_audit("config.rejected", after=len(broken) + 1)
        assert gate.accepted(good)["username"] == "a:jane"
        os.rmdir(gate.config_path)
        loaded = len(gate.audit("config.loaded"))
        gate.write_config()
        gate.wait_audit("config.loaded", after=loaded)
        assert "stale" not in readyz(gate)


@pytest.mark.attack("96")
def test_files_of_a_mounted_volume_are_swapped_at_once(tmp_path, site):
    """A key set behind `..data`, as Kubernetes mounts it: the swap is seen, and a bad one changes nothing."""
    volume = tmp_path / "volume"
    for name, doc in (("..1", tokens.jwks(site.rsa)), ("..2", tokens.jwks(site.b)), ("..3", {"keys": []})):
        os.makedirs(volume / name)
        os.replace(site.write(f"volume{name}", doc), volume / name / "keys.json")

    def swap(name):
        os.symlink(name, volume / "..new")
        os.replace(volume / "..new", volume / "..data")

    swap("..1")
    os.symlink("..data/keys.json", volume / "keys.json")
    entry = site.entry(URL_A, "a", "a:")
    entry["issuer"]["jwksFile"] = str(volume / "keys.json")
    with Gate(tmp_path / "gate", jwt=[entry]) as gate:
        assert gate.accepted(site.rsa.token(site.claims()))
        swap("..2")
        wait_until(lambda: gate.user_of(site.b.token(site.claims())), "the new keys")
        assert gate.user_of(site.rsa.token(site.claims())) is None
        n = len(gate.audit("config.rejected"))
        swap("..3")
        gate.wait_audit("config.rejected", after=n)
        assert gate.user_of(site.b.token(site.claims()))["username"] == "a:jane"
        assert gate.user_of(site.rsa.token(site.claims())) is None
