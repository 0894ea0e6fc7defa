"""A real OpenSSH server on a free loopback port, with keys and a configuration of its own in a temporary folder."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.drivers.guest.keys import KeyPair, generate_key_pair
from provisioner.drivers.guest.protocol import GuestDoor

PROGRAM = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
LINES_MAX = 50


@dataclass
class Sshd:
    """One server; `start` returns when it listens, `stop` ends it."""

    folder: Path
    options: tuple[str, ...] = ()
    host_key: KeyPair = field(default_factory=lambda: generate_key_pair("host"))
    client_key: KeyPair = field(default_factory=lambda: generate_key_pair("client"))
    user: str = field(default_factory=getpass.getuser)
    port: int = 0
    _process: subprocess.Popen[str] | None = None

    @property
    def authorized_keys(self) -> Path:
        return self.folder / "root/.ssh/authorized_keys"

    def authorize(self, command: str = "") -> None:
        """Let the client's key in: for one command, or for everything."""
        restriction = f'restrict,command="{command}" ' if command else ""
        self.authorized_keys.parent.mkdir(parents=True, exist_ok=True)
        self.authorized_keys.write_text(restriction + self.client_key.public_line + "\n")

    def answer_with(self, script: str) -> None:
        """Let the client's key run this shell script, whatever it asks for."""
        program = self.folder / "answer"
        program.write_text("#!/bin/sh\n" + script)
        program.chmod(0o755)
        self.authorize(str(program))

    def private_file(self, name: str, content: str) -> Path:
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_text(content)
        return file

    def start(self) -> Sshd:
        assert PROGRAM is not None
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.port = free_port()
        options = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.private_file('host_key', self.host_key.private_openssh)}",
            f"AuthorizedKeysFile {self.authorized_keys}",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
            "PasswordAuthentication no",
            "PermitRootLogin prohibit-password",
            *self.options,
        ]
        config = self.private_file("sshd_config", "\n".join(options) + "\n")
        self._process = subprocess.Popen([PROGRAM, "-D", "-e", "-f", str(config)], stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        said = [self._process.stderr.readline()]
        while said[-1] and "Server listening" not in said[-1] and len(said) < LINES_MAX:
            said.append(self._process.stderr.readline())
        assert "Server listening" in said[-1], said
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=10)
            self._process = None

    def door(self, *, host_uri: str = "qemu:///system") -> GuestDoor:
        """The way in, as a controller has it."""
        return GuestDoor(
            address="127.0.0.1",
            user=self.user,
            host_public_key=self.host_key.public_line,
            private_key=self.client_key.private_openssh,
            host_uri=host_uri,
            port=self.port,
        )

    def libvirt_uri(self, *options: str) -> str:
        """This server as the SSH of a libvirt host, with its host key pinned by a wrapper around ssh, as the lab does it."""
        known = self.private_file("known_hosts", f"[127.0.0.1]:{self.port} {self.host_key.public_line}\n")
        wrapper = self.folder / "ssh"
        wrapper.write_text(
            f"#!/bin/sh\necho $$ >>{self.folder}/pids\n"
            f"exec ssh -F none -o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes "
            f'-o IdentitiesOnly=yes {" ".join(options)} "$@"\n'
        )
        wrapper.chmod(0o755)
        key = self.private_file("client_key", self.client_key.private_openssh)
        return f"qemu+ssh://{self.user}@127.0.0.1:{self.port}/system?keyfile={key}&command={wrapper}&no_tty=1"

    def jumps_left(self) -> list[int]:
        """Processes of the wrapper that still run."""
        pids = [int(text) for text in (self.folder / "pids").read_text().split()]
        assert pids, "nobody jumped"
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def free_port() -> int:
    """A TCP port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
