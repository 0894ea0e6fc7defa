"""Instance types and instance profiles: the words that documents use for sizes and for kinds of guests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InstanceType:
    """A size by name."""

    name: str
    vcpus: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class InstanceProfile:
    """What a guest is: hints for its devices, and the golden image that it boots from if none is named."""

    name: str
    image: str = ""
    """Empty: the document must name an image."""
    is_windows: bool = False
