"""The door's handle: the text of a file in, typed resources out, or every mistake of the file at once.

Reading files, directories and standard input is the caller's; this module is pure. What it gives back is in normal form:
parsing the `as_json()` of a resource gives the same resource again.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from provisioner.model.door.data import node_of
from provisioner.model.door.header import Header, read_header
from provisioner.model.door.mistakes import Findings, Mistake, invalid
from provisioner.model.door.nodes import ListNode, MapNode, Position, ScalarNode
from provisioner.model.door.places import Place
from provisioner.model.door.yaml_text import DEFAULT_LIMITS, YamlDocument, read_documents
from provisioner.model.metadata import Resource
from provisioner.model.tables import Tables

MOST_BYTES = DEFAULT_LIMITS.file
_Reader = Callable[[Header, Tables], Resource]
_READERS = {
    "VirtualMachine": ("virtual_machine", "read_virtual_machine"),
    "VMInstance": ("virtual_machine", "read_virtual_machine"),
    "VMDisk": ("vm_disk", "read_vm_disk"),
    "Kubernetes": ("kubernetes", "read_kubernetes"),
    "KubernetesNodes": ("kubernetes_nodes", "read_kubernetes_nodes"),
    "GPUHost": ("gpu_host", "read_gpu_host"),
    "GPUQuota": ("gpu_quota", "read_gpu_quota"),
    "Image": ("image", "read_image"),
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file says, and what is worth knowing about how it says it."""

    resources: tuple[Resource, ...]
    warnings: tuple[Mistake, ...] = ()
    """Accepted, but old, redundant or suspicious."""


def decode(data: bytes, *, source: str) -> str:
    """The text of a file: UTF-8 (with or without byte order mark), or UTF-16 with one, as Windows writes it.

    Raises:
        InvalidDocuments: it is too large, binary, or in another encoding.
    """
    if len(data) > MOST_BYTES:
        raise invalid(source, f"the file has {len(data):,} bytes; at most {MOST_BYTES:,} are read")
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    if encoding == "utf-8-sig" and b"\x00" in data:
        raise invalid(source, "this is a binary file, not YAML")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise invalid(source, "this is not UTF-8 text (is it a binary file?)", position=Position(line, 1)) from error


def parse_documents(text: str, *, source: str, tables: Tables, namespace: str = "default") -> tuple[Resource, ...]:
    """Every resource of a file, in normal form.

    Args:
        text: The file's text; see `decode`.
        source: The name to show, such as `vm.yaml` or `<stdin>`.
        tables: What names may refer to.
        namespace: For objects that name none.

    Raises:
        InvalidDocuments: `context["mistakes"]` lists every mistake of the file.
    """
    return parse(text, source=source, tables=tables, namespace=namespace).resources


def parse(text: str, *, source: str, tables: Tables, namespace: str = "default") -> Parsed:
    """As `parse_documents`, with the warnings. Raises as it does."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    findings = Findings(source, tuple(text.split("\n")))
    documents = read_documents(text, findings)
    if not documents and not findings.mistakes:
        findings.at(Position(1, 1), "there is no document in this file")
    resources: list[Resource] = []
    seen: dict[tuple[str, str, str], Position] = {}
    for place in (part for document in documents for part in _parts(document, findings)):
        header = read_header(place, namespace=namespace)
        if header is None:
            continue
        _refuse_twice(header, seen)
        resources.append(_reader(header.words.kind)(header, tables))
    findings.raise_if_any()
    return Parsed(tuple(resources), findings.ordered_warnings())


def read_data(document: Mapping[str, Any], *, source: str, tables: Tables) -> Resource:
    """The resource, in normal form, that a document says which came as data; as `parse_documents` reads the same in a file.

    Raises:
        InvalidDocuments: `context["mistakes"]` lists every mistake.
    """
    findings = Findings(source)
    root = node_of(dict(document))
    header = read_header(Place(root, "", root.position, 1, findings), namespace="")
    resource = _reader(header.words.kind)(header, tables) if header is not None else None
    findings.raise_if_any()
    assert resource is not None, "whoever finds no header says why"
    return resource


def _parts(document: YamlDocument, findings: Findings) -> list[Place]:
    """The objects of a document: itself, or the items of a `kind: List`."""
    root = document.root
    whole = Place(root, "", root.position, document.index, findings)
    if not isinstance(root, MapNode):
        return [whole]
    kind, items = root.get("kind"), root.get("items")
    if not (isinstance(kind, ScalarNode) and kind.text.endswith("List") and isinstance(items, ListNode)):
        return [whole]
    return [Place(item, f"items[{number}]", item.position, document.index, findings) for number, item in enumerate(items.items)]


def _refuse_twice(header: Header, seen: dict[tuple[str, str, str], Position]) -> None:
    if not header.metadata.name:
        return
    first = seen.setdefault(header.key, header.place.position)
    if first != header.place.position:
        header.place.mistake(f"{header.words.kind} {header.metadata.name} is in this file twice, first on line {first.line}")


def _reader(kind: str) -> _Reader:
    module, name = _READERS[kind]
    return cast(_Reader, getattr(importlib.import_module(f"provisioner.model.door.{module}"), name))
