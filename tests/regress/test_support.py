"""What the end-to-end tests rely on when they run against another kube-apiserver: its flags by its version."""
import os

import pytest
import yaml

from support import pki
from support.apiserver import ApiServer, Webhooks, version


class NoEtcd:
    url = "http://127.0.0.1:1"


@pytest.fixture
def flags(tmp_path):
    """Flags for an apiserver that calls itself VERSION."""
    def of(text, **kw):
        fake = tmp_path / "fake-apiserver"
        fake.write_text(f"#!/bin/sh\necho '{text}'\n")
        os.chmod(fake, 0o755)
        ca = pki.CA(tmp_path / "pki")
        api = ApiServer(tmp_path / "api", NoEtcd(),
                        Webhooks(1234, ca, ca.client("kube-apiserver"), **kw), path=str(fake))
        return dict(a[2:].split("=", 1) for a in api.process.argv[1:]), api.version
    return of


def test_before_1_30_by_flags(flags):
    args, v = flags("Kubernetes v1.20.2", authn_version="v1beta1", authz_version="v1beta1")
    assert v == (1, 20)
    assert args["authorization-mode"] == "Webhook,RBAC"
    assert args["authorization-webhook-version"] == "v1beta1"
    assert args["authentication-token-webhook-version"] == "v1beta1"
    assert "authorization-config" not in args


@pytest.mark.parametrize("text,api", [("Kubernetes v1.30.1", "v1beta1"), ("Kubernetes v1.32.0", "v1"),
                                      ("Kubernetes v1.36.2+build", "v1")])
def test_from_1_30_by_the_deployed_configuration(flags, text, api):
    args, _ = flags(text)
    assert not [a for a in args if a.startswith(("authorization-mode", "authorization-webhook"))]
    with open(args["authorization-config"], encoding="utf-8") as f:
        doc = yaml.safe_load(f)
    assert doc["apiVersion"] == f"apiserver.config.k8s.io/{api}"
    hook = doc["authorizers"][1]["webhook"]
    with open(hook["connectionInfo"]["kubeConfigFile"], encoding="utf-8") as f:
        kubeconfig = yaml.safe_load(f)
    assert kubeconfig["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1234/authorize"


def test_a_binary_that_is_none_is_refused(tmp_path):
    with pytest.raises((AssertionError, OSError)):
        version("/bin/true")
