"""The names of disks on the command line, and the disk that is meant."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.completing import complete_disks, complete_hosts
from cli.session import Session, no_such
from provisioner.model.metadata import Key
from provisioner.model.vm_disk import VMDisk

Name = Annotated[str, typer.Argument(metavar="NAME", help="The disk", autocompletion=complete_disks)]
Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Disks", autocompletion=complete_disks)]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="What to call the disk")]
Host = Annotated[
    str,
    typer.Option(
        "--host",
        metavar="HOST",
        help="Put it on this host now, instead of where the first VM that uses it goes",
        autocompletion=complete_hosts,
    ),
]
StorageClass = Annotated[str, typer.Option("--class", metavar="NAME", help="Storage class: a pool of the host, if it maps it")]
Retain = Annotated[bool, typer.Option("--retain", help="Leave the volume on its host when the disk is deleted")]


def key_of(name: str, namespace: str) -> Key:
    """The key of the disk of that name; `disk/NAME` and `vmdisk/NAME` mean the same."""
    word, separator, rest = name.partition("/")
    return Key(VMDisk.KIND, namespace, rest if separator and word in ("disk", "vmdisk", "vmd") else name)


def disk_of(session: Session, name: str, namespace: str) -> VMDisk:
    """The stored disk.

    Raises:
        NotFound: with the nearest name.
    """
    key = key_of(name, namespace)
    found = session.find(key)
    if not isinstance(found, VMDisk):
        known = [item["metadata"]["name"] for item in session.raw(VMDisk.KIND, namespace=namespace)]
        raise no_such(VMDisk.KIND, key.name, namespace=namespace, known=known)
    return found
