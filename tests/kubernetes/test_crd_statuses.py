"""Every status that the controller writes in the lives of VMs, disks, hosts and claims is one that the API server takes.

The lives are lived in virtual time on simulated hosts; what the store in memory held is then written to a real API server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.kinds import KINDS, WORDS
from provisioner.model.metadata import Resource
from provisioner.model.virtual_machine import VMInstance
from provisioner.store.kubernetes.crds.definition import CORE
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.crd_rules import stream
from tests.kubernetes.kubectl import Kubectl
from tests.lifecycle.world import World

HOST = "statuses"
MANIFEST = """
apiVersion: apps.cozystack.io/v1alpha1
kind: VMDisk
metadata: {name: system}
spec: {source: {image: {name: ubuntu-2404}}, storage: 20Gi}
---
apiVersion: apps.cozystack.io/v1alpha1
kind: VMInstance
metadata: {name: instance}
spec: {disks: [system], gpus: [{name: L40S}], instanceType: u1.2xlarge}
---
apiVersion: apps.cozystack.io/v1alpha1
kind: VirtualMachine
metadata: {name: gone}
spec: {gpus: [{name: L40S}], instanceType: u1.2xlarge}
---
apiVersion: apps.cozystack.io/v1alpha1
kind: VirtualMachine
metadata: {name: waiting}
spec: {gpus: [{name: L40S}, {name: L40S}, {name: L40S}], instanceType: u1.2xlarge}
"""


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """One VM that is ready, one that waits, one that was and is gone, so that its GPU has a history."""
    world = World(tmp_path_factory.mktemp("world")).host(HOST, gpus=2)
    world.apply(MANIFEST).settle()
    world.run(lambda: world.vm("instance", VMInstance).status.phase == "Ready")
    world.delete("gone").run(lambda: bool(world.histories()))
    assert world.store.list(GPUClaim).items
    return [resource for kind in KINDS.values() if kind.KIND not in CORE for resource in world.store.list(kind).items]


@pytest.fixture(scope="module")
def stored(kinds: ControlPlane, lived: list[Resource]) -> Iterator[Kubectl]:
    """All of them on the API server, without their statuses."""
    kubectl = Kubectl(kinds, namespace="default", kubeconfig=kinds.kubeconfig)
    objects = stream(*(_as_tenant(resource) for resource in lived))
    try:
        kubectl.ok("create", "-f", "-", stdin=objects)
        yield kubectl
    finally:
        kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=objects)


def _as_tenant(resource: Resource) -> dict[str, Any]:
    written = resource.as_json()
    return {key: written[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": resource.metadata.name}}


def test_the_lives_touched_every_kind_that_has_one(lived: list[Resource]):
    kinds = {resource.KIND for resource in lived}
    assert kinds >= {"VirtualMachine", "VMInstance", "VMDisk", "GPUHost", "GPUClaim", "GPUHistory"}


def test_every_status_is_kept_as_it_was_written(lived: list[Resource], stored: Kubectl):
    for resource in lived:
        status = resource.as_json()["status"]
        where = f"{WORDS[resource.KIND].plural}/{resource.metadata.name}"
        patch = json.dumps({"status": status})
        printed = stored.ok("patch", where, "--subresource=status", "--type=merge", "-p", patch, "-o", "json")
        assert json.loads(printed)["status"] == status, where


def test_a_column_shows_something_of_every_life(lived: list[Resource], stored: Kubectl):
    claims = stored.ok("get", "gpuclaims")
    assert f"{HOST}." in claims
    assert "instance" in claims
    assert "nvidia.com/AD102GL_L40S" in stored.ok("get", "gpuhosts", HOST)
