"""What became of a GPU between two tenants: written step by step into its claim, and kept in the GPU's history.

Nothing here decides. An empty sentence is a step that was not come to; every other sentence says how the step ended, also
when it was not needed or could not be done.
"""

from __future__ import annotations

from provisioner.model.examination import AerCounts
from provisioner.model.metadata import Part

TAIL_CHARACTERS = 500
"""Of what the scrub command printed; a history has many entries."""


class GuestEvidence(Part):
    """What the last guest called the GPU; empty where it has no driver that tells."""

    uuid: str = ""
    serial: str = ""
    vbios: str = ""


class ScrubRecord(Part):
    """One run of the operator's scrub command."""

    command: str
    exit_status: int
    output_tail: str = ""
    duration_s: float = 0.0


class Cleaning(Part):
    """How a GPU was made fit for its next tenant."""

    reset_method: str = ""
    """The kernel's name of it; empty where it was not reset, or the host could not be asked how."""
    reset: str = ""
    scrubbed: ScrubRecord | None = None
    scrub: str = ""
    verification: str = ""
    aer: AerCounts | None = None
    """PCIe errors of function 0 since it was bound; None where they could not be read."""
    restored: str = ""
    failure: str = ""
    """The first thing that went wrong and put the GPU into quarantine; empty: nothing."""
    is_left_alone: bool = False
    """It hangs or has gone: no driver of it is touched any more."""
