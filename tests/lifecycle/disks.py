"""Words for stories about VMDisks."""

from __future__ import annotations

from provisioner.model.metadata import Condition, find_condition
from provisioner.model.virtual_machine import RunStrategy, VMInstance
from provisioner.model.vm_disk import VMDisk
from tests.lifecycle.world import World

GIB = 2**30
IMAGE = "{image: {name: ubuntu-2404}}"


def disk_yaml(name: str, *, storage: str = "10Gi", source: str = IMAGE, host: str = "", extra: str = "") -> str:
    """A VMDisk; with a host, one that waits for no VM."""
    annotations = f", annotations: {{hikube.cloud/host: {host}}}" if host else ""
    return f"""
apiVersion: apps.cozystack.io/v1alpha1
kind: VMDisk
metadata: {{name: {name}{annotations}}}
spec: {{storage: {storage}, source: {source}{extra}}}
"""


def instance_yaml(name: str, *disks: str) -> str:
    """A VMInstance without GPUs that boots from the first of these disks."""
    return f"""
apiVersion: apps.cozystack.io/v1alpha1
kind: VMInstance
metadata: {{name: {name}}}
spec: {{instanceType: u1.large, disks: [{", ".join(disks)}]}}
"""


def is_ready(world: World, name: str) -> bool:
    """Whether that VMInstance is."""
    found = find_condition(world.vm(name, VMInstance).status.conditions, "Ready")
    return found is not None and found.status == "True"


def why_not_scheduled(world: World, name: str) -> str:
    """What that VMInstance waits for before it takes anything."""
    found = find_condition(world.vm(name, VMInstance).status.conditions, "Scheduled")
    return found.reason if found is not None else ""


def disk_is_ready(world: World, name: str) -> bool:
    """Whether that VMDisk is."""
    return world.disk(name).status.phase == "Ready"


def said_of_disk(world: World, name: str) -> Condition:
    """What that VMDisk says of itself as a whole."""
    found = find_condition(world.disk(name).status.conditions, "Ready")
    assert found is not None
    return found


def power(world: World, name: str, strategy: RunStrategy) -> World:
    """Start or stop that VMInstance."""
    vm = world.vm(name, VMInstance)
    spec = vm.spec.model_copy(update={"run_strategy": strategy})
    world.store.update(vm.model_copy(update={"spec": spec}))
    return world


def volumes(world: World, *, host: str = "a", pool: str = "default") -> list[str]:
    """Names of what lies in a pool, base images left out."""
    with world.fleet.host(host).peek() as state:
        return sorted(name for name in state.pools[pool].volumes if not name.startswith("hikube-base-"))


def events_of(world: World, name: str) -> list[str]:
    """Reasons of what was told of that VMDisk."""
    return [event.reason for event in world.store.events() if event.about.kind == VMDisk.KIND and event.about.name == name]
