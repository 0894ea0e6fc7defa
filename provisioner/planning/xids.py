"""What the Xid errors of NVIDIA's driver mean for whoever wants to hand a GPU over: which of them say that it is not fit.

Source: NVIDIA's Xid catalogue (docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html), column "immediate action". FATAL
are those that ask for a reset of the GPU or for more, and say so of this card. Two are weighed otherwise than there: 109, which
NVIDIA's own device plugin counts among those of programs, and 74, which a healthy GPU has when its neighbour's link goes
down. Codes of NVLink 5 (144 to 150) need a decoding of their own. A code that is not in the table is told of, and stops nobody.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Gravity(enum.StrEnum):
    """What an Xid says."""

    APPLICATION = "application"
    """Of a program: nothing of the card."""
    NOTED = "noted"
    """Of the card, and it works on."""
    FATAL = "fatal"
    """The card must be reset, or worse."""


@dataclass(frozen=True, slots=True)
class XidMeaning:
    """One code."""

    code: int
    gravity: Gravity
    words: str


def _table(*rows: tuple[int, Gravity, str]) -> Mapping[int, XidMeaning]:
    return {code: XidMeaning(code, gravity, words) for code, gravity, words in rows}


XIDS: Mapping[int, XidMeaning] = _table(
    (8, Gravity.APPLICATION, "a channel stopped"),
    (11, Gravity.APPLICATION, "an invalid command stream"),
    (13, Gravity.APPLICATION, "an exception of the graphics engine"),
    (31, Gravity.APPLICATION, "a memory page fault"),
    (43, Gravity.APPLICATION, "a program's work was stopped"),
    (45, Gravity.APPLICATION, "a program's channel was removed"),
    (48, Gravity.FATAL, "an uncorrectable ECC error"),
    (61, Gravity.FATAL, "its micro-controller stopped at a breakpoint"),
    (62, Gravity.FATAL, "its micro-controller halted"),
    (63, Gravity.NOTED, "a row or page of its memory was put out of use"),
    (64, Gravity.FATAL, "a row or page of its memory could not be put out of use"),
    (68, Gravity.APPLICATION, "an exception of the video decoder"),
    (69, Gravity.APPLICATION, "a class error of the graphics engine"),
    (74, Gravity.NOTED, "an error on an NVLink connection"),
    (79, Gravity.FATAL, "it has fallen off the bus"),
    (92, Gravity.NOTED, "many corrected ECC errors"),
    (94, Gravity.APPLICATION, "a memory error that was contained to one program"),
    (95, Gravity.FATAL, "an uncontained memory error"),
    (109, Gravity.APPLICATION, "a context switch timed out"),
    (110, Gravity.FATAL, "a security fault"),
    (119, Gravity.FATAL, "its system processor (GSP) did not answer"),
    (120, Gravity.FATAL, "its system processor (GSP) failed"),
    (140, Gravity.FATAL, "an uncorrectable ECC error that could not be repaired"),
    (143, Gravity.FATAL, "it could not be initialised"),
    (158, Gravity.FATAL, "a fatal time-out"),
)


def meaning_of(code: int) -> XidMeaning:
    """The meaning of a code; one that is not known is noted."""
    return XIDS.get(code) or XidMeaning(code, Gravity.NOTED, "not in our table")
