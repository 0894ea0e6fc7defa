"""The hypervisor contract in the GPU host in a box: real IOMMU groups and drivers, and a console over SSH.

Only the classes that need such a host: the others run on a libvirtd of this machine (tests/libvirt). KVM is proven by every VM
that the other end-to-end tests start, and proving it takes half a minute in a box, so that sentence is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioner.drivers.libvirt import LibvirtConnector
from provisioner.lab import HostInABox
from provisioner.model.gpu_host import GpuRule
from tests.contract.hypervisors import Bench
from tests.contract.test_hypervisor import TestInventory
from tests.contract.test_hypervisor_console import TestConsole
from tests.contract.test_hypervisor_devices import TestDevices

__all__ = ["TestConsole", "TestDevices", "TestInventory"]

BOCHS = (GpuRule(ids=("1234:1111",)),)


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
