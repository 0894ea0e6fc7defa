"""The chart's rules are what is needed and no more: the controller lives under them, and the audit log is held against them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.model.vm_disk import KEEP_DISK_ANNOTATION
from tests.contract.image_server import ImageServer
from tests.contract.stores import eventually
from tests.disk_images import qcow2
from tests.kubernetes.audit import FORBIDDEN, Right, requests, rights_of
from tests.kubernetes.charts import NAMESPACE, OF_POLICIES, OF_RBAC, Document, Helm, applied, of_kind
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubectl import Kubectl, Printed
from tests.kubernetes.replicas import Replicas
from tests.kubernetes.stores import empty, store_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

READY_LIMIT_S = 90
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:hikube-controller"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF8hCP4Rd2gAxlvVYFD2uTJ1N0yPPLyjFcPg7gPCj9Qq test"
KEPT = "left-over"
MACHINE = f"""
apiVersion: apps.cozystack.io/v1alpha1
kind: VirtualMachine
metadata:
  name: train
  annotations: {{{KEEP_DISK_ANNOTATION}: {KEPT}}}
spec:
  running: true
  instanceType: u1.large
  gpus: [{{name: nvidia.com/AD102GL_L40S}}]
  systemDisk: {{image: ubuntu, size: 40Gi}}
  sshKeys: ["{KEY}"]
"""
WITH_DISKS = """
apiVersion: apps.cozystack.io/v1alpha1
kind: VMDisk
metadata: {{name: system}}
spec: {{source: {{http: {{url: "{url}"}}}}, storage: 40Gi}}
---
apiVersion: apps.cozystack.io/v1alpha1
kind: VMInstance
metadata: {{name: serve}}
spec:
  runStrategy: Always
  instanceType: u1.large
  gpus: [{{name: nvidia.com/AD102GL_L40S}}]
  disks: [{{name: system}}]
  sshKeys: ["{key}"]
"""
QUOTA = """
apiVersion: hikube.cloud/v1alpha1
kind: GPUQuota
metadata: {name: team}
spec: {hard: {gpus: 2}}
"""
NOT_UNDERSTOOD = """
apiVersion: apps.cozystack.io/v1alpha1
kind: Kubernetes
metadata: {name: learning}
spec: {nodeGroups: {gpu: {minReplicas: 0, maxReplicas: 1, instanceType: u1.large, gpus: [{name: nvidia.com/L4OS}]}}}
---
apiVersion: apps.cozystack.io/v1alpha1
kind: KubernetesNodes
metadata: {name: learning-more}
spec: {cluster: learning, minReplicas: 0, maxReplicas: 1, instanceType: u1.large, gpus: [{name: nvidia.com/L4OS}]}
"""
"""There is no such GPU, which the API server cannot know."""
_EXPIRED = "where a watch begins anew, its version having expired: that of a kind of which little happens"
_FOLLOWED = (
    *(("apps.cozystack.io", each) for each in ("kuberneteses", "kubernetesnodeses")),
    *(("hikube.cloud", each) for each in ("gpuhistories", "images")),
    ("", "secrets"),
)
RARE = {Right(group, resource, "list"): _EXPIRED for group, resource in _FOLLOWED}
"""Rights that such a life need not use, and when they are used."""


@pytest.fixture(scope="module")
def roles(kinds: ControlPlane, tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Document]]:
    """The chart's rules and policies in the cluster, and nothing else of it."""
    documents = of_kind(Helm(tmp_path_factory.mktemp("helm")).rendered(), *OF_RBAC, *OF_POLICIES)
    with applied(kinds, documents):
        yield documents


@pytest.fixture
def replicas(kinds: ControlPlane, roles: list[Document], namespace: str, tmp_path: Path) -> Iterator[Replicas]:
    """Two, under the service account of the chart."""
    kubeconfig = kinds.kubeconfig_of_service_account("hikube-controller", namespace=NAMESPACE)
    made = Replicas(kinds, tmp_path, count=2, kubeconfig=kubeconfig)
    yield made
    made.stop()
    kinds.heal()
    with store_of(kinds) as store:
        empty(store, kinds)


@pytest.fixture
def image_server() -> Iterator[ImageServer]:
    """What a tenant's URL leads to."""
    server = ImageServer(content=qcow2(4 << 30))
    yield server
    server.close()


