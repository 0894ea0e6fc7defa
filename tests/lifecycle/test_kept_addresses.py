"""Addresses that stay: chosen once, kept over stops, released on deletion; and networks that a host lacks."""

from __future__ import annotations

import pytest

from provisioner.lifecycle.virtual_machine.network import host_name
from provisioner.model.gpu_host import NetworkMapping
from provisioner.model.metadata import Key
from provisioner.model.network import AddressReservation
from provisioner.model.virtual_machine import Phase, RunStrategy
from tests.lifecycle.wiring import ON_BRIDGE, settings, wires
from tests.lifecycle.world import World, vm_yaml


def test_a_vm_keeps_its_address_over_stop_and_start(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    (kept,) = world.vm("first").status.kept_addresses
    assert (kept.network, kept.address) == ("default", world.vm("first").status.address)
    world.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("first").status.phase is Phase.STOPPED)
    assert [known.address for known in wires(world).reservations["default"]] == [kept.address]
    world.edit("first", run_strategy=RunStrategy.ALWAYS).run(lambda: world.is_ready("first"))
    assert world.vm("first").status.address == kept.address


def test_deletion_releases_it(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    world.delete("first").run(lambda: not world.exists("first"))
    assert wires(world).reservations["default"] == ()
    assert world.leaks() == []


def test_it_is_nobody_elses(world: World) -> None:
    taken = AddressReservation(mac_address="52:54:00:ff:ff:ff", address="192.168.122.30")
    world.host("a", gpus=3)
    with world.fleet.host("a").peek() as state:
        state.wires.reservations["default"] = (taken,)
    for name in ("first", "second", "third"):
        world.apply(vm_yaml(name))
    world.settle()
    addresses = {world.vm(name).status.address for name in ("first", "second", "third")}
    assert len(addresses | {taken.address, "192.168.122.1"}) == 5


def test_a_reservation_that_an_operator_lost_is_made_again_with_the_next_start(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    address = world.vm("first").status.address
    with world.fleet.host("a").peek() as state:
        state.wires.reservations.clear()
        state.leases.clear()
    world.annotate("first", "hikube.cloud/request", "restart:1").run(
        lambda: world.is_ready("first") and world.vm("first").status.handled_request == "restart:1"
    )
    assert world.vm("first").status.address == address


def test_a_bridge_of_the_host_is_asked_for_no_address(world: World) -> None:
    settings(world.host("a"), networks={"public": NetworkMapping(bridge="br0")})
    world.apply(vm_yaml("first", extra=ON_BRIDGE)).settle()
    assert world.is_ready("first")
    assert world.vm("first").status.kept_addresses == ()
    assert world.vm("first").status.address.startswith("198.51.100.")


def test_a_direct_network_may_stand_before_the_one_that_hikube_uses(world: World) -> None:
    settings(world.host("a"), networks={"lan": NetworkMapping(direct="eno1")})
    world.apply(vm_yaml("first", extra="  networks: [{name: lan}, {name: default}]\n")).settle()
    assert world.is_ready("first")
    assert world.vm("first").status.mac_address == world.vm("first").status.kept_addresses[0].mac_address


@pytest.mark.parametrize(
    ("networks", "mapping", "why"),
    [
        ("nowhere", {}, "network nowhere does not exist"),
        ("public", {"public": NetworkMapping(bridge="br9")}, "network public is bridge br9, which does not exist"),
        ("lan", {"lan": NetworkMapping(direct="eno1")}, "network lan is direct, where the host cannot reach its guests"),
    ],
)
def test_a_network_that_the_host_lacks_is_a_reason_to_wait(
    world: World, networks: str, mapping: dict[str, NetworkMapping], why: str
) -> None:
    settings(world.host("a"), networks=mapping)
    world.apply(vm_yaml("first", extra=f"  networks: [{{name: {networks}}}]\n")).pass_time(120)
    waiting = world.condition("first", "Scheduled")
    assert waiting is not None
    assert (waiting.reason, why in waiting.message) == ("NetworkMissing", True), waiting.message


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (Key("VirtualMachine", "default", "first"), "first.default"),
        (Key("VMInstance", "default", "first"), "first.default.vmi"),
        (Key("VirtualMachine", "a", "b-c"), "b-c.a"),
        (Key("VirtualMachine", "default", "1st"), ""),
    ],
)
def test_the_name_in_the_networks_dns_is_no_other_vms(key: Key, name: str) -> None:
    assert host_name(key) == name
