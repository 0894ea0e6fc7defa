"""Domains on a real QEMU: what the contract cannot tell without a guest that runs."""

from __future__ import annotations

import io

import pytest

from provisioner.drivers.hypervisor import DomainState
from provisioner.drivers.libvirt.kvm_probe_image import disk_image
from provisioner.model.domain_names import console_log_volume
from provisioner.model.errors import Conflict

PROVEN = "hikube-probe: proven"


def reset_at_once() -> bytes:
    """A disk whose boot sector resets the machine: `mov al, 0xfe; out 0x64, al; hlt`."""
    return boot_sector("b0 fe e6 64 f4 eb fd")


def power_off_at_once() -> bytes:
    """A disk whose boot sector powers a q35 machine off: it writes SLP_EN to the ACPI control register at 0x604."""
    return boot_sector("ba 04 06 b8 00 20 ef f4 eb fd")


def boot_sector(code: str) -> bytes:
    return (bytes.fromhex(code).ljust(510, b"\0") + b"\x55\xaa").ljust(len(disk_image()), b"\0")


def test_the_console_shows_what_the_guest_printed_since_its_last_start(guests):
    name = guests.define()
    guests.start(name)
    guests.until_printed(name, PROVEN)
    first = guests.host.console.tail(name, limit_bytes=100_000)
    assert first.count("hikube-probe: started") == 1
    assert len(guests.host.console.tail(name, limit_bytes=7)) == 7

    guests.host.domains.destroy(name, timeout_s=60)
    assert PROVEN in guests.host.console.tail(name, limit_bytes=100_000)
    guests.start(name)
    guests.until_printed(name, PROVEN)
    assert guests.host.console.tail(name, limit_bytes=100_000).count("hikube-probe: started") == 1


def test_the_console_log_is_a_volume_that_can_be_deleted(guests):
    name = guests.define()
    guests.start(name)
    guests.until_printed(name, PROVEN)
    guests.host.domains.destroy(name, timeout_s=60)
    guests.host.volumes.delete(guests.pool, console_log_volume(name))
    assert guests.host.console.tail(name, limit_bytes=100) == ""


def test_a_qemu_that_dies_is_a_crash(guests, daemon):
    name = guests.define()
    guests.start(name)
    daemon.kill_qemu(name)
    guests.until_state(name, DomainState.CRASHED)
    guests.host.domains.destroy(name, timeout_s=60)
    guests.start(name)
    assert guests.state(name) is DomainState.RUNNING


def test_a_qemu_that_dies_while_nobody_watches_is_a_crash(guests, daemon):
    name = guests.define()
    guests.start(name)
    daemon.kill_libvirtd()
    daemon.kill_qemu(name)
    daemon.start_libvirtd()
    guests.until_state(name, DomainState.CRASHED)


def test_a_domain_runs_on_while_libvirtd_is_away(guests, daemon):
    name = guests.define(uid="uid-of-this-one")
    guests.start(name)
    daemon.kill_libvirtd()
    daemon.start_libvirtd()
    assert guests.state(name) is DomainState.RUNNING
    assert guests.host.domains.look(name).owner_uid == "uid-of-this-one"


def test_a_guest_that_powers_itself_off_is_off(guests):
    name = guests.define(image=power_off_at_once())
    guests.start(name)
    guests.until_state(name, DomainState.OFF)


def test_a_reset_where_reset_means_destroy_is_off_as_well(guests):
    """libvirt keeps no trace that tells it from a power-off; the driver's documentation says so."""
    name = guests.define(image=reset_at_once(), on_reboot="destroy")
    guests.start(name)
    guests.until_state(name, DomainState.OFF)


def test_shutting_down_a_guest_without_an_operating_system_changes_nothing(guests):
    name = guests.define()
    guests.start(name)
    guests.until_printed(name, PROVEN)
    guests.host.domains.shutdown(name)
    assert guests.state(name) is DomainState.RUNNING


def test_a_seed_is_ejected_from_the_running_guest_and_from_its_definition(guests):
    host = guests.host
    seed = host.volumes.upload(guests.pool, "seed-of-a-test.iso", io.BytesIO(b"s" * 2048), size_bytes=2048)
    name = guests.define(seed=seed.path)
    guests.start(name)
    for _ in range(2):
        host.domains.eject(name, "sda")
    host.volumes.delete(guests.pool, "seed-of-a-test.iso")
    host.domains.destroy(name, timeout_s=60)
    guests.start(name)
    assert guests.state(name) is DomainState.RUNNING


def test_a_running_domain_keeps_its_definition(guests):
    name = guests.define()
    guests.start(name)
    with pytest.raises(Conflict):
        guests.host.domains.undefine(name)
    assert guests.state(name) is DomainState.RUNNING
