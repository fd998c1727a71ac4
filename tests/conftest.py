"""Fixtures shared by regress/ and e2e/."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from support import attacks, etcd, oidc, pki, reasons, samba, slapd  # noqa: E402  pylint: disable=wrong-import-position
from support import kubeconfig  # noqa: E402  pylint: disable=wrong-import-position
from support.fake_apiserver import FakeApiserver  # noqa: E402  pylint: disable=wrong-import-position
from support.rbac_sync import Worker  # noqa: E402  pylint: disable=wrong-import-position
from support.portcullisd import Portcullisd  # noqa: E402  pylint: disable=wrong-import-position


def pytest_make_parametrize_id(config, val, argname):  # pylint: disable=unused-argument
    """Short: the name of the test stands in the environment of each program that it starts, which has a limit."""
    return f"{argname}-of-{len(val)}" if isinstance(val, (str, bytes)) and len(val) > 1000 else None


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    """An authority for whatever needs one."""
    return pki.CA(tmp_path_factory.mktemp("ca"), "test-ca")


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    """A running slapd with the default people. Tests that change or stop it start their own."""
    with slapd.Slapd(tmp_path_factory.mktemp("slapd")) as s:
        yield s


@pytest.fixture(scope="session")
def ad(tmp_path_factory):
    """A running Active Directory domain with the default people. Tests that stop it or change what others read start
    their own."""
    with samba.Samba(tmp_path_factory.mktemp("ad")) as s:
        yield s


@pytest.fixture(scope="session")
def issuer(tmp_path_factory):
    """A running OpenID provider. Tests that change or stop it start their own."""
    with oidc.Issuer(tmp_path_factory.mktemp("issuer")) as i:
        yield i


@pytest.fixture(scope="session")
def etcd_server(tmp_path_factory):
    with etcd.Etcd(tmp_path_factory.mktemp("etcd")) as e:
        yield e


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Keys and issuers for the rows of the table of attacks."""
    return attacks.Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def gate(tmp_path_factory, site):
    """A daemon with the site's issuers. Tests that change it start their own."""
    with attacks.Gate(tmp_path_factory.mktemp("gate"), jwt=site.entries()) as g:
        yield g
    assert g.process.popen.returncode == 0, g.process.tail()


@pytest.fixture(autouse=True)
def _reasons_are_those_of_the_table(request):
    """What a row's page says of reasons is what its tests saw."""
    marks = list(request.node.iter_markers("attack"))
    attacks.Gate.reasons.clear()
    yield
    if marks:
        table = attacks.rows()
        told = {x for m in marks for row in m.args for x in table[row].get("reasons", [])}
        assert attacks.Gate.reasons <= told, attacks.Gate.reasons - told


@pytest.fixture
def daemon(tmp_path):
    """Makes portcullisds; each is stopped when the test ends. A daemon that a sanitizer stopped, or that
    ended badly, fails the test."""
    made = []

    def make(name="portcullisd", start=True, **kw):
        d = Portcullisd(tmp_path / name, **kw)
        made.append(d)
        return d.start() if start else d

    yield make
    bad = []
    for d in made:
        code = d.stop()
        text = ""
        if os.path.exists(d.process.log_path):
            with open(d.process.log_path, encoding="utf-8", errors="replace") as f:
                text = f.read()
        if code not in (0, None, -9) or "Sanitizer" in text or "runtime error:" in text:
            bad.append(f"exit {code}\n{text[-6000:]}")
        bad += [f"unknown reason: {r}" for r in d.audit() if r["type"].startswith("authn.")
                and r.get("reason") not in reasons.words()]
    assert not bad, "\n".join(bad)


@pytest.fixture
def fake_api(tmp_path):
    """A scripted apiserver that serves what the worker asks for."""
    with FakeApiserver(tmp_path / "api") as a:
        yield a


@pytest.fixture
def fake_config(tmp_path, fake_api):
    return kubeconfig.write(tmp_path / "kubeconfig", fake_api.url, fake_api.ca, token="secret-token")


@pytest.fixture
def worker(tmp_path, fake_config):
    """Makes workers against the scripted apiserver; none may end badly or tell a token."""
    made = []

    def make(templates, kubeconfig_path=fake_config, **kw):
        w = Worker(tmp_path / f"worker{len(made)}", kubeconfig_path, list(templates), **kw)
        made.append(w)
        return w

    yield make
    for w in made:
        code = w.stop()
        assert code in (0, None, -9, 1), f"exit {code}\n{w.process.output()}"
        text = w.process.output() if w.process.popen else ""
        assert "Sanitizer" not in text and "runtime error" not in text, text
        assert "secret-token" not in text
