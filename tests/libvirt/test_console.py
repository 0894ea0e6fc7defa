"""Attached to a console on a real QEMU: what the contract cannot tell on every host."""

from __future__ import annotations

import threading

import pytest

from provisioner.model.errors import HikubeError, HostUnreachable
from tests.contract.echo_guest import GREETING, echo_disk
from tests.libvirt.private_daemon import until
from tests.libvirt.test_domains import boot_sector


def deaf_disk() -> bytes:
    """A disk whose boot sector never reads its serial port: `cli; hlt`."""
    return boot_sector("fa f4 eb fd")


@pytest.fixture
def echoing(guests):
    """A domain that sends back what it gets."""
    name = guests.define(image=echo_disk())
    guests.start(name)
    guests.until_printed(name, GREETING)
    return name


def test_what_is_said_while_somebody_is_attached_is_kept_as_well(guests, echoing):
    with guests.host.console.attach(echoing) as session:
        session.write(b"for the record")
        guests.until_printed(echoing, "for the record")


def test_a_libvirtd_that_dies_ends_the_session_and_the_next_one_can_attach(guests, daemon, echoing):
    with guests.host.console.attach(echoing) as session:
        daemon.kill_libvirtd()
        try:
            with pytest.raises(HostUnreachable):
                until(lambda: session.read(timeout_s=5) is None, "nobody notices", limit_s=30)
            with pytest.raises(HostUnreachable):
                session.write(b"x")
        finally:
            daemon.start_libvirtd()
    with guests.host.console.attach(echoing) as session:
        session.write(b"again")
        guests.until_printed(echoing, "again")


def test_a_guest_that_does_not_read_holds_up_nobody_else(guests):
    name = guests.define(image=deaf_disk())
    guests.start(name)
    session = guests.host.console.attach(name)
    ended = threading.Event()

    def type_on() -> None:
        try:
            while True:
                session.write(b"x" * 512)
        except HikubeError:
            ended.set()

    typing = threading.Thread(target=type_on)
    typing.start()
    for _ in range(50):
        assert guests.host.domains.look(name) is not None
    session.close()
    typing.join(60)
    assert ended.is_set()
    guests.host.console.attach(name, force=True).close()
