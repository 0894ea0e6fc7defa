"""The end of a command that takes a GPU out of service or back, in the form that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cli.gpu.naming import GpuName
from cli.output import as_json, as_yaml, put

if TYPE_CHECKING:
    from provisioner.model.gpu_check import CheckLine


def print_outcome(gpu: GpuName, outcome: str, *, form: str, lines: Sequence[CheckLine] = ()) -> None:
    """One line, the name, or an object with what the check said. The outcome is a word, such as `released` or `unchanged`."""
    checks = [line.as_json() for line in lines]
    value: dict[str, Any] = {"host": gpu.host, "address": gpu.address, "outcome": outcome, "checks": checks}
    if form == "table":
        put(f"{gpu} {outcome}\n")
    elif form == "name":
        put(f"{gpu}\n")
    else:
        put(as_json(value) if form == "json" else as_yaml(value))
