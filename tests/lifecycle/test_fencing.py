"""A deposed leader changes nothing any more, in the store, on a host or in a guest; the next one finishes its work."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from provisioner.clocks import ManualClock
from provisioner.drivers.guest.protocol import Guests
from provisioner.drivers.hypervisor import Console, Devices, Domains, Hypervisor, Inventory
from provisioner.drivers.machine_cluster import MachineCluster
from provisioner.drivers.networks import Networks
from provisioner.drivers.records import Records
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.machine_cluster_driver import SimulatedClusterConnector, SimulatedClusters
from provisioner.drivers.volumes import Volumes
from provisioner.lifecycle.assembly import behind, controller_of
from provisioner.lifecycle.fencing import CLUSTER_LOOKS, LOOKS, FencedClusters, FencedConnector
from provisioner.model.errors import ControllerBusy
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Key
from provisioner.store.faults import METHODS
from provisioner.store.fenced import FencedStore
from provisioner.store.protocol import Event
from tests.lifecycle.world import World, vm_yaml

PARTS: dict[str, type[Any]] = {
    "": Hypervisor,
    "inventory": Inventory,
    "volumes": Volumes,
    "devices": Devices,
    "domains": Domains,
    "networks": Networks,
    "console": Console,
    "records": Records,
}
READS = {"get", "list", "watch", "events"}
GUEST_LOOKS = {"report"}


class Fence:
    """Open for so many calls."""

    def __init__(self, *, lets_through: int) -> None:
        self.left = lets_through
        self.refused = 0

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.refused += 1
            raise ControllerBusy("deposed")


def changes(world: World) -> list[str]:
    """Calls of hosts and guests that change something, in order."""
    looks = {f"{part}.{name}" if part else name for part, names in LOOKS.items() for name in names} | {
        "guests.report",
        "connect",
    }
    return [call.name for call in world.fleet.calls if call.name not in looks and not call.name.startswith("images.")]


@pytest.mark.parametrize("lets_through", [0, 1, 2, 5, 9, 14, 20, 27, 35, 44, 50])
def test_wherever_leadership_ends_nothing_more_is_changed_and_the_next_one_finishes(world, lets_through):
    world.host("a").settle().apply(vm_yaml("first"))
    fence = Fence(lets_through=lets_through)
    deposed = controller_of(behind(world.ports, fence), workers=0)
    deposed.run_until(lambda: fence.refused > 0, timeout_s=600)
    assert fence.refused
    done, stored = changes(world), world.store.snapshot()
    deposed.run_until(lambda: False, timeout_s=900)
    assert changes(world) == done
    assert world.store.snapshot() == stored
    world.start_controller()
    world.settle()
    assert world.is_ready("first")
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []


def test_a_leader_that_was_in_doubt_goes_on_where_it_was(world):
    world.host("a").settle().apply(vm_yaml("first"))
    fence = Fence(lets_through=20)
    leader = controller_of(behind(world.ports, fence), workers=0)
    leader.run_until(lambda: fence.refused > 3, timeout_s=600)
    assert not world.is_ready("first")
    fence.left = 10**6
    assert leader.run_until(lambda: world.is_ready("first"), timeout_s=3600)


def test_every_call_of_a_host_that_is_not_known_to_look_only_is_refused(world):
    world.host("a")
    host = FencedConnector(world.ports.connector, Fence(lets_through=0)).connect("simulated://a")
    for part, protocol in PARTS.items():
        fenced = getattr(host, part) if part else host
        for name in _methods(protocol) - LOOKS[part]:
            with pytest.raises(ControllerBusy):
                getattr(fenced, name)()
    assert changes(world) == []


def test_what_is_said_to_look_only_exists():
    assert set(LOOKS) == set(PARTS)
    assert {part: names - _methods(PARTS[part]) for part, names in LOOKS.items() if names - _methods(PARTS[part])} == {}


def test_a_cluster_can_only_be_looked_at_by_who_does_not_lead():
    clusters = SimulatedClusters(SimulatedFleet(ManualClock()).world)
    clusters.add("k")
    cluster = FencedClusters(SimulatedClusterConnector(clusters), Fence(lets_through=0)).connect("kubevirt://k")
    assert CLUSTER_LOOKS[""] <= _methods(MachineCluster)
    for name in _methods(MachineCluster) - CLUSTER_LOOKS[""]:
        with pytest.raises(ControllerBusy):
            getattr(cluster, name)()
    assert cluster.owned() == ()


def test_of_a_guest_only_its_report_can_be_had(world):
    guests = behind(world.ports, Fence(lets_through=0)).guests
    for name in _methods(Guests) - GUEST_LOOKS:
        with pytest.raises(ControllerBusy):
            getattr(guests, name)(None, timeout_s=1.0)


def test_every_write_of_the_store_is_refused_and_every_read_is_not(world):
    fence = Fence(lets_through=0)
    world.host("a")
    store, host = FencedStore(world.store, fence), world.store.get(GPUHost, "a")
    writes = {
        "create": lambda: store.create(host),
        "update": lambda: store.update(host),
        "update_status": lambda: store.update_status(host),
        "delete": lambda: store.delete(host.key),
        "record": lambda: store.record(Event(Key("GPUHost", "", "a"), "Normal", "Told", "something")),
    }
    assert set(writes) | READS == METHODS
    before = world.store.snapshot()
    for write in writes.values():
        with pytest.raises(ControllerBusy):
            write()
    assert world.store.snapshot() == before
    assert store.get(GPUHost, "a") == host
    assert store.watch(store.list(GPUHost).version, timeout_s=0) == ()
    assert store.events() == ()


def _methods(protocol: type[Any]) -> set[str]:
    found = inspect.getmembers(protocol, inspect.isfunction)
    return {name for name, _ in found if not name.startswith("_")}
