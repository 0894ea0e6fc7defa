"""Records of our domains, in libvirt's metadata: an element of our namespace inside the mark.

    <hikube:vm uid=… name=…><hikube:record>text</hikube:record></hikube:vm>

libvirt hands the element out without our prefix and puts the prefix back when it is written, so what is read here goes by local
names. The definition is what counts: a running domain has a copy, and is given the new text too.
"""

from __future__ import annotations

from xml.etree import ElementTree

import libvirt

from provisioner.drivers.libvirt.connection import Connection
from provisioner.drivers.libvirt.domain_xml import MARK_NAMESPACE
from provisioner.drivers.libvirt.errors import is_not_found
from provisioner.model.errors import NotFound

_ELEMENT = libvirt.VIR_DOMAIN_METADATA_ELEMENT
_CONFIG, _LIVE = libvirt.VIR_DOMAIN_AFFECT_CONFIG, libvirt.VIR_DOMAIN_AFFECT_LIVE
_PREFIX = "hikube"
_RECORD = "record"


class LibvirtRecords:
    """See drivers.records.Records."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, name: str) -> str:
        """See the protocol."""

        def read(raw: libvirt.virConnect) -> str:
            mark = _mark(raw, name)
            return "" if mark is None else next((child.text or "" for child in mark if _local(child.tag) == _RECORD), "")

        return self._connection.run(read, what=f"cannot read the record of domain {name}")

    def write(self, name: str, text: str) -> None:
        """See the protocol."""
        what = f"cannot write the record of domain {name}"

        def write(raw: libvirt.virConnect) -> None:
            mark = _mark(raw, name)
            if mark is None:
                raise NotFound(what, why="there is no such domain of ours")
            anew = ElementTree.Element("vm", {key: value for key, value in mark.attrib.items() if "}" not in key})
            ElementTree.SubElement(anew, _RECORD).text = text
            domain = raw.lookupByName(name)
            flags = (_CONFIG if domain.isPersistent() else 0) | (_LIVE if domain.isActive() else 0)
            domain.setMetadata(_ELEMENT, ElementTree.tostring(anew, encoding="unicode"), _PREFIX, MARK_NAMESPACE, flags)

        self._connection.run(write, what=what)


def _mark(raw: libvirt.virConnect, name: str) -> ElementTree.Element | None:
    """The mark of the domain's definition; None without a domain or a mark."""
    try:
        domain = raw.lookupByName(name)
        text = domain.metadata(_ELEMENT, MARK_NAMESPACE, _CONFIG if domain.isPersistent() else 0)
    except libvirt.libvirtError as error:
        if is_not_found(error):
            return None
        raise
    return ElementTree.fromstring(text)  # noqa: S314  written by libvirtd; expat here refuses entity expansion attacks


def _local(tag: str) -> str:
    return tag.rpartition("}")[2].rpartition(":")[2]
