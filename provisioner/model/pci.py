"""PCI addresses and functions: how a GPU and its companions are named.

An address is stable until a card moves or firmware renumbers buses; an IOMMU group number is not stable across boots and is
never a key. Text form everywhere: `0000:41:00.0`; in object names, where a colon is not allowed: `0000-41-00.0`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

from provisioner.model.metadata import Part

_ADDRESS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")


@lru_cache(maxsize=4096)
def _checked(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text!r} is no PCI address such as 0000:41:00.0")
    return text


PciAddress = Annotated[str, AfterValidator(_checked)]
"""`dddd:bb:ss.f`, lower-case hexadecimal."""
PciAddressOrNone = Annotated[str, AfterValidator(lambda text: _checked(text) if text else text)]
"""The same, or empty: not known."""


def address_of(domain: int, bus: int, slot: int, function: int) -> str:
    """The text form of a PCI address from its four numbers."""
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def name_part(address: str) -> str:
    """The address as part of an object name: `0000-41-00.0`."""
    return address.replace(":", "-")


def slot_of(address: str) -> str:
    """The address without its function: all functions of one card share it."""
    return address.rsplit(".", 1)[0]


class PciFunction(Part):
    """One function as the host shows it."""

    address: PciAddress
    vendor: str
    """Four hexadecimal digits, lower case, as in `10de`."""
    device: str
    pci_class: str = ""
    """Six hexadecimal digits: `030200` is a 3D controller."""
    driver: str = ""
    """The kernel driver now bound; empty if none."""
    is_bridge: bool = False
    """Bridges of a group stay with the host and cannot be assigned."""

    @property
    def id(self) -> str:
        """`vendor:device`, the key of the GPU catalogue."""
        return f"{self.vendor}:{self.device}"
