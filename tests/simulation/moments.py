"""The one gate that every port call of a controller passes: between two of them anything may happen.

    controller ──call──> Gate.take ──> Universe.between_calls(…)   happenings, other passes, a crash, a pause
                             └───────> the staged fault of this call, if there is one

Calls of the driver twins come here because this *is* the fleet's `Faults`; calls of the store come through StoreDoor. A call
that no controller makes (a user's, a check's) passes untouched.
"""

from __future__ import annotations

from collections.abc import Callable

from provisioner.drivers.simulated.faults import Fault, Faults


class Gate(Faults):
    """Faults by call, with a moment before each."""

    def __init__(self) -> None:
        super().__init__()
        self.between_calls: Callable[[str, str, str], bool] = lambda _host, _call, _subject: False
        """Told host, call and subject before each call; says whether a controller makes it. May raise Crash."""
        self.injected = 0
        """How many faults have struck."""
        self.losses = 0
        """How often changes were not told to a controller that watches."""
        self.on_fault: Callable[[str, str, str, Fault], None] = lambda _host, _call, _subject, _fault: None
        """Told host, call and subject of a call that meets a staged fault."""

    def take(self, *, host: str, call: str, subject: str) -> Fault | None:
        """See Faults; a call that no controller makes meets no fault."""
        if not self.between_calls(host, call, subject):
            return None
        if not self.pending:
            return None
        fault = super().take(host=host, call=call, subject=subject)
        if fault is not None:
            self.injected += 1
            self.on_fault(host, call, subject, fault)
        return fault