@pytest.fixture
def tenant(kubectl: Kubectl, roles: list[Document]) -> Kubectl:
    """Somebody who may edit her namespace, as Kubernetes has it, and has no other rights."""
    return somebody(kubectl, "alice", "edit", may=("create", "virtualmachines"))


def somebody(kubectl: Kubectl, name: str, role: str, *, may: tuple[str, str]) -> Kubectl:
    """A user with that role of the cluster in the test's namespace, as soon as the role has what it is made of."""
    kubectl.ok("create", "rolebinding", name, f"--clusterrole={role}", f"--user={name}")
    user = kubectl.as_user(name)
    assert eventually(lambda: user("auth", "can-i", *may).code == 0)
    return user


def lives(tenant: Kubectl, manifest: str, machine: str) -> None:
    """Applied, Ready, deleted, gone."""
    tenant.ok("apply", "--filename", "-", stdin=manifest)
    limit = f"--timeout={READY_LIMIT_S}s"
    tenant.ok("wait", "--for=condition=Ready", machine, limit, limit_s=READY_LIMIT_S + 10)
    tenant.ok("delete", "--filename", "-", limit, stdin=manifest, limit_s=READY_LIMIT_S + 10)


def is_told_so(tenant: Kubectl, manifest: str, *words: str) -> None:
    """Applied, not understood, deleted."""
    tenant.ok("apply", "--filename", "-", stdin=manifest)
    tenant.ok("wait", "--for=condition=Accepted=false", *words, f"--timeout={READY_LIMIT_S}s", limit_s=READY_LIMIT_S + 10)
    tenant.ok("delete", "--filename", "-", stdin=manifest)


def test_the_controller_lives_under_the_rules_of_the_chart_and_needs_every_one(
    replicas, roles, tenant, kubectl, kinds, image_server
):
    begin = kinds.audit_log.stat().st_size
    leader = replicas.start()
    kubectl.ok("apply", "--filename", "-", stdin=QUOTA)
    kubectl.ok("patch", "gpuhosts", "l40s-1", "--type=merge", "--patch", json.dumps({"spec": {"refreshIntervalS": 200}}))
    lives(tenant, MACHINE, "virtualmachine/train")
    is_told_so(tenant, NOT_UNDERSTOOD, "kubernetes/learning", "kubernetesnodes/learning-more")
    tenant.ok("delete", f"vmdisk/{KEPT}", f"--timeout={READY_LIMIT_S}s", limit_s=READY_LIMIT_S + 10)
    leader.stop()
    follower = replicas.wait_for_leader(among=[each for each in replicas.all if each is not leader])
    lives(tenant, WITH_DISKS.format(url=image_server.url, key=KEY), "vminstance/serve")
    claims = lambda: kubectl.ok("get", "gpuclaims", "--output=name")  # noqa: E731
    follower.wait_until(lambda: claims() == "", "a GPU is not free", limit_s=READY_LIMIT_S)
    follower.stop()
    heard = [each for each in requests(kinds.audit_log, since=begin) if each.user == ACCOUNT]
    assert [each for each in heard if each.status == FORBIDDEN] == []
    used, allowed = {each.right for each in heard}, rights_of(roles, "hikube-controller")
    assert used <= allowed
    unused = allowed - used - RARE.keys()
    assert not unused, f"never used: {', '.join(sorted(map(str, unused)))}"
    assert RARE.keys() <= allowed
    leases = {(each.namespace, each.name) for each in heard if each.right.resource == "leases" and each.right.verb != "create"}
    assert leases == {(NAMESPACE, "hikube-controller")}


TENANTS = ("virtualmachines", "vminstances", "vmdisks", "kuberneteses", "kubernetesnodeses")
READ, WRITE = ("get", "list", "watch"), ("create", "update", "patch", "delete", "deletecollection")
COMMANDS_OF_OPERATORS = (
    "host add gpu-9 test:///default --no-wait",
    "host list",
    "describe host/gpu-9",
    "gpu list",
    "image list",
    "get vm --all-namespaces",
    "get quota --all-namespaces",
    "events",
    "delete host/gpu-9",
)
OPERATORS = ("gpuhosts", "gpuclaims", "gpuhistories", "images")


def allowed_to(user: Kubectl, verbs: tuple[str, ...], resources: tuple[str, ...], *more: str) -> set[tuple[str, str]]:
    """Which of these the API server would let somebody do."""
    return {(verb, each) for verb in verbs for each in resources if user("auth", "can-i", verb, each, *more).code == 0}


