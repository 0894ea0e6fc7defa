"""The chart through the real helm, into a real API server: what it refuses in which words, what it installs, keeps, removes."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator

import pytest
import yaml

from tests.documents import ROOT
from tests.kubernetes import rbac_page
from tests.kubernetes.charts import CHART, CRDS_APART, EVERYTHING, NAMESPACE, Document, Helm, of_kind, only
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubectl import Kubectl
from tests.tools import binaries

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SMALL = ("--values", str(ROOT / "tests" / "kubernetes" / "values" / "small.yaml"))
VALUES = {"default": (), "everything": EVERYTHING, "small": SMALL, "kubevirt": ("--set=kubevirt.enabled=true",)}
NOT_SERVED = "monitoring.coreos.com/"
"""The Prometheus operator's kinds are its own."""

each_values = pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())


@pytest.fixture(scope="module")
def helm(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def bare(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster of its own: without our kinds, for a chart that brings them."""
    plane = ControlPlane(tmp_path_factory.mktemp("bare"))
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


@pytest.fixture(scope="module")
def administrator(bare: ControlPlane) -> Kubectl:
    kubectl = Kubectl(bare, namespace=NAMESPACE, kubeconfig=bare.kubeconfig)
    kubectl.ok("create", "namespace", NAMESPACE)
    kubectl.ok("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    return kubectl


@pytest.fixture(scope="module")
def installer(bare: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("installer"), kubeconfig=bare.kubeconfig)


@each_values
def test_helm_finds_nothing_to_criticise(helm, values):
    assert "0 chart(s) failed" in helm.ok("lint", "--strict", str(CHART), *values)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("replicas=0", "at '/replicas': minimum: got 0, want 1"),
        ("replicas=many", "at '/replicas': got string, want integer"),
        ("replica=2", "at '': additional properties 'replica' not allowed"),
        ("image.tga=1", "at '/image': additional properties 'tga' not allowed"),
        ("image.repository=hikube:1.0", "at '/image/repository': 'hikube:1.0' does not match pattern"),
        ("image.digest=sha256:12", "at '/image/digest': 'sha256:12' does not match pattern"),
        ("image.pullPolicy=Sometimes", "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'"),
        ("image.tag=latest", "image.tag is latest: replicas that start at different times would run different versions"),
        ("controller.logFormat=xml", "at '/controller/logFormat': value must be one of 'json', 'text'"),
        ("controller.workers=65", "at '/controller/workers': maximum: got 65, want 64"),
        ("controller.terminationGracePeriodSeconds=30", "minimum: got 30, want 75"),
        ("networkPolicy.hosts.cidrs[0]=gpu-1", "at '/networkPolicy/hosts/cidrs/0': 'gpu-1' does not match pattern"),
        ("networkPolicy.hosts.ports[0]=0", "at '/networkPolicy/hosts/ports/0': minimum: got 0, want 1"),
        ("networkPolicy.enabled=ja", "at '/networkPolicy/enabled': got string, want boolean"),
        ("resources.limits=null", "at '/resources': missing property 'limits'"),
        ("resources.limits.memory=lots", "at '/resources/limits/memory': 'lots' does not match pattern"),
        ("tables.gpus=x", "at '/tables': additional properties 'gpus' not allowed"),
        ("ssh.secretName=GPU_Hosts", "at '/ssh/secretName': 'GPU_Hosts' does not match pattern"),
        ("class=GPU", "at '/class': 'GPU' does not match pattern"),
        ("cache.sizeLimit=big", "at '/cache/sizeLimit': 'big' does not match pattern"),
    ],
)
def test_a_value_that_cannot_be_is_refused_and_named(helm, value, says):
    version = binaries.kubernetes_version()
    said = helm("template", "hikube", str(CHART), "--kube-version", version, f"--set={value}")
    assert said.code != 0
    assert says in said.err


def test_its_version_of_the_application_is_that_of_the_package():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_it_goes_into_one_namespace_only(helm):
    version = binaries.kubernetes_version()
    said = helm("template", "hikube", str(CHART), "--kube-version", version, "--namespace", "default")
    assert said.code != 0
    assert "hikube is installed into the namespace hikube-system, not default" in said.err


def test_every_value_has_its_place_in_the_schema(helm):
    """A default that the schema does not know would be refused, so this is the other way round: nothing in it is idle."""
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert schema.keys() - {"global"} == values.keys()
    for name, value in values.items():
        if isinstance(value, dict) and "properties" in schema[name]:
            assert schema[name]["properties"].keys() == value.keys(), name


@each_values
def test_an_api_server_takes_what_it_renders(helm, kinds, values):
    if not kinds.admin.answers(f"/api/v1/namespaces/{NAMESPACE}"):
        kinds.make_namespace(NAMESPACE)
    kubectl = Kubectl(kinds, namespace=NAMESPACE, kubeconfig=kinds.kubeconfig)
    served = [each for each in helm.rendered(*values) if not each["apiVersion"].startswith(NOT_SERVED)]
    answer = kubectl.ok(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--filename", "-", stdin=_text(served)
    )
    assert answer.count("server dry run") == len(served)
    assert len(served) >= 3


def test_the_definitions_are_those_of_the_model_and_stay(helm):
    definitions = of_kind(helm.rendered(), "CustomResourceDefinition")
    assert {each["metadata"]["annotations"].pop("helm.sh/resource-policy") for each in definitions} == {"keep"}
    for each in definitions:
        if not each["metadata"]["annotations"]:
            del each["metadata"]["annotations"]
    generated = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "deploy" / "crds").glob("*.yaml"))]
    by_name = {each["metadata"]["name"]: each for each in definitions}
    assert by_name == {each["metadata"]["name"]: each for each in generated}


def test_what_is_switched_off_is_not_there(helm):
    kinds = {each["kind"] for each in helm.rendered(*SMALL)}
    assert kinds == {"ServiceAccount", "Deployment", "Service"}


def test_optional_parts_are_there_when_asked_for(helm):
    documents = helm.rendered(*EVERYTHING)
    pod = only(documents, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"].startswith("registry.example.com:5000/gpu/hikube@sha256:")
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/home/hikube/.ssh", "/etc/hikube/tables.d"}
    assert only(documents, "ConfigMap", "hikube-tables-gpu")["data"].keys() == {"instance-types.yaml"}
    assert only(documents, "ServiceMonitor")["spec"]["endpoints"][0]["port"] == "http"
    assert only(documents, "PrometheusRule")["spec"] == yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
    dashboards = {path.name: path.read_text() for path in (ROOT / "deploy" / "grafana").glob("*.json")}
    assert only(documents, "ConfigMap", "hikube-dashboards-gpu")["data"] == dashboards
    assert only(documents, "ClusterRoleBinding", "hikube-controller-gpu-kubevirt")
    ports = [port["port"] for rule in only(documents, "NetworkPolicy")["spec"]["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 6443, 22, 16514, 443]


def test_controllers_of_two_classes_share_a_cluster(helm):
    """Nothing of one is the other's, but for what they have in common and bring once."""
    common = ("--set=crds.install=false", "--set=rbac.userRoles=false")
    other = helm.rendered("--set=class=gpu", *common)
    names = {(each["kind"], each["metadata"]["name"]) for each in other}
    assert not names & {(each["kind"], each["metadata"]["name"]) for each in helm.rendered()}
    assert only(other, "Role")["rules"][1]["resourceNames"] == ["hikube-controller-gpu"]
    (container,) = only(other, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert "--class=gpu" in container["args"]


def test_it_is_installed_changed_and_taken_away_and_what_users_have_stays(installer, administrator):
    installer.ok("install", "hikube", str(CHART))
    administrator.ok("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=30s")
    assert "GPUHost" in administrator.ok("explain", "gpuhosts")
    host = {
        "apiVersion": "hikube.cloud/v1alpha1",
        "kind": "GPUHost",
        "metadata": {"name": "gpu-1"},
        "spec": {"uri": "test:///default"},
    }
    administrator.ok("apply", "--filename", "-", stdin=json.dumps(host))

    installer.ok("upgrade", "hikube", str(CHART), "--set=replicas=3", "--set=tables.own\\.yaml=gpus: []")
    deployment = json.loads(administrator.ok("get", "deployment", "hikube-controller", "--output=json"))
    assert deployment["spec"]["replicas"] == 3
    assert json.loads(administrator.ok("get", "configmap", "hikube-tables", "--output=json"))["data"] == {
        "own.yaml": "gpus: []"
    }
    installer.ok("rollback", "hikube", "1")
    assert administrator.ok("get", "configmaps", "--output=name") in ("", "configmap/kube-root-ca.crt\n")

    installer.ok("uninstall", "hikube")
    assert administrator.ok("get", "deployments,services,networkpolicies,roles", "--output=name") == ""
    assert administrator.ok("get", "gpuhosts", "--output=name") == "gpuhost.hikube.cloud/gpu-1\n"
    installer.ok("install", "hikube", str(CHART))
    installer.ok("uninstall", "hikube")
    assert "gpu-1" in administrator.ok("get", "gpuhosts", "--output=name")


def test_where_the_definitions_were_applied_by_hand_helm_takes_them_over_when_told(kinds, tmp_path):
    if not kinds.admin.answers(f"/api/v1/namespaces/{NAMESPACE}"):
        kinds.make_namespace(NAMESPACE)
    installer = Helm(tmp_path, kubeconfig=kinds.kubeconfig)
    refused = installer("install", "hikube", str(CHART))
    assert refused.code != 0
    assert "cannot be imported into the current release" in refused.err
    installer.ok("install", "hikube", str(CHART), *CRDS_APART)
    installer.ok("uninstall", "hikube")
    installer.ok("install", "hikube", str(CHART), "--take-ownership")
    installer.ok("uninstall", "hikube")
    kubectl = Kubectl(kinds, namespace=NAMESPACE, kubeconfig=kinds.kubeconfig)
    assert "gpuhosts" in kubectl.ok("get", "customresourcedefinitions", "--output=name")


@pytest.mark.parametrize("values", [(), EVERYTHING], ids=["default", "everything"])
def test_its_pods_are_of_the_strictest_standard(helm, administrator, values):
    documents = helm.rendered(*values, *CRDS_APART)
    account = only(documents, "ServiceAccount")
    administrator.ok("apply", "--filename", "-", stdin=json.dumps(account))
    pod = only(documents, "Deployment")["spec"]["template"]
    pod["metadata"]["name"] = "one"
    made = {"apiVersion": "v1", "kind": "Pod", **pod}
    administrator.ok("create", "--dry-run=server", "--filename", "-", stdin=json.dumps(made))
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    refused = administrator("create", "--dry-run=server", "--filename", "-", stdin=json.dumps(made))
    assert 'violates PodSecurity "restricted' in refused.err
    administrator.ok("delete", "--filename", "-", stdin=json.dumps(account))


def test_the_plain_manifests_are_installed_by_kubectl_alone(administrator):
    files = [str(ROOT / "deploy" / part) for part in ("crds", "manifests")]
    arguments = [f"--filename={path}" for path in files]
    administrator.ok("apply", "--server-side", "--force-conflicts", *arguments)
    assert "hikube-controller" in administrator.ok("get", "deployments", "--output=name")
    again = administrator.ok("apply", "--server-side", *arguments)
    assert "created" not in again
    administrator.ok("delete", "deployment", "hikube-controller")


def _text(documents: list[Document]) -> str:
    return "---\n".join(json.dumps(each) + "\n" for each in documents)


def test_the_chart_has_no_copy_of_what_is_generated_elsewhere():
    aims = {path.name: path.resolve() for path in (CHART / "files").iterdir()}
    deploy = ROOT / "deploy"
    assert aims == {
        "crds": deploy / "crds",
        "alerts.yaml": deploy / "prometheus" / "alerts.yaml",
        "grafana": deploy / "grafana",
    }


def test_a_package_of_it_holds_what_the_tree_links_to(helm, tmp_path):
    """Whoever has the package has no tree beside it."""
    helm.ok("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("*.tgz")
    version = binaries.kubernetes_version()
    rendered = helm.ok("template", "hikube", str(package), "--kube-version", version, *EVERYTHING)
    assert list(yaml.safe_load_all(rendered)) == list(yaml.safe_load_all(helm.text(*EVERYTHING)))


def test_each_rule_says_why_and_the_page_of_rights_says_the_same(helm):
    text = helm.text(*rbac_page.VALUES)
    roles = of_kind([each for each in yaml.safe_load_all(text) if each], "Role", "ClusterRole")
    assert [each.rule for each in rbac_page.explained(text)] == [rule for role in roles for rule in role["rules"]]
    assert {each.role for each in rbac_page.explained(text)} == rbac_page.ROLES.keys()
    assert rbac_page.PAGE.read_text() == rbac_page.page(text), "run python -m tests.kubernetes.rbac_page"
