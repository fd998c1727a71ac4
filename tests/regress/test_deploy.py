"""Every file of deploy/ is well-formed, says what its reader accepts, and fits the others."""
import glob
import itertools
import json
import os
import re
import shutil

import pytest
import yaml

from support import pki
from support.paths import TOP, program, tool
from support.proc import run

DEPLOY = os.path.join(TOP, "deploy")


def path(*names):
    return os.path.join(DEPLOY, *names)


def load(*names):
    with open(path(*names), encoding="utf-8") as f:
        return yaml.safe_load(f)


def only(have, allowed, where):
    unknown = set(have) - set(allowed)
    assert not unknown, f"{where}: unknown {sorted(unknown)}"


def test_what_the_readme_installs_is_there():
    with open(path("README.md"), encoding="utf-8") as f:
        block = f.read().split("## Into place", 1)[1].split("```")[1]
    named = re.findall(r"\bdeploy/[\w./*-]+", block)
    assert len(named) > 6
    for name in named:
        assert glob.glob(os.path.join(TOP, name)), name
    prefix = re.search(r"--prefix=(\S+)", block).group(1)
    for unit in UNITS:
        with open(path("systemd", unit), encoding="utf-8") as f:
            assert f"ExecStart={prefix}/sbin/" in f.read()


def test_alerts_name_metrics_that_there_are():
    """And labels that they have."""
    with open(os.path.join(TOP, "docs", "rbac-sync.md"), encoding="utf-8") as f:
        block = f.read().split("### Alerts", 1)[1].split("```yaml")[1].split("```")[0]
    with open(os.path.join(TOP, "docs", "metrics.md"), encoding="utf-8") as f:
        rows = dict(re.findall(r"^\| `(\w+)` \| \w+ \|([^|]*)\|", f.read(), re.MULTILINE))
    (group,) = yaml.safe_load(block)["groups"]
    for rule in group["rules"]:
        named = re.findall(r"(portcullis_\w+?)(?:_bucket)?(?:\{(\w+)|[^\w{]|$)", rule["expr"])
        assert named, rule
        for metric, label in named:
            assert metric in rows, rule
            assert not label or f"`{label}`" in rows[metric], rule


# --- systemd ---

UNITS = ["portcullisd.service", "portcullis-rbac-sync.service"]


@pytest.fixture
def units(tmp_path):
    """The units as systemd-analyze can check them where the programs are not installed."""
    for name in UNITS:
        with open(path("systemd", name), encoding="utf-8") as f:
            text = re.sub(r"/usr/sbin/portcullis[a-z-]*", "/bin/true", f.read())
        with open(tmp_path / name, "w", encoding="utf-8") as f:
            f.write(text)
    return tmp_path


@pytest.mark.parametrize("name", UNITS)
def test_unit_is_valid(units, name):
    # Ours and those of packages, but nothing that this machine enables: it tells of their faults, too.
    folders = f"{units}:/usr/lib/systemd/system:/lib/systemd/system"
    got = run([tool("systemd-analyze"), "verify", "--man=no", units / name], env={"SYSTEMD_UNIT_PATH": folders})
    ours = [line for line in got.stderr.splitlines() if name in line]
    assert got.returncode == 0 and not ours, got.stderr


@pytest.mark.parametrize("name", UNITS)
def test_unit_is_hardened(units, name):
    """Exposure at most 1.5 of 10."""
    got = run([tool("systemd-analyze"), "security", "--offline=true", "--threshold=15", units / name])
    assert got.returncode == 0, got.stdout[-2000:]


@pytest.mark.parametrize("name", UNITS)
def test_unit_starts_a_program_of_ours_with_a_config_of_the_examples(name):
    with open(path("systemd", name), encoding="utf-8") as f:
        start = re.search(r"^ExecStart=(.*)$", f.read(), re.MULTILINE).group(1).split()
    assert start[0] == f"/usr/sbin/{name[:-len('.service')]}"
    program(os.path.basename(start[0]))
    assert start[1] == "--config"
    assert os.path.exists(path("examples", os.path.basename(start[2])))


