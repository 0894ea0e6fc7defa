"""The bare script beside the control plane: the libvirt calls that the same VMs need, one after the other, and nothing else.

No store, no claims, no checks, no retry. It calls what hikube's driver calls where a script would: define with the schema
check, start, address, a look, stop, undefine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import libvirt

from benchmarks.hybrid import URI


class RawCalls:
    """One connection to libvirt's test driver."""

    def __init__(self) -> None:
        libvirt.registerErrorHandler(lambda *_: None, None)
        self._raw = libvirt.open(URI)

    def bring_up(self, documents: Mapping[str, str]) -> None:
        """Define and start each, and find its address."""
        for xml in documents.values():
            domain = self._raw.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
            domain.create()
            domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)
            domain.state()
            domain.XMLDesc()

    def tear_down(self, names: Iterable[str]) -> None:
        """Stop and remove each."""
        for name in names:
            domain = self._raw.lookupByName(name)
            domain.shutdown()
            if domain.isActive():
                domain.destroy()
            domain.undefine()

    def close(self) -> None:
        """Hang up."""
        self._raw.close()
