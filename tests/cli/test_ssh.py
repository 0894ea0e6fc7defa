"""`hikube gpu vm ssh` against a real OpenSSH server, through a jump: pinned host key, exit status, exact arguments."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.session import Session
from provisioner.drivers.guest.keys import generate_key_pair
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.image import Image, ImageSpec
from provisioner.model.metadata import Metadata
from provisioner.model.secret import Secret, SecretSpec
from provisioner.model.virtual_machine import (
    Phase,
    SystemDisk,
    VirtualMachine,
    VirtualMachineSpec,
    VirtualMachineStatus,
)
from tests.cli.conftest import Hikube
from tests.contract.sshd import PROGRAM, Sshd

RELAY = """#!{python}
import selectors, socket, sys
to = socket.create_connection(("127.0.0.1", {port}))
chosen = selectors.DefaultSelector()
chosen.register(0, selectors.EVENT_READ, (lambda: sys.stdin.buffer.raw.read(65536), to.sendall))
out = lambda data: (sys.stdout.buffer.write(data), sys.stdout.flush())
chosen.register(to, selectors.EVENT_READ, (lambda: to.recv(65536), out))
while True:
    for key, _ in chosen.select():
        data = key.data[0]()
        if not data:
            sys.exit(0)
        key.data[1](data)
"""
"""Stands for the host's ssh: whatever it is asked to reach, it reaches the test's server."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    if PROGRAM is None:
        pytest.skip("sshd is not installed")
    folder = tmp_path / "sshd"
    folder.mkdir()
    sshd = Sshd(folder)
    sshd.authorize()
    yield sshd.start()
    sshd.stop()


def store_vm(hikube: Hikube, server: Sshd, *, host_key: str, address: str = "192.168.122.9") -> Path:
    """A Ready VM whose host is behind the relay; returns the file of the client's private key."""
    relay = hikube.home / "relay"
    relay.write_text(RELAY.format(python=sys.executable, port=server.port))
    relay.chmod(0o755)
    store = Session().store
    uri = f"qemu+ssh://root@host.example/system?command={relay}"
    store.create(GPUHost(metadata=Metadata(name="host"), spec=GPUHostSpec(uri=uri)))
    spec = ImageSpec(url="file:///nowhere", default_user=getpass.getuser())
    store.create(Image(metadata=Metadata(name="img"), spec=spec))
    store.create(
        VirtualMachine(
            metadata=Metadata(name="demo", namespace="default"),
            spec=VirtualMachineSpec(system_disk=SystemDisk(image="img")),
            status=VirtualMachineStatus(phase=Phase.READY, host="host", address=address),
        )
    )
    secret = SecretSpec(data={"hostPublicKey": host_key})
    store.create(Secret(metadata=Metadata(name="demo-access", namespace="default"), spec=secret))
    return server.private_file("client", server.client_key.private_openssh)


def test_a_command_runs_in_the_guest_and_its_status_comes_back(
    hikube: Hikube, server: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = hikube.home / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    key = store_vm(hikube, server, host_key=server.host_key.public_line)
    ssh = ("gpu", "vm", "ssh", "demo", "-i", str(key), "--")
    result = hikube.process(*ssh, "echo one; echo two >&2; exit 7")
    assert (result.code, result.out, result.err) == (7, "one\n", "two\n")
    exact = hikube.process(*ssh, "printf", "<%s>", "a b", "$HOME; -x")
    assert (exact.code, exact.out) == (0, "<a b><$HOME; -x>")
    assert not list(temporary.iterdir())


def test_another_host_key_is_refused(hikube: Hikube, server: Sshd) -> None:
    key = store_vm(hikube, server, host_key=generate_key_pair("other").public_line)
    result = hikube.process("gpu", "vm", "ssh", "demo", "-i", str(key), "--", "true")
    assert result.code == 255
    assert "Host key verification failed" in result.err


def test_a_vm_without_an_address_is_not_tried(hikube: Hikube, server: Sshd) -> None:
    store_vm(hikube, server, host_key=server.host_key.public_line, address="")
    result = hikube("gpu", "vm", "ssh", "demo")
    assert result.code == 8
    assert "has no address" in result.err
