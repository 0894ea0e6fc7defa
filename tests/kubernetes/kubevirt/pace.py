"""How long things take in KubeVirt and on its nodes, in seconds of the observed cluster, and a test's factor on all of them."""

from __future__ import annotations

from dataclasses import dataclass

POD_READY_S = 1.4
"""From the bind to a Ready pod: 1.0 to 2.5 s were seen."""
GUEST_RUNS_S = 1.5
"""From `Scheduled` to `Running`."""
AGENT_ANSWERS_S = 3.0
ACPI_S = 2.0
"""What a guest that obeys takes to shut down."""
POD_ENDS_S = 0.5
"""From a pod's last phase to its end."""
FAILS_EARLY_S = 0.5
GRACE_UNSET_S = 30
SECRET_LOOK_S = 1.0
HEARTBEAT_LOST_S = 53.0
HANDLER_LOST_S = 314.0
TAINT_EVICTS_S = 344.0
POD_GC_S = 53.0


@dataclass(slots=True)
class Pace:
    """Shared by everything that waits; a change holds for what begins to wait after it."""

    scale: float = 1.0

    def s(self, seconds: float) -> float:
        """So many seconds of the observed cluster are so many here."""
        return seconds * self.scale
