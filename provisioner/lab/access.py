"""How a user, libvirt and the provisioner get into a host in a box: one key pair, one pinned host key, one wrapper around ssh.

libvirt's ssh transport can be told which command to run as ssh, and not where known hosts are. So each host's folder has an
executable `ssh` that runs the real one with the host's own configuration: strict checking against the key that we made, nothing
of the user's ~/.ssh, and one shared connection, since a handshake under emulation costs a second.

The wrapper opens the shared connection by itself and apart from its caller: an ssh that libvirt started as a master would keep
libvirt's pipe open and never end.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from provisioner.lab import paths

ALIAS = "box"
KEEP_CONNECTION_S = 600


@dataclass(frozen=True, slots=True)
class Access:
    """The files of one host's access, in the host's own folder."""

    folder: Path

    @property
    def user_key(self) -> Path:
        """Private key that the host lets in as root."""
        return self.folder / "id_ed25519"

    @property
    def authorized_keys(self) -> Path:
        """Its public half, as the host gets it."""
        return self.folder / "id_ed25519.pub"

    @property
    def host_key(self) -> Path:
        """Private host key, handed to the host at its start."""
        return self.folder / "ssh_host_ed25519_key"

    @property
    def config(self) -> Path:
        """Configuration for ssh."""
        return self.folder / "ssh_config"

    @property
    def wrapper(self) -> Path:
        """What to run as ssh."""
        return self.folder / "ssh"

    @property
    def control_socket(self) -> Path:
        """Socket of the shared connection."""
        return paths.socket_path(self.folder, "ssh")

    def uri(self, port: int) -> str:
        """The libvirt URI of the host."""
        key, command = (quote(str(path), safe="/") for path in (self.user_key, self.wrapper))
        return f"qemu+ssh://root@127.0.0.1:{port}/system?keyfile={key}&command={command}&no_tty=1"


def make_identity(access: Access, *, comment: str) -> None:
    """Make the key pairs if they are not there. Effect: files of mode 0600 in the host's folder."""
    for private in (access.user_key, access.host_key):
        if not private.exists():
            _make_key(private, comment)


def write_configuration(access: Access, *, port: int) -> None:
    """Write ssh_config, known_hosts and the wrapper for the port of this start."""
    known_hosts = access.folder / "known_hosts"
    public = access.host_key.with_suffix(".pub").read_text().strip()
    _write(known_hosts, f"[127.0.0.1]:{port} {public}\n", mode=0o600)
    _write(access.config, _configuration(access, known_hosts, port), mode=0o600)
    _write(access.wrapper, _wrapper(access), mode=0o700)


def _configuration(access: Access, known_hosts: Path, port: int) -> str:
    return f"""\
Host *
    HostName 127.0.0.1
    Port {port}
    User root
    IdentityFile "{access.user_key}"
    IdentitiesOnly yes
    IdentityAgent none
    BatchMode yes
    UserKnownHostsFile "{known_hosts}"
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    HostKeyAlgorithms ssh-ed25519
    UpdateHostKeys no
    ConnectTimeout 30
    ServerAliveInterval 30
    ServerAliveCountMax 6
    LogLevel ERROR
    ControlPath "{access.control_socket}"
    ControlMaster no
"""


def _wrapper(access: Access) -> str:
    ssh = f"ssh -F {shlex.quote(str(access.config))}"
    return f"""\
#!/bin/sh
# ssh into this host in a box: pinned host key, own key, one shared connection.
{ssh} -O check {ALIAS} >/dev/null 2>&1 ||
    {ssh} -f -N -M -o ControlPersist={KEEP_CONNECTION_S} {ALIAS} </dev/null >/dev/null 2>&1
exec {ssh} "$@"
"""


def _make_key(private: Path, comment: str) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    _write(private.with_suffix(".pub"), f"{public} {comment}\n", mode=0o644)
    _write(private, secret.decode(), mode=0o600)


def _write(path: Path, text: str, *, mode: int) -> None:
    """Write so that nobody ever reads a half of it, or reads it under a wider mode."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    unfinished.replace(path)
