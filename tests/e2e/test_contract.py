"""The hypervisor contract in the GPU host in a box: real IOMMU groups and drivers, and a console over SSH.

Only what needs such a host: the rest runs on a libvirtd of this machine (tests/libvirt). KVM is proven by every VM that the
other end-to-end tests start, and proving it takes half a minute in a box, so that sentence is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioner.drivers.libvirt import LibvirtConnector
from provisioner.lab import HostInABox
from provisioner.model.gpu_host import GpuRule
from tests.contract import test_hypervisor_console as console_contract
from tests.contract import test_hypervisor_networks as networks_contract
from tests.contract.hypervisors import Bench
from tests.contract.test_hypervisor import TestInventory
from tests.contract.test_hypervisor_devices import TestDevices
from tests.contract.test_hypervisor_examination import TestExamination
from tests.contract.test_hypervisor_heirs_of_parts import TestHeirsOfDevices

__all__ = ["TestDevices", "TestExamination", "TestHeirsOfDevices", "TestInventory"]

BOCHS = (GpuRule(ids=("1234:1111",)),)


class TestConsoleOverSsh:
    """Two sentences of many: that it works from afar, both ways, and is let go."""

    test_what_is_typed_comes_back = console_contract.TestConsole.test_what_is_typed_comes_back
    test_one_at_a_time = console_contract.TestConsole.test_one_at_a_time


class TestNetworksFromAfar:
    """A reservation in a network that runs, and a publication by a program that is sent over SSH."""

    released = networks_contract.TestNetworks.released
    test_a_reservation_is_made_once = networks_contract.TestNetworks.test_a_reservation_is_made_once
    test_a_publication_is_made_once_and_goes_twice = (
        networks_contract.TestNetworks.test_a_publication_is_made_once_and_goes_twice
    )


@pytest.fixture(scope="module")
def connector() -> Iterator[LibvirtConnector]:
    """One connector for all tests, as a controller has it."""
    made = LibvirtConnector()
    yield made
    made.close()


@pytest.fixture
def bench(box: HostInABox, connector: LibvirtConnector) -> Iterator[Bench]:
    """The box."""
    made = Bench.for_host(
        box.uri,
        connector,
        domain_type="kvm",
        network="default",
        rules=BOCHS,
        gaps=frozenset({"inventory.prove_kvm"}),
    )
    yield made
    made.clean()
