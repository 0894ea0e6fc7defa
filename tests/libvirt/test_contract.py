"""The hypervisor contract on a real libvirtd with real QEMU processes (no IOMMU here, so no devices)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from provisioner.drivers.hypervisor import DomainState
from templates.domain.parked import render_parked
from tests.contract.hypervisors import Bench
from tests.contract.test_hypervisor import TestConnector, TestInventory
from tests.contract.test_hypervisor_console import TestConsole
from tests.contract.test_hypervisor_domains import TestDomains
from tests.contract.test_hypervisor_events import TestEvents
from tests.contract.test_hypervisor_heirs import TestHeirsOfConnections, TestHeirsOfDomains
from tests.contract.test_hypervisor_heirs_of_parts import TestHeirsOfNetworks, TestHeirsOfVolumes
from tests.contract.test_hypervisor_networks import TestNetworks
from tests.contract.test_hypervisor_records import TestRecords
from tests.contract.test_hypervisor_volumes import TestVolumes

__all__ = [
    "TestConnector",
    "TestConsole",
    "TestDomains",
    "TestEvents",
    "TestHeirsOfConnections",
    "TestHeirsOfDomains",
    "TestHeirsOfNetworks",
    "TestHeirsOfVolumes",
    "TestInventory",
    "TestNetworks",
    "TestRecords",
    "TestVolumes",
]


@pytest.fixture
def bench(daemon, connector) -> Iterator[Bench]:
    @contextmanager
    def stopped_pool() -> Iterator[str]:
        name = f"stopped-{uuid4().hex[:8]}"
        daemon.make_pool(name)
        virsh = ["virsh", "--connect", daemon.uri]
        subprocess.run([*virsh, "pool-destroy", name], check=True, capture_output=True)
        yield name
        subprocess.run([*virsh, "pool-undefine", name], check=True, capture_output=True)

    def restart_daemon() -> None:
        daemon.kill_libvirtd()
        daemon.start_libvirtd()

    made = Bench.for_host(
        daemon.uri,
        connector,
        domain_type="qemu",
        dead_uri="qemu+unix:///system?socket=/nonexistent/libvirt-sock",
        kill=daemon.kill_qemu,
        restart_daemon=restart_daemon,
        stopped_pool=stopped_pool,
        lan="lan",
        gaps=frozenset({"devices", "networks.publish"}),
    )
    yield made
    made.clean()


def test_the_domain_of_a_stopped_vm_is_taken_and_bears_its_record(bench) -> None:
    name, text = bench.name(), '{"spec": "<&>"}'
    xml = render_parked(name, uuid=str(uuid4()), owner_uid="uid-7", owner="default/x", record=text, domain_type="qemu")
    defined = bench.hypervisor.domains.define(xml)
    assert (defined.owner_uid, defined.functions, defined.state) == ("uid-7", (), DomainState.OFF)
    assert bench.hypervisor.records.read(name) == text
