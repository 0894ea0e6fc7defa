"""The real guest driver against a real OpenSSH server: the contract, every way to fail, and the way through a host.

The guest is this machine: its sshd runs the very programs that a seed's boothook installs, moved below a temporary folder.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from provisioner.drivers.guest.jump import jump_argv
from provisioner.drivers.guest.keys import generate_key_pair
from provisioner.drivers.guest.protocol import GuestDoor
from provisioner.drivers.guest.ssh import OUTPUT_LIMIT, SshGuests
from provisioner.model.errors import GuestUnreachable, HostUnreachable, InvalidInput
from tests.contract.guest_benches import GuestBench
from tests.contract.sshd import PROGRAM, Sshd, free_port
from tests.contract.test_guest import TestHandOver, TestReport
from tests.unit.guest.seeds import plan_with, relocated_boothook

__all__ = ["TestHandOver", "TestReport"]
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no sshd here (Debian: apt install openssh-server)")
GUESTS = SshGuests()
LIMIT_S = 20.0

Start = Callable[..., Sshd]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers and ends them."""
    servers: list[Sshd] = []

    def started(*options: str, name: str = "guest") -> Sshd:
        folder = tmp_path / name
        folder.mkdir()
        servers.append(Sshd(folder, options).start())
        return servers[-1]

    yield started
    for server in servers:
        server.stop()


@pytest.fixture
def guest_bench(start: Start) -> GuestBench:
    server = start()
    _, content = plan_with(controller_public_key=server.client_key.public_line)
    subprocess.run(["sh"], input=relocated_boothook(content, server.folder), text=True, check=True, timeout=30)
    return GuestBench(GUESTS, server.door(), "127.0.0.2", f"qemu+ssh://127.0.0.1:{free_port()}/system")


def why_not(door: GuestDoor, *, timeout_s: float = LIMIT_S) -> str:
    with pytest.raises(GuestUnreachable) as caught:
        GUESTS.report(door, timeout_s=timeout_s)
    return caught.value.why


