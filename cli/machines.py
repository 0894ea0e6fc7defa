"""Finding VMs by the name that a person types: a VirtualMachine, or a VMInstance of that name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.completing import complete_machines
from cli.session import MACHINE_KINDS, Session, no_such
from provisioner.model.errors import InvalidInput

if TYPE_CHECKING:
    from provisioner.model.metadata import Key
    from provisioner.model.virtual_machine import VirtualMachine

Name = Annotated[str, typer.Argument(metavar="NAME", help="The VM", autocompletion=complete_machines)]
Names = Annotated[list[str], typer.Argument(metavar="NAME", help="VMs", autocompletion=complete_machines)]


def raw_machine(session: Session, name: str, namespace: str) -> dict[str, Any]:
    """The VM as plain JSON. `vmi/NAME` and `vm/NAME` say which kind, where both have one of that name.

    Raises:
        NotFound: neither kind has one; the hint names the nearest.
        InvalidInput: both have one.
    """
    kinds, name = _kinds_of(name)
    items = [item for kind in kinds for item in session.raw(kind, namespace=namespace)]
    found = [item for item in items if item["metadata"]["name"] == name]
    if not found:
        known = [item["metadata"]["name"] for item in items]
        raise no_such("VM", name, namespace=namespace, known=known)
    if len(found) > 1:
        raise InvalidInput(f"{name} is both a VirtualMachine and a VMInstance", hint=f"write vm/{name} or vmi/{name}")
    return found[0]


def machine_key(session: Session, name: str, namespace: str) -> Key:
    """The key of the VM. Raises as `raw_machine`."""
    from provisioner.model.metadata import Key

    item = raw_machine(session, name, namespace)
    return Key(item["kind"], namespace, item["metadata"]["name"])


def machine(session: Session, name: str, namespace: str) -> VirtualMachine:
    """The VM as a resource. Raises as `raw_machine`."""
    from provisioner.model.errors import NotFound
    from provisioner.model.virtual_machine import VirtualMachine

    key = machine_key(session, name, namespace)
    found = session.find(key)
    if not isinstance(found, VirtualMachine):
        raise NotFound(f"{key} was deleted a moment ago")
    return found


def _kinds_of(name: str) -> tuple[tuple[str, ...], str]:
    word, separator, rest = name.partition("/")
    if not separator:
        return MACHINE_KINDS, name
    from provisioner.model.kinds import find_words

    return (find_words(word).kind,), rest
