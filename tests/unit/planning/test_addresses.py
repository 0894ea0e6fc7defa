"""Which address a VM gets: nobody else's, the same one again, and none where there is none."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.network import AddressRange, AddressReservation, NetworkFacts, Subnet
from provisioner.planning.addresses import choose_address, choose_external, count_external, has_dhcp, subnet_of

MAC, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"


def network(first: str = "192.168.122.2", last: str = "192.168.122.254", *, prefix: int = 24, **facts: Any) -> NetworkFacts:
    """A NAT network with one range."""
    subnet = Subnet(gateway="192.168.122.1", prefix=prefix, ranges=(AddressRange(first=first, last=last),))
    return NetworkFacts(name="default", active=True, forward="nat", subnets=(subnet,), **facts)


def kept(address: str, mac_address: str = OTHER) -> AddressReservation:
    return AddressReservation(mac_address=mac_address, address=address)


def choose(facts: NetworkFacts, *, name: str = "hikube-default.first", before: str = "") -> str | None:
    return choose_address(facts, mac_address=MAC, name=name, before=before)


def test_the_same_name_gets_the_same_address_and_another_name_another() -> None:
    assert choose(network()) == choose(network())
    assert len({choose(network(), name=f"hikube-default.vm-{number}") for number in range(20)}) > 15


def test_what_is_reserved_for_it_is_its_own_whatever_else_is_said() -> None:
    facts = network(reservations=(kept("192.168.122.9", MAC.upper()),))
    assert choose(facts, before="192.168.122.10") == "192.168.122.9"


def test_the_address_that_it_had_is_kept_unless_somebody_has_it_or_the_network_changed() -> None:
    assert choose(network(), before="192.168.122.77") == "192.168.122.77"
    assert choose(network(reservations=(kept("192.168.122.77"),)), before="192.168.122.77") != "192.168.122.77"
    assert choose(network(leases=(kept("192.168.122.77"),)), before="192.168.122.77") != "192.168.122.77"
    assert choose(network(), before="10.0.0.5") != "10.0.0.5"


def test_a_lease_of_its_own_becomes_its_address() -> None:
    assert choose(network(leases=(kept("192.168.122.66", MAC),))) == "192.168.122.66"


def test_the_last_free_one_is_found_and_then_there_is_none() -> None:
    small = network("192.168.122.10", "192.168.122.13")
    taken = tuple(kept(f"192.168.122.{host}", f"52:54:00:00:01:{host:02x}") for host in (10, 11, 13))
    assert choose(small.model_copy(update={"reservations": taken})) == "192.168.122.12"
    full = small.model_copy(update={"reservations": taken, "leases": (kept("192.168.122.12"),)})
    assert choose(full) is None


def test_neither_the_host_nor_the_ends_of_the_subnet_are_given_out() -> None:
    facts = network("192.168.122.0", "192.168.122.255", prefix=30)  # .0 to .3: .1 is the host's
    assert choose(facts) == "192.168.122.2"


def test_several_ranges_are_one_supply() -> None:
    ranges = (
        AddressRange(first="192.168.122.10", last="192.168.122.10"),
        AddressRange(first="192.168.122.20", last="192.168.122.20"),
    )
    facts = network().model_copy(update={"subnets": (Subnet(gateway="192.168.122.1", prefix=24, ranges=ranges),)})
    first = choose(facts)
    second = choose(facts.model_copy(update={"reservations": (kept(str(first)),)}))
    assert {first, second} == {"192.168.122.10", "192.168.122.20"}


def test_a_network_without_dhcp_gives_nothing() -> None:
    facts = NetworkFacts(name="x", active=True, subnets=(Subnet(gateway="192.168.122.1", prefix=24),))
    assert not has_dhcp(facts)
    assert choose(facts) is None


def test_the_subnet_of_an_address() -> None:
    assert subnet_of(network(), "192.168.122.9") == "192.168.122.0/24"
    assert subnet_of(network(), "10.0.0.9") == ""


@pytest.mark.parametrize(
    ("offered", "taken", "before", "chosen"),
    [
        (("203.0.113.17",), (), "", "203.0.113.17"),
        (("203.0.113.17",), ("203.0.113.17",), "", None),
        (("203.0.113.16/30",), (), "", "203.0.113.17"),
        (("203.0.113.16/30",), ("203.0.113.17",), "", "203.0.113.18"),
        (("203.0.113.16/30",), ("203.0.113.17", "203.0.113.18"), "", None),
        (("203.0.113.16/31",), ("203.0.113.16",), "", "203.0.113.17"),
        (("203.0.113.16/30",), (), "203.0.113.18", "203.0.113.18"),
        (("203.0.113.16/30",), ("203.0.113.18",), "203.0.113.18", "203.0.113.17"),
        (("203.0.113.16/30",), (), "198.51.100.1", "203.0.113.17"),
        ((), (), "203.0.113.18", None),
    ],
)
def test_an_external_address_is_one_vms_only(
    offered: tuple[str, ...], taken: tuple[str, ...], before: str, chosen: str | None
) -> None:
    assert choose_external(offered, taken=taken, before=before) == chosen


def test_how_many_a_host_offers() -> None:
    assert count_external(("203.0.113.17", "203.0.113.32/28")) == 1 + 14
