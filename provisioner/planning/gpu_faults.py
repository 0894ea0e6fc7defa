"""Is a GPU that a guest drives fit to be handed over? From what NVIDIA's tools and the kernel say in that guest's own report.

A fault is of one GPU, named by its address on the host, and time does not mend it: fatal Xids (xids.py), ECC errors that could
not be corrected since the driver was loaded, a row of memory that could not be replaced, a GPU that the driver has lost. What
the next reset mends (rows and pages that wait for one) and what is only unusual are remarks. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provisioner.model.guest_report import GuestReport, NvidiaGpu, NvidiaState
from provisioner.planning.xids import Gravity, meaning_of

_LOST = re.compile(r"([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])[^\n]*(?:gpu is lost|fallen off the bus)")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that a guest says of one GPU."""

    host_address: str
    guest_address: str
    words: str
    is_fatal: bool = True

    @property
    def sentence(self) -> str:
        """With both names of the GPU."""
        where = "" if self.host_address.startswith("#") else " of the host"
        return f"GPU {self.host_address}{where} ({self.guest_address} in the guest): {self.words}"


def faults_of(report: GuestReport, *, places: Mapping[str, str]) -> tuple[Fault, ...]:
    """All that is wrong with the GPUs at these places (host address -> guest address), fatal faults first."""
    host_of = {guest: host for host, guest in places.items()}
    found = [
        Fault(host_of[guest], guest, words, is_fatal=is_fatal)
        for guest, words, is_fatal in (*_xids(report.nvidia), *_lost(report.nvidia, places), *_rows(report.nvidia))
        if guest in host_of
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda fault: not fault.is_fatal))


def _xids(state: NvidiaState) -> Iterator[tuple[str, str, bool]]:
    for each in state.xids:
        meaning = meaning_of(each.code)
        if meaning.gravity is not Gravity.APPLICATION:
            yield each.address, f"Xid {each.code}, {meaning.words}", meaning.gravity is Gravity.FATAL


def _lost(state: NvidiaState, places: Mapping[str, str]) -> Iterator[tuple[str, str, bool]]:
    """nvidia-smi fails as a whole over one GPU that it lost, and names it, or means the only one that there is."""
    said = state.error.lower()
    named = {f"{int(address.partition(':')[0], 16):04x}:{address.partition(':')[2]}" for address in _LOST.findall(said)}
    is_lost = "gpu is lost" in said
    for guest in named or (set(places.values()) if is_lost and len(places) == 1 else set[str]()):
        yield guest, "the driver has lost it", True


def _rows(state: NvidiaState) -> Iterator[tuple[str, str, bool]]:
    for row in state.gpus:
        yield from ((row.address, words, is_fatal) for words, is_fatal in _row(row))


def _row(row: NvidiaGpu) -> Iterator[tuple[str, bool]]:
    if row.ecc_uncorrected_volatile:
        yield f"{row.ecc_uncorrected_volatile} uncorrectable ECC errors since its driver was loaded", True
    if row.row_remap_failure:
        yield "a row of its memory could not be replaced by a spare one", True
    if row.row_remap_pending:
        yield "rows of its memory wait for a reset to be replaced", False
    if row.retired_pages_pending:
        yield "pages of its memory wait for a reset to be put out of use", False


def mismatch(state: NvidiaState) -> str:
    """In words that the driver and its libraries are of different versions; empty if nvidia-smi does not say so."""
    if "version mismatch" not in state.error.lower():
        return ""
    library = re.search(r"NVML library version:\s*([0-9.]+)", state.error)
    loaded = f"{state.driver_version} in the kernel" if state.driver_version else "another one in the kernel"
    return (
        f"the NVIDIA driver and its libraries are of different versions ({loaded}, {library[1] if library else 'another'} "
        "in the libraries): an upgrade changed one of them and the other waits for a reboot"
    )
