"""Events of a real libvirtd: a connection that breaks, a guest that powers itself off, and what subscribing leaves behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner.drivers.host_events import HostEventKind
from provisioner.drivers.libvirt import LibvirtConnector
from provisioner.model.errors import HostUnreachable
from tests.contract.test_hypervisor_events import Ear
from tests.libvirt.private_daemon import until
from tests.libvirt.test_domains import power_off_at_once, reset_at_once

STARTED, STOPPED = HostEventKind.DOMAIN_STARTED, HostEventKind.DOMAIN_STOPPED


def test_a_connection_that_breaks_is_told_at_once_and_the_next_one_is_subscribed_to_anew(daemon, connector, guests):
    ear = Ear()
    connector.connect(daemon.uri).subscribe(ear)
    daemon.kill_libvirtd()
    until(lambda: ear.kinds() == [HostEventKind.CONNECTION_LOST], "nobody tells that the connection is lost")
    with pytest.raises(HostUnreachable):
        connector.connect(daemon.uri)
    daemon.start_libvirtd()
    connector.connect(daemon.uri).subscribe(ear)
    name = guests.define()
    guests.start(name)
    until(lambda: ear.about(name) == [STARTED], "the new connection tells nothing")
    assert ear.kinds().count(HostEventKind.CONNECTION_LOST) == 1


def test_a_connection_that_we_close_tells_nothing_and_leaves_no_socket(daemon):
    before = sockets()
    connector, ear = LibvirtConnector(), Ear()
    connector.connect(daemon.uri).subscribe(ear)
    assert sockets() > before
    connector.close()
    until(lambda: sockets() <= before, "libvirt keeps the connection open")
    assert ear.told == []


@pytest.mark.parametrize("program", [power_off_at_once, reset_at_once])
def test_a_guest_that_ends_by_itself_is_told(connector, daemon, guests, program):
    ear = Ear()
    connector.connect(daemon.uri).subscribe(ear)
    name = guests.define(image=program(), on_reboot="destroy")
    guests.start(name)
    until(lambda: ear.about(name) == [STARTED, STOPPED], "the end of the guest is not told")


def sockets() -> int:
    """Sockets that this process has open."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            count += os.readlink(entry).startswith("socket:")
        except OSError:
            continue
    return count
