"""Networks: every sentence of drivers/networks.py, on each implementation.

The class may be imported by a suite that has a real host: it asks for a fixture `bench` with a `lan`, the name of a libvirt
network with DHCP that nobody else uses.
"""

from __future__ import annotations

import pytest

from provisioner.drivers.networks import Networks
from provisioner.model.errors import Conflict, HypervisorError, InvalidInput, NotFound, Unsupported
from provisioner.model.network import AddressReservation, NetworkFacts, Publication
from provisioner.planning.addresses import choose_address
from templates.networks import filter_xml
from tests.contract.hypervisors import LIMIT_S, Bench

ONE, OTHER = "52:54:00:00:10:01", "52:54:00:00:10:02"


def look(bench: Bench) -> NetworkFacts:
    """The network of the bench."""
    found = bench.hypervisor.networks.look(bench.lan)
    assert found is not None
    return found


def free_address(bench: Bench, mac_address: str = ONE) -> str:
    """One that nobody has."""
    found = choose_address(look(bench), mac_address=mac_address, name=mac_address)
    assert found is not None
    return found


def reserved(bench: Bench) -> dict[str, tuple[str, str]]:
    """Address and name by MAC address, of those that these tests make."""
    return {
        known.mac_address: (known.address, known.name)
        for known in look(bench).reservations
        if known.mac_address in (ONE, OTHER)
    }


class TestNetworks:
    @pytest.fixture(autouse=True)
    def released(self, bench):
        """Nothing stays reserved."""
        yield
        for mac_address in (ONE, OTHER):
            bench.hypervisor.networks.release(bench.lan, mac_address=mac_address)

    def test_a_network_shows_what_it_is(self, bench):
        found = look(bench)
        assert found.name == bench.lan
        assert found.bridge
        assert found.subnets[0].gateway
        assert found.subnets[0].prefix == 24
        assert found.subnets[0].ranges

    def test_a_network_that_is_not_there_is_none(self, bench):
        assert bench.hypervisor.networks.look(bench.name()) is None

    def test_the_survey_shows_it_too(self, bench):
        networks = {network.name: network for network in bench.hypervisor.inventory.survey(bench.rules).networks}
        found = look(bench)
        assert (networks[bench.lan].forward, networks[bench.lan].bridge) == (found.forward, found.bridge)

    def test_a_reservation_is_made_once(self, bench):
        address = free_address(bench)
        for _ in range(2):
            bench.hypervisor.networks.reserve(
                bench.lan, AddressReservation(mac_address=ONE, address=address, name="vm-1.tests")
            )
        assert reserved(bench) == {ONE: (address, "vm-1.tests")}

    def test_a_reservation_of_the_same_mac_address_is_replaced(self, bench):
        first = free_address(bench)
        bench.hypervisor.networks.reserve(bench.lan, AddressReservation(mac_address=ONE.upper(), address=first))
        second = free_address(bench, OTHER)
        assert second != first
        bench.hypervisor.networks.reserve(bench.lan, AddressReservation(mac_address=ONE, address=second, name="vm-1.tests"))
        assert reserved(bench) == {ONE: (second, "vm-1.tests")}

    def test_an_address_and_a_name_are_one_machines_only(self, bench):
        networks, first = bench.hypervisor.networks, free_address(bench)
        networks.reserve(bench.lan, AddressReservation(mac_address=ONE, address=first, name="vm-1.tests"))
        second = free_address(bench, OTHER)
        with pytest.raises(Conflict):
            networks.reserve(bench.lan, AddressReservation(mac_address=OTHER, address=first, name="vm-2.tests"))
        with pytest.raises(Conflict):
            networks.reserve(bench.lan, AddressReservation(mac_address=OTHER, address=second, name="vm-1.tests"))
        assert reserved(bench) == {ONE: (first, "vm-1.tests")}

    def test_only_a_network_that_is_there_has_reservations(self, bench):
        with pytest.raises(NotFound):
            bench.hypervisor.networks.reserve(bench.name(), AddressReservation(mac_address=ONE, address="192.168.122.5"))

    def test_a_reservation_goes_twice(self, bench):
        networks = bench.hypervisor.networks
        networks.reserve(bench.lan, AddressReservation(mac_address=ONE, address=free_address(bench)))
        for _ in range(2):
            networks.release(bench.lan, mac_address=ONE)
            assert reserved(bench) == {}
        networks.release(bench.name(), mac_address=ONE)

    def test_a_filter_is_defined_again_and_goes_twice(self, bench):
        networks, name = bench.hypervisor.networks, bench.name(".filter")
        if "networks.filters" in bench.gaps:
            with pytest.raises(Unsupported):
                networks.define_filter(name, filter_xml(name, ports=(), whole=True, allows_icmp=True))
        else:
            for ports in ((22,), (22, 80)):
                networks.define_filter(name, filter_xml(name, ports=ports, whole=False, allows_icmp=True))
            networks.define_filter(name, filter_xml(name, ports=(), whole=True, allows_icmp=False))
        for _ in range(2):
            networks.undefine_filter(name)

    def test_what_is_no_filter_is_refused(self, bench):
        bench.needs("networks.filters")
        with pytest.raises((InvalidInput, HypervisorError)):
            bench.hypervisor.networks.define_filter(bench.name(), "<network/>")

    def test_a_publication_is_made_once_and_goes_twice(self, bench):
        networks, wanted = bench.hypervisor.networks, publication(bench)
        if "networks.publish" in bench.gaps:
            _says_why(networks, wanted)
            return
        for _ in range(2):
            networks.publish(wanted, timeout_s=LIMIT_S)
            assert wanted.table in networks.published(timeout_s=LIMIT_S)
        for _ in range(2):
            networks.withdraw(wanted, timeout_s=LIMIT_S)
            assert wanted.table not in networks.published(timeout_s=LIMIT_S)


def _says_why(networks: Networks, wanted: Publication) -> None:
    """A host that cannot publish says so to every wish."""
    for call in (networks.publish, networks.withdraw):
        with pytest.raises(Unsupported) as raised:
            call(wanted, timeout_s=LIMIT_S)
        assert raised.value.why
    with pytest.raises(Unsupported):
        networks.published(timeout_s=LIMIT_S)
    assert networks.filters_bridges(timeout_s=LIMIT_S) is None


def publication(bench: Bench) -> Publication:
    """One that harms nobody: its addresses are of networks for documents."""
    return Publication(
        name=bench.name(),
        guest_address="198.51.100.57",
        subnet="198.51.100.0/24",
        bridge="virbr-none",
        external_address="203.0.113.17",
        ports=(22,),
    )
