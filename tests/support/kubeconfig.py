"""Writes kubeconfig files, and renders those of deploy/ for a test's paths."""
import os

import yaml

from . import yamlio
from .paths import TOP

DEPLOYED = "/etc/kubernetes/portcullis"  # where deploy/ puts things on a control-plane host


def write(path, server, ca, pair=None, token=None, name="test"):
    user = {}
    if pair is not None:
        user.update({"client-certificate": pair.crt, "client-key": pair.key})
    if token is not None:
        user["token"] = token
    return yamlio.write(path, {
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority": ca.crt}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name})


def render_deployed(name, path, port, ca, client):
    """deploy/kubeadm/NAME with the port and files of a test in place of the deployed ones."""
    with open(os.path.join(TOP, "deploy", "kubeadm", name), encoding="utf-8") as f:
        text = f.read()
    for old, new in ((f"{DEPLOYED}/pki/ca.crt", ca.crt),
                     (f"{DEPLOYED}/pki/apiserver-client.crt", client.crt),
                     (f"{DEPLOYED}/pki/apiserver-client.key", client.key),
                     ("https://127.0.0.1:8443/", f"https://127.0.0.1:{port}/")):
        assert old in text, f"deploy/kubeadm/{name} does not name {old}"
        text = text.replace(old, new)
    assert DEPLOYED not in text, f"deploy/kubeadm/{name} names a path no test replaced"
    yaml.safe_load(text)
    return yamlio.write(path, text)