class TestWaysToFail:
    def test_another_host_key(self, start: Start) -> None:
        server = start()
        server.answer_with("touch was-here")
        door = replace(server.door(), host_public_key=generate_key_pair("another").public_line)
        assert "host key differs from the pinned one" in why_not(door)

    def test_a_pinned_key_of_a_type_that_the_guest_does_not_have(self, start: Start) -> None:
        other = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        assert "host key differs from the pinned one" in why_not(replace(start().door(), host_public_key=other.decode()))

    def test_a_key_that_the_guest_does_not_know(self, start: Start) -> None:
        server = start()
        server.answer_with("true")
        door = replace(server.door(), private_key=generate_key_pair("another").private_openssh)
        assert why_not(door) == "the guest refuses our key"

    @pytest.mark.parametrize(
        ("script", "reason"),
        [
            ("echo 'Welcome to my guest'", "report is not valid"),
            ("echo '{}'", "bootId"),
            ("echo '{\"bootId\": 7}'", "bootId"),
            ("true", "report is not valid"),
            ("echo broken >&2; exit 3", "status 3: broken"),
            (f"head -c {OUTPUT_LIMIT * 3} /dev/zero", f"more than {OUTPUT_LIMIT} bytes"),
            ("while :; do echo x; done", f"more than {OUTPUT_LIMIT} bytes"),
        ],
    )
    def test_what_is_no_report(self, start: Start, script: str, reason: str) -> None:
        server = start()
        server.answer_with(script)
        assert reason in why_not(server.door())

    def test_a_command_that_hangs_costs_its_time_and_no_more(self, start: Start) -> None:
        server = start()
        server.answer_with("exec sleep 100")
        began = time.monotonic()
        assert why_not(server.door(), timeout_s=3) == "report did not end in time"
        assert time.monotonic() - began < 10

    def test_a_report_that_drips_is_cut_off_too(self, start: Start) -> None:
        server = start()
        server.answer_with("while :; do echo x; sleep 0.2; done")
        began = time.monotonic()
        assert why_not(server.door(), timeout_s=3) == "report did not end in time"
        assert time.monotonic() - began < 10

    def test_a_port_where_nobody_speaks(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            door = replace(plain_door(), port=silent.getsockname()[1])
            began = time.monotonic()
            assert "no SSH banner" in why_not(door, timeout_s=2)
            assert time.monotonic() - began < 8

    def test_a_port_where_nobody_is(self) -> None:
        assert "refused" in why_not(replace(plain_door(), port=free_port()))

    def test_a_key_that_is_none(self, start: Start) -> None:
        with pytest.raises(InvalidInput):
            GUESTS.report(replace(start().door(), private_key="-----BEGIN NONSENSE-----"), timeout_s=LIMIT_S)
        with pytest.raises(InvalidInput):
            GUESTS.report(replace(start(name="other").door(), host_public_key="nonsense"), timeout_s=LIMIT_S)

    def test_hand_over_takes_a_broken_connection_for_no_success(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(GuestUnreachable):
            GUESTS.hand_over(replace(plain_door(), port=silent.getsockname()[1]), timeout_s=2)


def plain_door() -> GuestDoor:
    keys = generate_key_pair("x")
    return GuestDoor("127.0.0.1", "root", keys.public_line, keys.private_openssh, "qemu:///system")


class TestThroughTheHost:
    """A guest that only its host can reach: the way is the host's own sshd."""

    REPORT = 'echo \'{"bootId": "b"}\''

    def both(self, start: Start, *host_options: str) -> tuple[Sshd, Sshd]:
        guest, host = start(), start(*host_options, name="host")
        guest.answer_with(self.REPORT)
        host.authorize()
        return guest, host

    def test_the_report_comes_through_and_no_process_stays(self, start: Start) -> None:
        guest, host = self.both(start)
        assert GUESTS.report(guest.door(host_uri=host.libvirt_uri()), timeout_s=LIMIT_S).boot_id == "b"
        assert host.jumps_left() == []

    def test_the_guests_host_key_is_pinned_behind_the_jump_too(self, start: Start) -> None:
        guest, host = self.both(start)
        door = replace(guest.door(host_uri=host.libvirt_uri()), host_public_key=host.host_key.public_line)
        assert "host key differs" in why_not(door)
        assert host.jumps_left() == []

    def test_a_guest_that_is_not_up_yet_is_the_guests_failure(self, start: Start) -> None:
        guest, host = self.both(start)
        door = replace(guest.door(host_uri=host.libvirt_uri()), port=free_port())
        assert "open failed" in why_not(door)

    def test_over_the_control_master_that_libvirt_left(self, start: Start) -> None:
        guest, host = self.both(start)
        uri = host.libvirt_uri("-o ControlMaster=auto", f"-o ControlPath={host.folder}/master", "-o ControlPersist=30")
        wrapper = [str(host.folder / "ssh"), "-p", str(host.port), "-i", str(host.folder / "client_key")]
        subprocess.run([*wrapper, "127.0.0.1", "true"], check=True, stderr=subprocess.DEVNULL, timeout=30)
        try:
            assert GUESTS.report(guest.door(host_uri=uri), timeout_s=LIMIT_S).boot_id == "b"
            assert "forwarding request failed" in why_not(replace(guest.door(host_uri=uri), port=free_port()))
        finally:
            subprocess.run([*wrapper, "-O", "exit", "127.0.0.1"], check=True, stderr=subprocess.DEVNULL, timeout=30)

    def test_a_guest_that_never_speaks_is_given_up_and_the_jump_killed(self, start: Start) -> None:
        guest, host = self.both(start)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            door = replace(guest.door(host_uri=host.libvirt_uri()), port=silent.getsockname()[1])
            assert "no SSH banner" in why_not(door, timeout_s=3)
        assert host.jumps_left() == []

    def test_a_host_that_is_away_is_the_hosts_failure(self, start: Start) -> None:
        guest, host = self.both(start)
        door = guest.door(host_uri=host.libvirt_uri())
        host.stop()
        with pytest.raises(HostUnreachable) as caught:
            GUESTS.report(door, timeout_s=LIMIT_S)
        assert "Connection refused" in caught.value.why

    def test_a_host_that_does_not_let_us_in_is_the_hosts_failure(self, start: Start) -> None:
        guest, host = self.both(start)
        host.authorized_keys.unlink()
        with pytest.raises(HostUnreachable) as caught:
            GUESTS.report(guest.door(host_uri=host.libvirt_uri()), timeout_s=LIMIT_S)
        assert "Permission denied" in caught.value.why

    def test_a_host_that_forbids_forwarding_is_named(self, start: Start) -> None:
        guest, host = self.both(start, "AllowTcpForwarding no")
        assert "administratively prohibited" in why_not(guest.door(host_uri=host.libvirt_uri()))

    def test_a_program_that_does_not_exist_is_an_answer_too(self, start: Start) -> None:
        guest, _ = self.both(start)
        assert "No such file" in why_not(guest.door(host_uri="qemu+ssh://h/system?command=/no/such/ssh"))

    def test_openssh_itself_can_use_the_same_way(self, start: Start) -> None:
        """The command line hands the argv to ssh as ProxyCommand."""
        guest, host = self.both(start)
        argv = jump_argv(host.libvirt_uri(), "127.0.0.1", guest.port)
        assert argv is not None
        key = guest.private_file("key", guest.client_key.private_openssh)
        known = guest.private_file("known", f"guest {guest.host_key.public_line}\n")
        options = [f"ProxyCommand={' '.join(argv)}", f"UserKnownHostsFile={known}", "BatchMode=yes", "HostKeyAlias=guest"]
        chosen = [word for option in options for word in ("-o", option)]
        ssh = ["ssh", "-F", "none", *chosen, "-i", str(key), f"{guest.user}@guest"]
        assert subprocess.run(ssh, capture_output=True, text=True, timeout=30, check=True).stdout == '{"bootId": "b"}\n'
