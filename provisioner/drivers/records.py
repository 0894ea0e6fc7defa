"""The seam to what is written on a domain about the VM that it is for.

A domain bears a record beside its mark: text of ours that libvirt keeps and nobody else reads, so that a lost store can be
rebuilt from the host. Whoever may list domains there can read it: it must hold no secret. What it says is
provisioner/model/machine_record.py; tests/contract/test_hypervisor_records.py is passed by every implementation.
"""

from __future__ import annotations

from typing import Protocol


class Records(Protocol):
    """The records of our domains. Errors as anywhere: HostUnreachable, HostTimeout, HypervisorError."""

    def read(self, name: str) -> str:
        """The record; empty if there is no such domain, or if it bears none, as one of an older version."""
        ...

    def write(self, name: str, text: str) -> None:
        """Replace the record, of the running domain and of its definition, and nothing else of them. The guest notices nothing.

        Raises:
            NotFound: there is no such domain, or it does not bear our mark.
        """
        ...
