"""`hikube validate`: the door alone. Reads no store and changes nothing."""

from __future__ import annotations

from cli.documents import read_resources
from cli.options import Files, Namespace, Recursive
from cli.output import put, say
from cli.session import Session


def validate(filename: Files, recursive: Recursive = False, namespace: Namespace = "default") -> None:
    """Check YAML files: every mistake at once, with its line and what is allowed."""
    resources = read_resources(Session(), filename, recursive=recursive, namespace=namespace)
    put("".join(f"{resource.kind.lower()}/{resource.metadata.name} valid\n" for resource in resources))
    if not resources:
        say("no documents")
