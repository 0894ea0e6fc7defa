"""`hikube delete`: by name, by file, or all of a kind."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.completing import complete_kinds
from cli.deleting import Removal, delete_all
from cli.documents import read_resources
from cli.naming import named
from cli.options import IgnoreNotFound, Namespace, Recursive, Timeout, Wait, Yes, duration_s
from cli.session import Session
from provisioner.model.errors import InvalidInput
from provisioner.model.metadata import Key


def delete(
    kind: Annotated[
        str, typer.Argument(metavar="KIND[/NAME]", help="A kind, such as vm or disk", autocompletion=complete_kinds)
    ] = "",
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Which")] = [],  # noqa: B006 - typer copies it
    filename: Annotated[
        list[str], typer.Option("--filename", "-f", metavar="FILE|DIR|-", help="Delete what these files describe; repeatable")
    ] = [],  # noqa: B006 - typer copies it
    recursive: Recursive = False,
    everything: Annotated[bool, typer.Option("--all", help="All of the kind in the namespace")] = False,
    namespace: Namespace = "default",
    wait: Wait = True,
    timeout: Timeout = "30m",
    ignore_not_found: IgnoreNotFound = False,
    yes: Yes = False,
) -> None:
    """Delete resources and wait until nothing of them is left.

    A VM is stopped, its GPUs go back to their drivers, its disk is deleted. Exit 11 if something does not exist.
    """
    session = Session()
    removal = Removal(wait=wait, timeout_s=duration_s(timeout), ignore_not_found=ignore_not_found)
    keys = _keys(session, kind, names, filename, recursive=recursive, everything=everything, namespace=namespace)
    if everything and keys:
        _make_sure(keys, yes=yes)
    delete_all(session, keys, removal)


def _keys(
    session: Session, kind: str, names: list[str], files: list[str], *, recursive: bool, everything: bool, namespace: str
) -> list[Key]:
    if bool(kind) == bool(files):
        raise InvalidInput("name what to delete, or give -f, and not both", hint="hikube delete vm NAME; hikube delete -f FILE")
    if files:
        return [resource.key for resource in reversed(read_resources(session, files, recursive=recursive, namespace=namespace))]
    groups = named(kind, names)
    if everything:
        group = groups[0]
        if group.names:
            raise InvalidInput("--all and names exclude each other")
        items = session.raw(group.words.kind, namespace=group.scope(namespace) if group.words.is_namespaced else None)
        return [Key(group.words.kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in items]
    keys = [key for group in groups for key in group.keys(namespace)]
    if not keys:
        raise InvalidInput(f"which {kind}?", hint="name them, or --all")
    return keys


def _make_sure(keys: list[Key], *, yes: bool) -> None:
    from cli.asking import require

    names = ", ".join(key.name for key in keys[:10]) + (f" and {len(keys) - 10} more" if len(keys) > 10 else "")
    require(f"Delete {len(keys)} x {keys[0].kind}: {names}?", yes=yes)
