"""What an operator asks of one GPU, and what came of it: requests on a GPUHost, and the checks that answer them.

A request is an annotation of the GPUHost, one per GPU, whose value is `<verb>:<token>`: annotations raise no generation, so
nothing else is made anew for it, and the token tells one request from the next. The answer, a GpuCheck in the host's status,
repeats the request; a request without its answer is still to be done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from provisioner.model.metadata import Part
from provisioner.model.pci import PciAddress, name_part

REQUEST_PREFIX = "hikube.cloud/gpu-request."
"""Followed by the GPU's address as part of a name: `0000-41-00.0`."""
RELEASE = "release"
"""The one verb: leave quarantine, if the check passes."""


class CheckLine(Part):
    """One thing that was looked at, or done and looked at."""

    name: str
    """One word, stable, for programs: `present`, `reset`."""
    passed: bool
    message: str = ""


class GpuCheck(Part):
    """How a GPU stood up to the last check that was asked for."""

    address: PciAddress
    request: str
    """The request that it answers."""
    state: Literal["Running", "Passed", "Failed"] = "Running"
    lines: tuple[CheckLine, ...] = ()
    started: str = ""
    finished: str = ""

    @property
    def failures(self) -> tuple[CheckLine, ...]:
        """What it did not pass."""
        return tuple(line for line in self.lines if not line.passed)


def request_annotation(address: str) -> str:
    """The annotation that asks something of the GPU at this address."""
    return REQUEST_PREFIX + name_part(address)


def requests_of(annotations: Mapping[str, str]) -> dict[str, str]:
    """Every request by PCI address, in the order of the addresses."""
    found = {
        name.removeprefix(REQUEST_PREFIX).replace("-", ":"): request
        for name, request in annotations.items()
        if name.startswith(REQUEST_PREFIX)
    }
    return dict(sorted(found.items()))