def test_whoever_may_edit_a_namespace_writes_vms_there_and_nowhere_else(tenant):
    every = {(verb, each) for verb in (*READ, *WRITE) for each in TENANTS}
    assert allowed_to(tenant, (*READ, *WRITE), TENANTS) == every
    assert allowed_to(tenant, ("list", "create"), ("virtualmachines", "vmdisks"), "--namespace=default") == set()
    assert allowed_to(tenant, ("list",), ("virtualmachines",), "--all-namespaces") == set()


def test_a_tenant_says_nothing_of_what_became_of_a_vm_and_has_no_gpus_but_through_it(tenant, kubectl):
    kubectl.ok("apply", "--filename", "-", stdin=QUOTA)
    assert allowed_to(tenant, WRITE, ("virtualmachines", "vmdisks"), "--subresource=status") == set()
    assert allowed_to(tenant, ("get", "create", "delete"), OPERATORS) == set()
    assert allowed_to(tenant, (*READ, *WRITE), ("gpuquotas",)) == {(verb, "gpuquotas") for verb in READ}
    tenant.ok("get", "gpuquotas", "team")
    tenant.ok("apply", "--filename", "-", stdin=MACHINE)
    ready = json.dumps({"status": {"phase": "Ready"}})
    refused = tenant("patch", "virtualmachine/train", "--subresource=status", "--type=merge", f"--patch={ready}")
    assert 'virtualmachines.apps.cozystack.io "train" is forbidden' in refused.err
    raised = tenant("patch", "gpuquota/team", "--type=merge", "--patch", json.dumps({"spec": {"hard": {"gpus": 99}}}))
    assert 'cannot patch resource "gpuquotas"' in raised.err
    tenant.ok("delete", "virtualmachine/train", "--wait=false")
    kubectl.ok("delete", "gpuquota/team")


@pytest.mark.parametrize("annotation", ["hikube.cloud/identity", "hikube.cloud/accepted"])
def test_a_tenant_cannot_say_that_her_vm_is_another_one(tenant, kubectl, annotation):
    def annotate(user: Kubectl, value: str, *more: str) -> Printed:
        return user("annotate", "virtualmachine/train", f"{annotation}{value}", *more)

    tenant.ok("apply", "--filename", "-", stdin=MACHINE)
    assert eventually(lambda: "is set by hikube alone" in annotate(tenant, "=forged", "--dry-run=server").err)
    forged = MACHINE.replace("annotations: {", f"annotations: {{{annotation}: forged, ").replace("train", "other")
    assert "is set by hikube alone" in tenant("apply", "--filename", "-", stdin=forged).err
    assert annotate(kubectl, "=known").code == 0
    assert "is set by hikube alone" in annotate(tenant, "=forged", "--overwrite").err
    assert tenant("label", "virtualmachine/train", "team=red").code == 0
    assert (annotate(tenant, "-").code == 0) == (annotation == "hikube.cloud/accepted")
    kubectl.ok("delete", "virtualmachine/train")


def test_whoever_may_view_a_namespace_sees_its_vms_and_changes_none(kubectl, roles):
    viewer = somebody(kubectl, "vera", "view", may=("get", "virtualmachines"))
    assert allowed_to(viewer, ("list", "create", "delete"), (*TENANTS, "gpuquotas")) == {
        ("list", each) for each in (*TENANTS, "gpuquotas")
    }


def test_an_operator_has_hosts_images_and_quotas_and_writes_no_vm(kubectl, roles, namespace, replicas, kinds):
    kubectl.ok("create", "clusterrolebinding", f"{namespace}-operator", "--clusterrole=hikube-operator", "--user=olga")
    olga = kubectl.as_user("olga")
    assert len(allowed_to(olga, ("list", "create", "delete"), ("gpuhosts", "images", "gpuquotas"))) == 9
    assert allowed_to(olga, ("get", "create", "delete"), ("virtualmachines",)) == {("get", "virtualmachines")}
    assert allowed_to(olga, ("get", "create"), ("gpuclaims", "secrets")) == {("get", "gpuclaims")}
    for command in COMMANDS_OF_OPERATORS:
        done = replicas(*command.split(), kubeconfig=kinds.kubeconfig_of("olga"))
        assert done.returncode == 0, f"hikube {command}: {done.stderr}"
    kubectl.ok("delete", "clusterrolebinding", f"{namespace}-operator")
