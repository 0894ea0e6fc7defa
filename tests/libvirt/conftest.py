"""A real libvirtd with a real QEMU for every test in this folder, or a reason why there is none."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.drivers.libvirt import LibvirtConnector
from provisioner.drivers.libvirt.hypervisor import LibvirtHypervisor
from tests.libvirt.guests import Guests
from tests.libvirt.private_daemon import PrivateDaemon, missing

POOL = "default"


@pytest.fixture(scope="session")
def daemon() -> Iterator[PrivateDaemon]:
    """A libvirtd of our own with an active pool named `default` and an active NAT network named `lan`."""
    lacking = missing()
    if lacking:
        pytest.skip(lacking)
    started = PrivateDaemon(Path(tempfile.mkdtemp(prefix="hikube-libvirt-")))
    try:
        started.start()
        started.make_pool(POOL)
        started.make_network("lan")
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def libvirt_qemu_uri(daemon: PrivateDaemon) -> str:
    """The URI of a libvirt whose domains are real QEMU processes."""
    return daemon.uri


@pytest.fixture(scope="session")
def connector() -> Iterator[LibvirtConnector]:
    """One connector for all tests, as a controller has it."""
    made = LibvirtConnector()
    yield made
    made.close()


@pytest.fixture
def host(connector: LibvirtConnector, libvirt_qemu_uri: str) -> Iterator[LibvirtHypervisor]:
    """An open host."""
    opened = connector.connect(libvirt_qemu_uri)
    yield opened
    opened.close()


@pytest.fixture
def guests(connector: LibvirtConnector, libvirt_qemu_uri: str) -> Iterator[Guests]:
    """Makes domains, and removes them and their volumes after the test."""
    made = Guests(connector, libvirt_qemu_uri, POOL)
    yield made
    made.clean()
