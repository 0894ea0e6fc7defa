"""XML of storage volumes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree


@dataclass(frozen=True, slots=True)
class Backing:
    """The volume below an overlay.

    Its format is always named: a format that QEMU guesses from content can be forged by a guest.
    """

    path: str
    format: str


def render(
    name: str, *, size_bytes: int, image_format: str, allocation_bytes: int | None = None, backing: Backing | None = None
) -> str:
    """The XML of a file volume to create. Sizes are in bytes; an allocation of 0 makes a raw volume sparse."""
    root = ElementTree.Element("volume", type="file")
    ElementTree.SubElement(root, "name").text = name
    ElementTree.SubElement(root, "capacity", unit="bytes").text = str(size_bytes)
    if allocation_bytes is not None:
        ElementTree.SubElement(root, "allocation", unit="bytes").text = str(allocation_bytes)
    target = ElementTree.SubElement(root, "target")
    ElementTree.SubElement(target, "format", type=image_format)
    if backing is not None:
        below = ElementTree.SubElement(root, "backingStore")
        ElementTree.SubElement(below, "path").text = backing.path
        ElementTree.SubElement(below, "format", type=backing.format)
    return ElementTree.tostring(root, encoding="unicode")
