"""Acting on a host's devices through a shell; the program's answers become our errors.

Where no program can be run on the host (`Unsupported` or `NotAllowed` of the shell itself), or none by root, each call returns
None instead of an answer: whoever has another way to the devices then takes that one. Nothing was changed in that case.
"""

from __future__ import annotations

from typing import Any

from provisioner.drivers.host_shell.examining import time_there_s
from provisioner.drivers.host_shell.protocol import HostShell
from provisioner.model.errors import (
    DeviceBusy,
    HikubeError,
    HostTimeout,
    HypervisorError,
    NotAllowed,
    NotFound,
    Unsupported,
)
from provisioner.model.examination import ScrubResult
from templates.host import host_program

VFIO = "vfio-pci"
NOT_ROOT = "not-allowed"
"""The program touches nothing then."""
_OUTCOMES: dict[str, type[HikubeError]] = {
    "not-found": NotFound,
    "busy": DeviceBusy,
    "timed-out": HostTimeout,
    "unsupported": Unsupported,
    "failed": HypervisorError,
}
_HINTS: dict[str, str] = {
    "timed-out": "the kernel of the host does not come back from it; usually only a reboot of the host helps",
}


class ShellDevices:
    """PCI functions of one host. Errors as in drivers.hypervisor.Devices."""

    def __init__(self, shell: HostShell) -> None:
        self._shell = shell

    def bind_vfio(self, address: str, *, timeout_s: float) -> str | None:
        """Put the function on vfio-pci; the driver that it is on then, vfio-pci or a variant of it."""
        answer = self._act("bind", address, what=f"cannot put {address} on {VFIO}", timeout_s=timeout_s)
        return None if answer is None else str(answer["driver"])

    def restore(self, address: str, *, driver: str, override: str, timeout_s: float) -> str | None:
        """Give the function back; the driver that it is on then."""
        what = f"cannot give {address} back to {driver or 'the host'}"
        answer = self._act("restore", address, what=what, timeout_s=timeout_s, driver=driver, override=override)
        return None if answer is None else str(answer["driver"])

    def reset(self, address: str, *, timeout_s: float) -> str | None:
        """Reset the function; the kernel's name of the method."""
        answer = self._act("reset", address, what=f"cannot reset {address}", timeout_s=timeout_s)
        return None if answer is None else str(answer["method"])

    def scrub(self, address: str, *, command: str, timeout_s: float) -> ScrubResult | None:
        """Run the operator's command for the function."""
        answer = self._act("scrub", address, what=f"cannot scrub {address}", timeout_s=timeout_s, command=command)
        if answer is None:
            return None
        return ScrubResult(
            exit_status=answer["exit_status"], output_tail=answer["output_tail"], duration_s=answer["duration_s"]
        )

    def _act(self, operation: str, address: str, *, what: str, timeout_s: float, **more: str) -> dict[str, Any] | None:
        arguments = {"operation": operation, "address": address, "limit_s": time_there_s(timeout_s), **more}
        try:
            answer = self._shell.run_python(host_program("device"), arguments=arguments, timeout_s=timeout_s, what=what)
        except (Unsupported, NotAllowed):
            return None
        if not isinstance(answer, dict) or answer.get("outcome") not in {"done", NOT_ROOT, *_OUTCOMES}:
            raise HypervisorError(what, why=f"its answer cannot be understood: {str(answer)[:200]}")
        outcome = answer["outcome"]
        if outcome == "done":
            return answer
        if outcome == NOT_ROOT:
            return None
        facts = {key: answer[key] for key in ("holders", "driver", "output_tail") if key in answer}
        context = {"address": address, **facts}
        raise _OUTCOMES[outcome](what, why=answer.get("why", ""), hint=_HINTS.get(outcome, ""), context=context)
