"""How long a VM waits after an instance that never ran: 10·n² seconds and up to a half more, at most 300. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.kubernetes.kubevirt.fields import Document, at, items, stamp, uid_of
from tests.kubernetes.kubevirt.printable_status import FINAL, RETRIES

FIRST_S = 10.0
MAX_S = 300.0
SPREAD = 0.5


def delay_s(failures: int, *, spread: float) -> float:
    """Args: spread: chance's part, 0 to 1."""
    return min(FIRST_S * failures**2 * (1 + SPREAD * spread), MAX_S)


def ran(instance: Document | None) -> bool:
    """Whether it has ever been `Running`."""
    phases = items(instance, "status", "phaseTransitionTimestamps")
    return at(instance, "status", "phase") == "Running" or any(each.get("phase") == "Running" for each in phases)


def start_failure(
    before: Document | None, instance: Document | None, *, strategy: str, spread: float, scale: float
) -> Document | None:
    """`status.startFailure` after this look: None where there is nothing to count."""
    if ran(instance) or strategy not in RETRIES:
        return None
    if instance is None or at(instance, "status", "phase") not in FINAL:
        return before
    if before is not None and before.get("lastFailedVMIUID") == uid_of(instance):
        return before
    failures = int((before or {}).get("consecutiveFailCount", 0)) + 1
    wait = timedelta(seconds=delay_s(failures, spread=spread) * scale)
    again = datetime.now(UTC) + wait + timedelta(seconds=1)  # a stamp has whole seconds, and must not be too early
    return {
        "consecutiveFailCount": failures,
        "lastFailedVMIUID": uid_of(instance),
        "retryAfterTimestamp": stamp(again),
    }


def left_s(failure: Document | None, *, now: datetime) -> float:
    """How much of the wait is left; 0 where there is none."""
    if not failure or not failure.get("retryAfterTimestamp"):
        return 0.0
    again = datetime.fromisoformat(str(failure["retryAfterTimestamp"]).replace("Z", "+00:00"))
    return max(0.0, (again - now).total_seconds())
