"""A world that loses its store and adopts its hosts, for the stories of adoption."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.clocks import SeededIdentifiers
from provisioner.drivers.hypervisor import Domain
from provisioner.lifecycle.adoption import Adoption, adopt, plan_adoption
from provisioner.model.machine_record import MachineRecord
from provisioner.store.memory import MemoryStore
from tests.lifecycle.world import World, vm_yaml

URI = "simulated://a"
INSTANCE = """
apiVersion: apps.cozystack.io/v1alpha1
kind: VMDisk
metadata: {name: root}
spec: {source: {image: {name: ubuntu-2404}}, storage: 10Gi}
---
apiVersion: apps.cozystack.io/v1alpha1
kind: VMInstance
metadata: {name: inst}
spec:
  instanceType: u1.large
  disks: [root]
  gpus: [{name: l40s}]
"""


def lose_store(world: World) -> MemoryStore:
    """The store is gone, with everything that a controller remembered; the old one, to compare."""
    old = world.store
    world.store = MemoryStore(clock=world.clock, identifiers=SeededIdentifiers(99))
    world.ports = replace(world.ports, store=world.store)
    world.start_controller()
    return old


def adopted(world: World, *, name: str = "a", uri: str = URI) -> Adoption:
    """The host, adopted."""
    return adopt(plan_adoption(name, uri=uri, ports=world.ports), world.ports)


def domain(world: World, name: str) -> Domain | None:
    """Its domain on host a."""
    return world.ports.connector.connect(URI).domains.look(name)


def boots(world: World, name: str) -> int:
    """How often its domain was started."""
    with world.fleet.host("a").peek() as state:
        return state.domains[name].starts


def record(world: World, name: str) -> MachineRecord:
    """What its domain bears."""
    return MachineRecord.from_text(world.ports.connector.connect(URI).records.read(name))


@pytest.fixture(name="running")
def world_that_lost_its_store(world: World) -> World:
    """A Ready VM on host a, whose store is lost."""
    world.host("a", gpus=2).apply(vm_yaml("first")).settle()
    lose_store(world)
    return world
