"""The whole on real components: kubectl -> kube-apiserver -> portcullisd -> issuer, directory, policy."""
import itertools
import re

import pytest

from support import oidc, slapd
from support.apiserver import ApiServer, Webhooks
from support.kubectl import Kubectl
from support.portcullisd import Portcullisd

ANN = "ann-secret-2207"  # only in the directory


def policy(generation=1, drop=(), extra=()):
    """The policy of these tests, without the rules named in DROP."""
    rules = [
        {"id": "dev-read", "effect": "allow",
         "subjects": {"groups": ["oidc:dev", "corp:dev"]},
         "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"],
         "namespaces": ["team-a", "team-b"]},
        {"id": "no-contractors", "effect": "deny",
         "subjects": {"groups": ["oidc:contractors", "corp:contractors"]},
         "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "namespaces": ["team-*"],
         "message": "contractors stay out of team namespaces"},
        # Stronger than dev-read for those who are both: RBAC decides.
        {"id": "ops-by-rbac", "effect": "abstain",
         "subjects": {"groups": ["oidc:ops", "corp:ops"]},
         "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "namespaces": ["team-b"]},
    ]
    return {
        "apiVersion": "portcullis.dev/v1alpha1", "kind": "AccessPolicy",
        "metadata": {"name": "e2e", "generation": generation, "allowShrink": True},
        "defaults": {"exempt": {"groups": ["system:nodes"], "users": ["system:kube-*", "system:apiserver"]}},
        "rules": [r for r in rules if r["id"] not in drop] + list(extra),
    }


class Stack:
    """One cluster with Portcullis in front of RBAC."""

    def __init__(self, folder, etcd, issuer, directory, version):
        self.folder, self.issuer, self.directory, self.version = folder, issuer, directory, version
        self._n = itertools.count()
        self._generation = itertools.count(2)
        self.portcullis = Portcullisd(
            folder / "portcullis", policy=policy(), spool=True,
            jwt=[issuer.config()], ldap=[directory.config()]).start()
        self.api = ApiServer(folder / "api", etcd, Webhooks(
            self.portcullis.port, self.portcullis.server_ca, self.portcullis.apiserver,
            version, version)).start()
        for ns in ("team-a", "team-b", "team-c"):
            self.api.namespace(ns)
            self.api.pod(ns, f"pod-of-{ns}")
        # No controller manager runs here to aggregate the rules of "view".
        self.api.patch("/apis/rbac.authorization.k8s.io/v1/clusterroles/view", {"rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]})
        self.admin = Kubectl(folder, self.api, "admin", pair=self.api.admin)

    def stop(self):
        self.api.stop()
        code = self.portcullis.stop()
        assert code == 0, f"portcullisd: exit {code}\n{self.portcullis.process.tail()}"

    # --- people ---
    def token(self, kind, person):
        """By the issuer's code flow, or by POST /login with the directory's password."""
        if kind == "oidc":
            return self.issuer.id_token(person)
        return self.portcullis.login_token(person, self.directory.people[person][0])

    def kubectl(self, kind, person):
        """kubectl of a person who has just logged in."""
        return Kubectl(self.folder, self.api, f"{kind}-{person}-{next(self._n)}",
                       token=self.token(kind, person))

    @staticmethod
    def name(kind, person):
        return f"oidc:{person}@example.com" if kind == "oidc" else f"corp:{person}"

    # --- policy ---
    def set_policy(self, **kw):
        """Loads the policy with the next generation; gives that."""
        generation = next(self._generation)
        self.portcullis.change_policy(policy(generation, **kw))
        return generation

    def generation(self):
        loaded = self.portcullis.audit("policy.loaded")
        return loaded[-1]["policy"]["generation"]


@pytest.fixture(scope="session")
def e2e_issuer(tmp_path_factory):
    with oidc.Issuer(tmp_path_factory.mktemp("e2e-issuer")) as i:
        yield i


@pytest.fixture(scope="session")
def e2e_directory(tmp_path_factory):
    people = dict(slapd.DEFAULT_PEOPLE, ann=(ANN, ["dev"]))
    with slapd.Slapd(tmp_path_factory.mktemp("e2e-slapd"), people=people) as s:
        yield s


@pytest.fixture(scope="session", params=["v1", "v1beta1"])
def stack(request, tmp_path_factory, etcd_server, e2e_issuer, e2e_directory):
    """Once with each API version of the webhooks."""
    s = Stack(tmp_path_factory.mktemp(f"stack-{request.param}"), etcd_server, e2e_issuer,
              e2e_directory, request.param)
    yield s
    s.stop()


def forbidden(got):
    """The text after the colon of kubectl's "Error from server (Forbidden)"."""
    assert got.returncode != 0, got
    m = re.search(r"Error from server \(Forbidden\): (.*)", got.stderr)
    assert m, got.stderr
    return m.group(1)
