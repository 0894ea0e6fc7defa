"""What a name of a network becomes on a host, and how a VM on it is reached from outside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provisioner.model.domain_names import mac_address
from provisioner.model.gpu_host import GPUHost, HostNetwork, NetworkMapping
from provisioner.model.virtual_machine import NetworkReference, VirtualMachine
from provisioner.planning.fleet import Fleet
from provisioner.planning.networks import (
    attachment,
    interfaces_of,
    missing_networks,
    outward_of,
    primary_mac,
    unpublishable,
    why_unpublishable,
)
from provisioner.planning.placement import NoPlacement, Placement, place
from provisioner.planning.requests import PlacementRequest
from tests.unit.planning.factory import host, vm

NETWORKS = (
    HostNetwork(name="default", active=True, forward="nat", bridge="virbr0"),
    HostNetwork(name="routed", active=True, forward="route", bridge="virbr1"),
    HostNetwork(name="open", active=True, forward="open", bridge="virbr2"),
    HostNetwork(name="ovs", active=True, forward="bridge", bridge="ovsbr0"),
    HostNetwork(name="macvtap", active=True, forward="bridge"),
    HostNetwork(name="passthrough", active=True, forward="passthrough"),
    HostNetwork(name="lonely", active=True, forward="", bridge="virbr3"),
    HostNetwork(name="off", active=False, forward="nat"),
)
MAPPINGS = {
    "public": NetworkMapping(bridge="br0"),
    "lan": NetworkMapping(direct="eth1"),
    "tenant": NetworkMapping(network="routed"),
    "absent": NetworkMapping(bridge="br9"),
}


def where(**spec: Any) -> GPUHost:
    """A host with networks of every kind."""
    return host("a", spec={"networks": MAPPINGS, **spec}, networks=NETWORKS, interfaces=("br0", "eth1", "ovsbr0"))


def machine(*names: str, **spec: Any) -> VirtualMachine:
    """A VM on these networks."""
    return vm(networks=tuple(NetworkReference(name=name) for name in names), **spec)


@pytest.mark.parametrize(
    ("name", "kind", "source", "way"),
    [
        ("default", "network", "default", "nat"),
        ("routed", "network", "routed", "routed"),
        ("open", "network", "open", "routed"),
        ("ovs", "network", "ovs", "bridged"),
        ("macvtap", "network", "macvtap", "direct"),
        ("passthrough", "network", "passthrough", "direct"),
        ("lonely", "network", "lonely", "isolated"),
        ("public", "bridge", "br0", "bridged"),
        ("lan", "direct", "eth1", "direct"),
        ("tenant", "network", "routed", "routed"),
        ("unknown", "network", "unknown", "nat"),
    ],
)
def test_a_name_is_what_the_host_says(name: str, kind: str, source: str, way: str) -> None:
    found = attachment(name, where())
    assert (found.name, found.kind, found.source, found.way) == (name, kind, source, way)


def test_each_network_becomes_an_interface_with_an_address_of_its_own() -> None:
    wanted = machine("lan", "default", "public")
    found = interfaces_of(wanted, where())
    assert [(each.kind, each.source) for each in found] == [("direct", "eth1"), ("network", "default"), ("bridge", "br0")]
    assert [each.mac_address for each in found] == [mac_address(wanted.metadata.uid, index=index) for index in range(3)]
    assert {each.filter_name for each in found} == {""}


def test_a_vm_that_names_no_network_gets_the_hosts_own() -> None:
    assert [each.source for each in interfaces_of(machine(), where(network="public"))] == ["br0"]
    assert interfaces_of(machine(), where(network="")) == ()


def test_hikube_reaches_the_guest_by_the_first_network_that_is_not_direct() -> None:
    wanted = machine("lan", "default")
    assert primary_mac(wanted, where()) == mac_address(wanted.metadata.uid, index=1)
    assert primary_mac(machine("lan"), where()) == ""


def test_only_the_bridged_interface_of_an_external_vm_has_a_filter() -> None:
    wanted = machine("default", "public", external=True)
    assert [each.filter_name for each in interfaces_of(wanted, where())] == ["", "hikube-default.me"]
    assert [each.filter_name for each in interfaces_of(machine("routed", external=True), where())] == [""]


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("default", "public", "lan"), []),
        (("off",), ["network off is not active"]),
        (("nope",), ["network nope does not exist"]),
        (("absent",), ["network absent is bridge br9, which does not exist"]),
    ],
)
def test_what_the_host_lacks_is_named(names: tuple[str, ...], why: list[str]) -> None:
    assert [so for _, so in missing_networks(names, where())] == why


def test_a_host_whose_interfaces_are_not_known_is_believed() -> None:
    unknown = host("a", spec={"networks": MAPPINGS}, networks=NETWORKS)
    assert list(missing_networks(("absent", "default"), unknown)) == []


def test_a_vm_on_direct_networks_alone_cannot_be_reached_by_its_host() -> None:
    ((name, why),) = missing_networks(("lan",), where())
    assert name == "lan"
    assert why.startswith("network lan is direct, where the host cannot reach its guests")


@pytest.mark.parametrize(
    ("names", "method", "addresses", "outside"),
    [
        (("default",), "PortList", (), None),
        (("default",), "PortList", ("203.0.113.17",), "default"),
        (("default", "public"), "PortList", (), "public"),
        (("default", "public"), "PortList", ("203.0.113.17",), "default"),
        (("lonely", "routed"), "PortList", (), "routed"),
        (("default", "lan"), "PortList", (), None),
        (("default", "lan"), "WholeIP", (), "lan"),
    ],
)
def test_the_way_outside_is_the_first_network_that_leads_there(
    names: tuple[str, ...], method: str, addresses: tuple[str, ...], outside: str | None
) -> None:
    found = outward_of(machine(*names, external=True, external_method=method), where(external_addresses=addresses))
    assert (None if found is None else found[1].name) == outside


def test_a_host_whose_external_addresses_are_taken_refuses_whoever_needs_one() -> None:
    able = where(external_addresses=("203.0.113.17",))
    taken = Fleet.of([able], external_addresses={"somebody": "203.0.113.17"})
    wanted = PlacementRequest(vcpus=1, memory_mib=1024, owner_uid="me", external="PortList")
    answer = place(wanted, taken)
    assert isinstance(answer, NoPlacement)
    assert (answer.reason, answer.sentence()) == ("InsufficientExternalAddresses", "1 host: 0 of 1 external addresses free")
    assert isinstance(place(replace(wanted, owner_uid="somebody"), taken), Placement), "it is its own"
    assert isinstance(place(replace(wanted, external=""), taken), Placement), "it needs none"
    assert isinstance(place(replace(wanted, networks=("public",)), taken), Placement), "it needs none there"
    assert isinstance(place(wanted, Fleet.of([where()])), Placement), "a host without any takes it, and it says so itself"


def test_what_cannot_be_published_names_what_to_configure() -> None:
    nat, direct = machine("default", external=True), machine("lan", external=True)
    assert (
        why_unpublishable(nat, where()) == "network `default` on host `a` is NAT, and the host's spec has no externalAddresses"
    )
    assert "use WholeIP, or a bridge" in why_unpublishable(direct, where())
    assert "isolated" in why_unpublishable(machine("lonely", external=True), where())
    assert "`lonley` does not exist" in why_unpublishable(machine("lonley", external=True), where())
    assert why_unpublishable(machine("default"), where()) == "", "it does not ask"
    able = where(external_addresses=("203.0.113.17",))
    assert unpublishable(nat, [where(), able]) == "", "one host can"
    assert unpublishable(nat, [where()])
    assert unpublishable(nat, []) == "", "nothing is known without a host"
