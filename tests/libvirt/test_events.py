"""Events of a real libvirtd: a connection that breaks, a guest that powers itself off, and what subscribing leaves behind."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from provisioner.clocks import SystemClock
from provisioner.drivers.host_events import HostEventKind
from provisioner.drivers.libvirt import LibvirtConnector
from provisioner.lifecycle.host_watch import HostWatch
from provisioner.lifecycle.queue import WorkQueue
from provisioner.model.errors import HostTimeout, HostUnreachable
from provisioner.model.metadata import Key
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


def test_a_connection_on_which_a_call_hangs_is_lost_for_listeners_too(daemon):
    connector, ear = LibvirtConnector(open_timeout_s=20), Ear()
    host = connector.connect(daemon.uri)
    host.subscribe(ear)
    daemon.pause_libvirtd()
    try:
        with pytest.raises(HostTimeout):
            host.domains._connection.run(lambda raw: raw.listAllDomains(), what="cannot list domains", timeout_s=0.3)
        assert ear.kinds() == [HostEventKind.CONNECTION_LOST]
    finally:
        daemon.resume_libvirtd()
    assert connector.connect(daemon.uri).domains.owned() is not None
    connector.close()
    assert len(ear.told) == 1


def test_a_connection_that_we_close_tells_nothing_and_leaves_no_socket(daemon):
    before = sockets()
    connector, ear = LibvirtConnector(), Ear()
    connector.connect(daemon.uri).subscribe(ear)
    ours = sockets() - before
    assert ours
    connector.close()
    until(lambda: not ours & sockets(), "libvirt keeps the connection open")
    assert ear.told == []


@pytest.mark.parametrize("program", [power_off_at_once, reset_at_once])
def test_a_guest_that_ends_by_itself_is_told(connector, daemon, guests, program):
    ear = Ear()
    connector.connect(daemon.uri).subscribe(ear)
    name = guests.define(image=program(), on_reboot="destroy")
    guests.start(name)
    until(lambda: ear.about(name) == [STARTED, STOPPED], "the end of the guest is not told")


def test_a_vm_whose_qemu_dies_is_due_within_a_second(connector, daemon, guests):
    key = Key("VirtualMachine", "default", "vm")
    watch, queue = HostWatch(SystemClock()), WorkQueue(SystemClock())
    watch.attach(queue)
    watch.listen(Key("GPUHost", "", "a"), connector.connect(daemon.uri))
    name = guests.define()
    guests.start(name)
    guests.until_printed(name, "hikube-probe: proven")
    watch.know_machine(name, key)
    assert queue.take() is None
    daemon.kill_qemu(name)
    assert queue.wait_and_take(1.0) == key


def sockets() -> set[str]:
    """Sockets that this process has open."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(os.readlink(entry))
    return {name for name in found if name.startswith("socket:")}