def test_sysusers_make_the_users_of_the_units(tmp_path):
    made = set()
    with open(path("systemd", "portcullis.sysusers"), encoding="utf-8") as f:
        for line in f:
            if line.startswith(("u ", "g ")):
                made.add(tuple(line.split()[:2]))
    for name in UNITS:
        with open(path("systemd", name), encoding="utf-8") as f:
            text = f.read()
        assert ("u", re.search(r"^User=(.*)$", text, re.MULTILINE).group(1)) in made
        assert ("g", re.search(r"^Group=(.*)$", text, re.MULTILINE).group(1)) in made
    (tmp_path / "etc").mkdir()
    got = run([tool("systemd-sysusers"), f"--root={tmp_path}", path("systemd", "portcullis.sysusers")])
    assert got.returncode == 0, got.stderr
    passwd = (tmp_path / "etc" / "passwd").read_text()
    assert "portcullis:" in passwd and "portcullis-rbac-sync:" in passwd


def test_tmpfiles_lines_are_well_formed():
    with open(path("systemd", "portcullis.tmpfiles"), encoding="utf-8") as f:
        lines = [x.split() for x in f if x.strip() and not x.startswith("#")]
    assert lines
    for kind, where, mode, user, group, age in lines:
        assert kind == "d" and where.startswith("/") and re.fullmatch(r"[0-7]{4}", mode)
        assert user in ("root", "portcullis", "portcullis-rbac-sync") and group in ("root", "portcullis") and age == "-"
        assert not int(mode, 8) & 0o007 or user == "root", f"{where} is open to others"


# --- static pod ---

