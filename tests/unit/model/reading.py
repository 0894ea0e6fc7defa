"""Words for tests of the door: documents with one interesting part, and what was found in them."""

from __future__ import annotations

from typing import Any

from provisioner.model.documents import Parsed, parse
from provisioner.model.errors import InvalidDocuments
from provisioner.model.metadata import Resource
from provisioner.model.tables import Tables

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@example"


def document(kind: str, spec: str, *, name: str = "example") -> str:
    """A document whose spec starts on line 5; `spec` is indented by two."""
    group = "hikube.cloud" if kind in {"GPUHost", "Image"} else "apps.cozystack.io"
    return f"apiVersion: {group}/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}\n"


def vm(spec: str, *, name: str = "example") -> str:
    return document("VirtualMachine", spec, name=name)


def read(text: str, tables: Tables | None = None) -> Parsed:
    return parse(text, source="file.yaml", tables=tables or Tables.builtin())


def one(text: str) -> Any:
    """The only resource of a text, untyped for brevity."""
    (resource,) = read(text).resources
    return resource


def mistakes(text: str) -> list[dict[str, Any]]:
    """What is wrong with a text; empty if nothing is."""
    try:
        read(text)
    except InvalidDocuments as error:
        found: list[dict[str, Any]] = error.context["mistakes"]
        return found
    return []


def complaints(text: str) -> list[str]:
    """Mistakes as `line path: message`."""
    return [f"{mistake['line']} {mistake['path']}: {mistake['message']}" for mistake in mistakes(text)]


def essence(resource: Resource) -> dict[str, Any]:
    """A resource as JSON without what the store keeps and without empty metadata."""
    data = resource.as_json()
    del data["status"]
    data["metadata"] = {key: value for key, value in data["metadata"].items() if value not in ("", 0, [], {})}
    return data
