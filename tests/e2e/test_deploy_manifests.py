"""The manifests of deploy/rbac-sync are what a real apiserver takes, unknown fields refused."""
import glob
import os

import pytest
import yaml

from support.apiserver import ApiServer
from support.kubectl import Kubectl
from support.paths import TOP

FILES = sorted(os.path.basename(p) for p in glob.glob(os.path.join(TOP, "deploy", "rbac-sync", "*.yaml")))
# Kinds that came with a later version than the oldest that is supported.
LATER = {"ValidatingAdmissionPolicy": (1, 30), "ValidatingAdmissionPolicyBinding": (1, 30)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, etcd_server):
    with ApiServer(tmp_path_factory.mktemp("manifests"), etcd_server) as api:
        api.namespace("portcullis-system")
        yield api


def for_version(doc, version):
    """As the comment in flowschema.yaml says."""
    if doc["apiVersion"] == "flowcontrol.apiserver.k8s.io/v1" and version < (1, 29):
        v = "v1beta3" if version >= (1, 26) else "v1beta2" if version >= (1, 23) else "v1beta1"
        doc["apiVersion"] = f"flowcontrol.apiserver.k8s.io/{v}"
        limited = doc["spec"].get("limited")
        if limited and version < (1, 26):
            limited["assuredConcurrencyShares"] = limited.pop("nominalConcurrencyShares")
    return doc


@pytest.mark.parametrize("name", FILES)
def test_the_apiserver_takes_it(cluster, tmp_path, name):
    admin = Kubectl(tmp_path, cluster, "admin", pair=cluster.admin)
    with open(os.path.join(TOP, "deploy", "rbac-sync", name), encoding="utf-8") as f:
        for doc in yaml.safe_load_all(f):
            text = yaml.safe_dump(for_version(doc, cluster.version))
            got = admin("apply", "--dry-run=server", "--validate=true", "-f", "-", stdin=text)
            known = cluster.version >= LATER.get(doc["kind"], (0, 0))
            assert (got.returncode == 0) is known, got.stderr
            assert known or "no matches for kind" in got.stderr


def test_the_definition_applied_again_is_unchanged(cluster, tmp_path):
    admin = Kubectl(tmp_path, cluster, "admin", pair=cluster.admin)
    crd = os.path.join(TOP, "deploy", "rbac-sync", "crd.yaml")
    admin.ok("apply", "-f", crd)
    assert "unchanged" in admin.ok("apply", "-f", crd)


def test_an_unknown_field_would_be_told(cluster, tmp_path):
    admin = Kubectl(tmp_path, cluster, "admin", pair=cluster.admin)
    with open(os.path.join(TOP, "deploy", "rbac-sync", "deployment.yaml"), encoding="utf-8") as f:
        (doc,) = [d for d in yaml.safe_load_all(f) if d["kind"] == "Deployment"]
    doc["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    got = admin("apply", "--dry-run=server", "--validate=true", "-f", "-", stdin=yaml.safe_dump(doc))
    assert got.returncode != 0 and "readynessProbe" in got.stderr
