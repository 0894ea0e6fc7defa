"""The hypervisor contract on a real libvirtd with real QEMU processes (no IOMMU here, so no devices)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.hypervisors import Bench
from tests.contract.test_hypervisor import TestConnector, TestInventory
from tests.contract.test_hypervisor_console import TestConsole
from tests.contract.test_hypervisor_domains import TestDomains
from tests.contract.test_hypervisor_events import TestEvents
from tests.contract.test_hypervisor_volumes import TestVolumes

__all__ = ["TestConnector", "TestConsole", "TestDomains", "TestEvents", "TestInventory", "TestVolumes"]


@pytest.fixture
def bench(daemon, connector) -> Iterator[Bench]:
    made = Bench.for_host(
        daemon.uri,
        connector,
        domain_type="qemu",
        dead_uri="qemu+unix:///system?socket=/nonexistent/libvirt-sock",
        kill=daemon.kill_qemu,
        gaps=frozenset({"devices"}),
    )
    yield made
    made.clean()