def test_static_pod_is_restricted_where_it_can_be():
    pod = load("static-pod", "portcullisd.yaml")
    assert (pod["apiVersion"], pod["kind"]) == ("v1", "Pod")
    spec = pod["spec"]
    assert spec["hostNetwork"] is True and spec["automountServiceAccountToken"] is False
    assert spec["priorityClassName"] == "system-node-critical"
    assert pod["metadata"]["namespace"] == "kube-system"
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (c,) = spec["containers"]
    security = c["securityContext"]
    assert security["readOnlyRootFilesystem"] is True and security["capabilities"] == {"drop": ["ALL"]}
    assert security["allowPrivilegeEscalation"] is False and not security.get("privileged")
    ops = load("examples", "portcullis.yaml")["ops"]["listen"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        get = c[probe]["httpGet"]
        assert f"{get['host']}:{get['port']}" == ops
    mounts = {m["name"]: m for m in c["volumeMounts"]}
    volumes = {v["name"]: v["hostPath"] for v in spec["volumes"]}
    assert set(mounts) == set(volumes)
    for name, host in volumes.items():
        assert host["type"] == "Directory", f"{name}: a single file would pin its inode"
        assert mounts[name]["mountPath"] == host["path"]
    assert mounts["config"]["readOnly"] is True


# --- kubeadm ---

@pytest.mark.parametrize("name,endpoint", [("authn.kubeconfig", "/authenticate"),
                                           ("authz.kubeconfig", "/authorize")])
def test_webhook_kubeconfig(name, endpoint):
    doc = load("kubeadm", name)
    only(doc, ["apiVersion", "kind", "clusters", "users", "contexts", "current-context"], name)
    (cluster,), (user,), (context,) = doc["clusters"], doc["users"], doc["contexts"]
    assert cluster["cluster"]["server"] == f"https://127.0.0.1:8443{endpoint}"
    assert load("examples", "portcullis.yaml")["webhook"]["listen"] == "127.0.0.1:8443"
    only(cluster["cluster"], ["server", "certificate-authority"], name)
    only(user["user"], ["client-certificate", "client-key"], name)
    assert doc["current-context"] == context["name"]
    assert context["context"] == {"cluster": cluster["name"], "user": user["name"]}


def test_authorization_configuration():
    """Field by field against apiserver.config.k8s.io/v1, which is decoded strictly."""
    doc = load("kubeadm", "authorization.yaml")
    only(doc, ["apiVersion", "kind", "authorizers"], "authorization.yaml")
    assert doc["apiVersion"] == "apiserver.config.k8s.io/v1"
    assert doc["kind"] == "AuthorizationConfiguration"
    assert [a["type"] for a in doc["authorizers"]] == ["Node", "Webhook", "RBAC"]
    names = [a["name"] for a in doc["authorizers"]]
    assert len(set(names)) == len(names)
    for a in doc["authorizers"]:
        only(a, ["type", "name", "webhook"], a["name"])
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", a["name"])
        assert ("webhook" in a) == (a["type"] == "Webhook")
    hook = doc["authorizers"][1]["webhook"]
    only(hook, ["authorizedTTL", "unauthorizedTTL", "timeout", "subjectAccessReviewVersion",
                "matchConditionSubjectAccessReviewVersion", "failurePolicy", "connectionInfo",
                "matchConditions"], "webhook")
    assert hook["subjectAccessReviewVersion"] == hook["matchConditionSubjectAccessReviewVersion"] == "v1"
    assert hook["failurePolicy"] in ("NoOpinion", "Deny")
    assert 0 < int(hook["timeout"].rstrip("s")) <= 30
    assert hook["connectionInfo"] == {"type": "KubeConfigFile",
                                      "kubeConfigFile": "/etc/kubernetes/portcullis/authz.kubeconfig"}
    expressions = [m["expression"] for m in hook["matchConditions"]]
    assert len(set(expressions)) == len(expressions) <= 64
    assert all(set(m) == {"expression"} for m in hook["matchConditions"])
    for skipped in ("kubeadm:cluster-admins", "system:masters", "system:nodes",
                    "system:serviceaccounts:kube-system"):
        assert any(f"!('{skipped}' in request.groups)" in e for e in expressions), skipped


def test_kubeadm_fragment_names_the_files_of_this_folder():
    doc = load("kubeadm", "kubeadm-config.yaml")
    assert doc["apiVersion"] == "kubeadm.k8s.io/v1beta4" and doc["kind"] == "ClusterConfiguration"
    only(doc, ["apiVersion", "kind", "apiServer"], "kubeadm-config.yaml")
    server = doc["apiServer"]
    only(server, ["extraArgs", "extraVolumes"], "apiServer")
    args = {}
    for a in server["extraArgs"]:
        only(a, ["name", "value"], "extraArgs")  # v1beta4 has a list, not v1beta3's map
        assert isinstance(a["value"], str)
        args[a["name"]] = a["value"]
    (volume,) = server["extraVolumes"]
    only(volume, ["name", "hostPath", "mountPath", "readOnly", "pathType"], "extraVolumes")
    assert volume["pathType"] == "Directory" and volume["readOnly"] is True
    for flag in ("authorization-config", "authentication-token-webhook-config-file"):
        folder, name = os.path.split(args[flag])
        assert folder == volume["mountPath"]
        assert os.path.exists(path("kubeadm", name))
    assert args["authentication-token-webhook-version"] == "v1"


# --- worker ---

def manifests(name):
    with open(path("rbac-sync", name), encoding="utf-8") as f:
        return {d["kind"]: d for d in yaml.safe_load_all(f)}


@pytest.fixture
def mounted(tmp_path):
    """The Deployment's ConfigMap as its pods see it."""
    for name, text in manifests("deployment.yaml")["ConfigMap"]["data"].items():
        (tmp_path / name).write_text(text)
    return tmp_path


# file, what its head says it was made by
RIGHTS = [("rbac.yaml", "all", "rbac-sync.yaml"), ("rbac-intake.yaml", "intake", "rbac-sync-intake.yaml"),
          ("rbac-reconcile.yaml", "reconcile", None)]


@pytest.mark.parametrize("name,mode,config", RIGHTS)
def test_rights_are_what_the_program_prints_for_the_examples(mounted, name, mode, config):
    where = path("examples", config) if config else mounted / "rbac-sync.yaml"
    got = run([program("portcullis"), "sync", "rbac", "--config", where, "--mode", mode])
    assert got.returncode == 0, got.stderr
    with open(path("rbac-sync", name), encoding="utf-8") as f:
        text = f.read()
    assert re.sub(r"\A(#.*\n)*", "", text) == got.stdout
    # The mode is the configuration's own.
    assert run([program("portcullis"), "sync", "rbac", "--config", where]).stdout == got.stdout


def test_the_deployment_runs_the_examples_templates(mounted):
    assert yaml.safe_load((mounted / "templates.yaml").read_text()) == load("examples", "templates.yaml")


def test_the_deployment_is_fit_for_a_restricted_namespace():
    have = manifests("deployment.yaml")
    space = have["Namespace"]["metadata"]
    assert space["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for doc in have.values():
        assert doc["metadata"].get("namespace", space["name"]) == space["name"]
    spec = have["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    assert spec["replicas"] > 1 and pod["serviceAccountName"] == have["ServiceAccount"]["metadata"]["name"]
    labels = spec["template"]["metadata"]["labels"].items()
    assert spec["selector"]["matchLabels"].items() <= labels
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (c,) = pod["containers"]
    assert c["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                    "capabilities": {"drop": ["ALL"]}}
    (volume,), (mount,) = pod["volumes"], c["volumeMounts"]
    assert volume["configMap"]["name"] == have["ConfigMap"]["metadata"]["name"]
    assert f"{mount['mountPath']}/rbac-sync.yaml" == c["command"][-1]
    (port,) = c["ports"]
    listen = yaml.safe_load(have["ConfigMap"]["data"]["rbac-sync.yaml"])["ops"]["listen"]
    assert listen == f":{port['containerPort']}"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert c[probe]["httpGet"]["port"] == port["name"]


def test_names_of_the_worker_agree():
    """Service account, user and group: in the rights, the admission policy, the flow schemas and the kubeconfigs."""
    account = manifests("deployment.yaml")["ServiceAccount"]["metadata"]
    (subject,) = manifests("rbac-reconcile.yaml")["ClusterRoleBinding"]["subjects"]
    assert (subject["namespace"], subject["name"]) == (account["namespace"], account["name"])
    (intake,) = manifests("rbac-intake.yaml")["ClusterRoleBinding"]["subjects"]
    (whole,) = manifests("rbac.yaml")["ClusterRoleBinding"]["subjects"]
    with open(path("rbac-sync", "flowschema.yaml"), encoding="utf-8") as f:
        flows = [d for d in yaml.safe_load_all(f) if d["kind"] == "FlowSchema"]
    for flow in flows:
        (rule,) = flow["spec"]["rules"]
        named = {s["kind"]: s[s["kind"][0].lower() + s["kind"][1:]] for s in rule["subjects"]}
        assert named["ServiceAccount"] == {"namespace": account["namespace"], "name": account["name"]}
        assert named["User"] == {"name": whole["name"]}
        assert named.get("Group") in (None, {"name": intake["name"]})
    with open(path("rbac-sync", "validating-admission-policy.yaml"), encoding="utf-8") as f:
        policy = f.read()
    assert f"'{whole['name']}'" in policy and f"startsWith('{intake['name']}:')" in policy
    assert load("rbac-sync", "kubeconfig-intake")["users"][0]["name"] == intake["name"]
    assert load("rbac-sync", "kubeconfig")["users"][0]["name"] == whole["name"]


@pytest.mark.parametrize("name", [r[0] for r in RIGHTS])
def test_rights_are_no_more_than_named_verbs_on_named_resources(name):
    with open(path("rbac-sync", name), encoding="utf-8") as f:
        roles = [d for d in yaml.safe_load_all(f) if d["kind"] in ("Role", "ClusterRole")]
    for rule in (r for role in roles for r in role["rules"]):
        assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]
        assert not {"escalate", "impersonate"} & set(rule["verbs"])
        if "bind" in rule["verbs"]:
            assert rule["resourceNames"] and "cluster-admin" not in rule["resourceNames"]


def reviews_of(name):
    """A SubjectAccessReview for each right in the file, as its holder asks for it."""
    with open(path("rbac-sync", name), encoding="utf-8") as f:
        docs = list(yaml.safe_load_all(f))
    roles = {(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]): d["rules"] for d in docs if "rules" in d}
    for binding in (d for d in docs if "roleRef" in d):
        (who,), ref, space = binding["subjects"], binding["roleRef"], binding["metadata"].get("namespace")
        user = {"User": {"user": who["name"]}, "Group": {"user": f"{who['name']}:node-1", "groups": [who["name"]]},
                "ServiceAccount": {"user": f"system:serviceaccount:{who.get('namespace')}:{who['name']}",
                                   "groups": ["system:serviceaccounts"]}}[who["kind"]]
        for rule in roles[(ref["kind"], space, ref["name"])]:
            for group, resource, verb in itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"]):
                for object_ in rule.get("resourceNames", [""]):
                    asked = {"verb": verb, "group": group, "name": object_, "namespace": space or ""}
                    asked["resource"], _, asked["subresource"] = resource.partition("/")
                    spec = {**user, "groups": [*user.get("groups", []), "system:authenticated"], "resourceAttributes": asked}
                    yield {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


@pytest.mark.parametrize("name", [r[0] for r in RIGHTS])
def test_the_example_policy_denies_the_worker_nothing(name):
    """Its rule that protects kube-system would, where no condition of the apiserver keeps the worker out."""
    lines = "".join(json.dumps(r) + "\n" for r in reviews_of(name))
    assert lines
    got = run([program("portcullis"), "policy", "eval", "--policy", path("examples", "policy")], stdin=lines)
    assert got.returncode == 0, got.stderr
    answers = [json.loads(line) for line in got.stdout.splitlines()]
    assert len(answers) == lines.count("\n")
    assert not [a["spec"] for a in answers if a["status"].get("denied")]


# --- examples ---

@pytest.fixture
def installed(tmp_path):
    """The examples with the certificates and secrets an admin puts beside them."""
    etc = tmp_path / "etc"
    shutil.copytree(path("examples"), etc)
    ca = pki.CA(etc / "pki", "client-ca")
    ca.server("server")
    ca.server("login")
    os.makedirs(etc / "secrets")
    with open(etc / "secrets" / "ldap", "w", encoding="ascii") as f:
        f.write("secret\n")
    os.chmod(etc / "secrets" / "ldap", 0o600)
    os.chmod(etc / "tokens.csv", 0o600)
    return etc


def test_example_configuration_passes_the_check(installed):
    got = run([program("portcullis"), "check", "--config", installed / "portcullis.yaml"])
    assert got.returncode == 0, got.stdout + got.stderr


def test_example_policy_passes_its_own_tests(installed):
    got = run([program("portcullis"), "policy", "test", installed / "policy"])
    assert got.returncode == 0, got.stdout + got.stderr


def test_example_templates_and_worker_configuration_are_read(installed, tmp_path):
    """The worker plans with them; only its paths are those of the test."""
    spool = tmp_path / "spool"
    for name in ("tmp", "new", "cur", "dead"):
        (spool / name).mkdir(parents=True)
    config = installed / "rbac-sync.yaml"
    text = config.read_text().replace("/var/lib/portcullis/spool", str(spool))
    config.write_text(text.replace("/etc/portcullis/rbac-sync.kubeconfig", path("rbac-sync", "kubeconfig")))
    got = run([program("portcullis-rbac-sync"), "--config", config, "--once", "--dry-run"])
    assert got.returncode == 0, got.stdout + got.stderr


def test_every_file_is_told_of_in_the_readme():
    with open(path("README.md"), encoding="utf-8") as f:
        text = f.read()
    for folder, _, names in os.walk(DEPLOY):
        if "examples" in folder:
            continue
        for name in names:
            assert name == "README.md" or name in text, os.path.join(folder, name)
