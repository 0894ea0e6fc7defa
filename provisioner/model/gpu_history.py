"""GPUHistory: who had one GPU, when, and how it was cleaned afterwards. Kept by the card, not by the slot that it is in.

An entry is appended when a claim ends, once per claim, and never changed. The name is the card's identity; cards without a
readable serial number are told apart by host and address as well, since identical ones would share a name.
"""

from __future__ import annotations

import enum
from typing import ClassVar

from pydantic import Field

from provisioner.model.examination import GpuIdentity
from provisioner.model.gpu_claim import ClaimOwner
from provisioner.model.gpu_cleaning import Cleaning, GuestEvidence
from provisioner.model.gpu_host import claim_name
from provisioner.model.metadata import HIKUBE, Part, Resource, Status
from provisioner.model.pci import PciAddress

ENTRIES_KEPT = 200


class Outcome(enum.StrEnum):
    """Where the GPU was when its claim ended."""

    FREE = "Free"
    QUARANTINED = "Quarantined"
    LOST = "Lost"
    """Its host had been taken out of the store: nobody knows how it is."""


class GPUHistoryEntry(Part):
    """One claim, from bind to the end of its cleaning."""

    claim_uid: str
    owner: ClaimOwner
    host: str
    address: PciAddress
    since: str = ""
    """When it was bound; empty if it never was as a whole."""
    given: str = ""
    """When a guest was first started with it; empty: no guest had it."""
    until: str = ""
    """When its owner let go."""
    ended: str = ""
    """When it was free again, or in quarantine."""
    guest: GuestEvidence = Field(default_factory=GuestEvidence)
    cleaning: Cleaning = Field(default_factory=Cleaning)
    outcome: Outcome = Outcome.FREE
    reason: str = ""
    """Why it is in quarantine."""


class GPUHistoryNote(Part):
    """What an operator had done to the card while nobody had it."""

    at: str
    host: str
    address: PciAddress
    what: str
    """`Released` or `CheckFailed`."""
    message: str = ""


class GPUHistorySpec(Part):
    """Which card; never changed after creation."""

    identity: GpuIdentity


class GPUHistoryStatus(Status):
    """Where the card was last seen, and its entries, the oldest first."""

    host: str = ""
    address: str = ""
    entries: tuple[GPUHistoryEntry, ...] = ()
    """The last ENTRIES_KEPT."""
    notes: tuple[GPUHistoryNote, ...] = ()
    """The last ENTRIES_KEPT, the oldest first."""


class GPUHistory(Resource):
    """The history of one card."""

    KIND: ClassVar[str] = "GPUHistory"
    API_VERSION: ClassVar[str] = HIKUBE
    NAMESPACED: ClassVar[bool] = False
    PLURAL: ClassVar[str] = "gpuhistories"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("history", "histories")

    api_version: str = HIKUBE
    kind: str = "GPUHistory"
    spec: GPUHistorySpec
    status: GPUHistoryStatus = Field(default_factory=GPUHistoryStatus)

    def with_entry(self, entry: GPUHistoryEntry) -> GPUHistory:
        """The history with this entry as its last; as it is if the claim has one already."""
        known = self.status.entries
        if any(each.claim_uid == entry.claim_uid for each in known):
            return self
        return self.with_status(host=entry.host, address=entry.address, entries=(*known, entry)[-ENTRIES_KEPT:])

    def with_note(self, note: GPUHistoryNote) -> GPUHistory:
        """The history with this note as its last; as it is if that is its last already."""
        known = self.status.notes
        if known and known[-1] == note:
            return self
        return self.with_status(host=note.host, address=note.address, notes=(*known, note)[-ENTRIES_KEPT:])


def history_name(identity: GpuIdentity, *, host: str, address: str) -> str:
    """The name of a card's history; with host and address where the card has no serial number to tell it from its like."""
    return identity.name if identity.serial else f"{identity.name}.{claim_name(host, address)}"
