"""`hikube gpu vm ssh`: the system's ssh with the VM's pinned host key, through the host where the VM is behind it."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.machines import Name, raw_machine
from cli.options import Namespace
from cli.places import data_dir
from cli.render.resources import at
from cli.session import Session
from cli.vm.keys import generated_key, private_keys
from provisioner.model.errors import InvalidInput, NotFound, StillPending, Unsupported


def ssh(
    name: Name,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="What to run instead of a shell")] = [],  # noqa: B006
    namespace: Namespace = "default",
    user: Annotated[str, typer.Option("--user", "-u", metavar="NAME", help="Log in as; otherwise the image's user")] = "",
    identity: Annotated[str, typer.Option("--identity", "-i", metavar="FILE", help="Private key to use")] = "",
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Give the command a terminal")] = False,
) -> int:
    """Log in to a VM, or run one command in it. The exit status is that of ssh.

    The VM's host key was made when it was created and is checked; nothing is trusted on first use. One word after -- is a shell
    line, several are a program and its arguments.
    """
    session = Session()
    item = raw_machine(session, name, namespace)
    address, host_key = _address(item), _host_key(session, item)
    with tempfile.TemporaryDirectory(prefix="hikube-ssh-") as directory:
        known_hosts = Path(directory) / "known_hosts"
        known_hosts.write_text(f"{_alias(item)} {' '.join(host_key.split()[:2])}\n", encoding="utf-8")
        argv = ["ssh", *_options(known_hosts, _alias(item), identity), *_way(session, item, address)]
        argv += ["-t"] if tty else []
        argv += ["-l", user or default_user(session, item), "--", address, *_remote(command)]
        try:
            return subprocess.run(argv, check=False).returncode
        except FileNotFoundError as error:
            raise NotFound("the program ssh is not installed", hint="install the OpenSSH client") from error


def _options(known_hosts: Path, alias: str, identity: str) -> list[str]:
    options = {
        "UserKnownHostsFile": str(known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlias": alias,
        "CheckHostIP": "no",
        "UpdateHostKeys": "no",
        "ServerAliveInterval": "15",
        "LogLevel": "ERROR",
    }
    words = [word for option, value in options.items() for word in ("-o", f"{option}={value}")]
    if identity:
        if not Path(identity).expanduser().is_file():
            raise InvalidInput(f"no key file {identity}")
        return [*words, "-o", "IdentitiesOnly=yes", "-i", str(Path(identity).expanduser())]
    ours = generated_key(data_dir())
    if not ours.exists():
        return words  # ssh finds the user's own keys by itself
    return [*words, *(word for path in (ours, *private_keys(Path.home())) for word in ("-i", str(path)))]


def _way(session: Session, item: dict[str, Any], address: str) -> list[str]:
    """Through the host's own SSH where guests are behind it."""
    from provisioner.drivers.guest.jump import jump_argv

    uri = session.raw_one("GPUHost", at(item, "status.host"))["spec"]["uri"]
    if uri.startswith("simulated:"):
        name = at(item, "metadata.name")
        hint = f"`hikube gpu vm logs {name}` shows its console; `hikube lab create` makes a real GPU host in a box"
        raise Unsupported("a simulated VM has no SSH: nothing runs in it", hint=hint)
    argv = jump_argv(uri, address, 22)
    return ["-o", f"ProxyCommand={shlex.join(argv).replace('%', '%%')}"] if argv else []


def _remote(command: list[str]) -> list[str]:
    return command if len(command) < 2 else [shlex.join(command)]


def _alias(item: dict[str, Any]) -> str:
    return f"hikube-{at(item, 'metadata.namespace')}-{at(item, 'metadata.name')}"


def _address(item: dict[str, Any]) -> str:
    address = str(at(item, "status.address"))
    if not address:
        name = at(item, "metadata.name")
        raise StillPending(
            f"VM {name} has no address",
            why=f"it is {at(item, 'status.phase', 'Pending')}",
            hint=f"`hikube wait vm/{name}` waits until it is ready",
        )
    return address


def _host_key(session: Session, item: dict[str, Any]) -> str:
    from provisioner.lifecycle.virtual_machine.access import HOST_PUBLIC, secret_name
    from provisioner.model.secret import Secret

    name, namespace = at(item, "metadata.name"), at(item, "metadata.namespace")
    with contextlib.suppress(NotFound):
        secret = session.store.get(Secret, secret_name(name, kind=str(item["kind"])), namespace=namespace)
        if key := secret.spec.data.get(HOST_PUBLIC, ""):
            return key
    raise StillPending(f"VM {name} has no host key yet", hint=f"`hikube wait vm/{name}` waits until it is ready")


def default_user(session: Session, item: dict[str, Any]) -> str:
    """The user that the VM's image is made for; root if the image is not known."""
    name = at(item, "spec.systemDisk.image") or _image_of_first_disk(session, item)
    stored = {image["metadata"]["name"]: image for image in session.raw("Image")}
    if name in stored:
        return str(at(stored[name], "spec.defaultUser", "root"))
    built_in = session.tables.images.get(name)
    return built_in.spec.default_user if built_in is not None else "root"


def _image_of_first_disk(session: Session, item: dict[str, Any]) -> str:
    disks = {disk["metadata"]["name"]: disk for disk in session.raw("VMDisk", namespace=at(item, "metadata.namespace"))}
    for reference in at(item, "spec.disks", ()):
        return str(at(disks.get(reference["name"], {}), "spec.source.image.name"))
    return ""
