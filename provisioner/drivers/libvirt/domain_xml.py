"""What a domain's XML says that the driver needs: our mark, passed functions, CD-ROMs, the console log. Pure.

The mark is how our domains are known, even after the store is lost:

    <metadata><hikube:vm xmlns:hikube="https://hikube.cloud/xmlns/domain/1" uid="…" name="namespace/name"/></metadata>
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

from provisioner.model.pci import address_of

MARK_NAMESPACE = "https://hikube.cloud/xmlns/domain/1"
_MARK = f"metadata/{{{MARK_NAMESPACE}}}vm"


@dataclass(frozen=True, slots=True)
class DomainDocument:
    """The part of a domain's XML that matters here."""

    name: str
    uuid: str
    owner_uid: str | None
    """None: it does not bear our mark."""
    functions: tuple[str, ...]
    """Host addresses of passed PCI functions."""
    console_log: str
    """Path of the file on the host that keeps the serial console; empty if there is none."""
    has_console: bool
    """Whether there is a serial port to attach to."""
    has_agent: bool
    """Whether a guest agent answers on its channel."""


def parse(xml: str) -> DomainDocument:
    """Read a domain's XML."""
    root = ElementTree.fromstring(xml)  # noqa: S314  written by libvirtd; expat here refuses entity expansion attacks
    mark = root.find(_MARK)
    log = root.find("devices/serial/log")
    agents = root.findall("devices/channel/target[@name='org.qemu.guest_agent.0']")
    return DomainDocument(
        name=root.findtext("name", ""),
        uuid=root.findtext("uuid", ""),
        owner_uid=None if mark is None else mark.get("uid", ""),
        functions=tuple(_address(source) for source in root.findall("devices/hostdev[@type='pci']/source/address")),
        console_log="" if log is None else log.get("file", ""),
        has_console=root.find("devices/serial") is not None or root.find("devices/console") is not None,
        has_agent=any(agent.get("state") == "connected" for agent in agents),
    )


def has_medium(xml: str, target: str) -> bool | None:
    """Whether something lies in the CD-ROM drive `target`; None if there is no such drive."""
    drive = _drive(xml, target)
    return None if drive is None else drive.find("source") is not None


def emptied_drive(xml: str, target: str) -> str:
    """The XML of the CD-ROM drive `target` with nothing in it, as libvirt wants it for a change of media."""
    drive = _drive(xml, target)
    assert drive is not None, f"no CD-ROM drive {target}"
    for element in list(drive):
        if element.tag in {"source", "backingStore"}:
            drive.remove(element)
    return ElementTree.tostring(drive, encoding="unicode")


def _drive(xml: str, target: str) -> ElementTree.Element | None:
    root = ElementTree.fromstring(xml)  # noqa: S314  written by libvirtd
    for disk in root.findall("devices/disk[@device='cdrom']"):
        place = disk.find("target")
        if place is not None and place.get("dev") == target:
            return disk
    return None


def _address(element: ElementTree.Element) -> str:
    return address_of(*(int(element.get(part, "0"), 0) for part in ("domain", "bus", "slot", "function")))
