"""The API client of rbac-sync through the proxy that a kubeconfig names, and past those that the environment names."""
import pytest

from support import kubeconfig, pki
from support.fake_apiserver import FakeApiserver
from support.forward_proxy import ForwardProxy
from support.kube_probe import KubeProbe

BINDING = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/b"
OBJECT = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "b"},
          "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": []}
AUTH = ("me", "hunter2:x")


@pytest.fixture
def api(tmp_path):
    a = FakeApiserver(tmp_path / "pki")
    yield a
    a.stop()


def config(tmp_path, api, proxy_url=None):
    path = kubeconfig.write(str(tmp_path / "config"), f"https://localhost:{api.port}", api.ca, token="secret-token")
    if proxy_url:
        text = open(path, encoding="utf-8").read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("server:", f"proxy-url: '{proxy_url}'\n    server:", 1))
    return path


def ask(tmp_path, path, env=None):
    with KubeProbe(tmp_path / "probe", path, env=env) as p:
        got = p.ask("apply", BINDING, OBJECT)
        return got, p.log()


@pytest.mark.parametrize("auth", [None, AUTH])
@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
def test_the_proxy_of_the_kubeconfig(tmp_path, api, kind, auth):
    pair = api.ca.server("proxy", sans=("IP:127.0.0.1",))  # not localhost: each handshake has its own name
    with ForwardProxy(kind, pair, auth) as proxy:
        url = proxy.url("me:hunter2%3Ax@" if auth else "")
        got, _ = ask(tmp_path, config(tmp_path, api, url))
        assert got["answer"] == "ok", got
        assert proxy.asked == [("localhost", api.port)]  # the proxy looks the name up
        assert not any("secret-token" in head for head in proxy.heads)
    assert api.seen("PATCH")[0].token == "secret-token"


@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
def test_a_proxy_that_refuses_is_told_without_its_password(tmp_path, api, kind):
    pair = api.ca.server("proxy", sans=("IP:127.0.0.1",))
    with ForwardProxy(kind, pair, AUTH) as proxy:
        got, log = ask(tmp_path, config(tmp_path, api, proxy.url("me:hunter3@")))
        assert (got["answer"], got["status"]) == ("later", 0)
        assert "hunter" not in got["why"] + log
    assert not api.requests


def test_a_proxy_with_anothers_certificate(tmp_path, api):
    """Of an authority that is trusted, but not for this name; then of one that is not trusted."""
    for pair in (api.ca.server("localhost", sans=("DNS:localhost",)),
                 pki.CA(tmp_path / "other", "other").server("proxy", sans=("IP:127.0.0.1",))):
        with ForwardProxy("https", pair) as proxy:
            got, _ = ask(tmp_path, config(tmp_path, api, proxy.url()))
            assert got["answer"] == "later"
            assert not proxy.asked
    assert not api.requests


def test_the_environment_names_no_proxy(tmp_path, api):
    with ForwardProxy("http") as proxy:
        env = {k: proxy.url() for k in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy")}
        got, _ = ask(tmp_path, config(tmp_path, api), env)
        assert got["answer"] == "ok" and not proxy.asked
        # Nor does it name those that are reached without one.
        got, _ = ask(tmp_path, config(tmp_path, api, proxy.url()), {"no_proxy": "*", "NO_PROXY": "localhost"})
        assert got["answer"] == "ok" and proxy.asked
