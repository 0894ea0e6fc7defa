"""Which card this is, and whether it is the one that was there before.

The address names a place; ids, subsystem, revision and serial name a card. What one of two readings does not know counts as
equal: a host that could not be asked for a serial proves no swap.
"""

from __future__ import annotations

from provisioner.model.examination import GpuIdentity
from provisioner.planning.doctor.checks import Answer, Found, GpuCase


def differences(before: GpuIdentity, now: GpuIdentity) -> tuple[str, ...]:
    """The parts that are known of both and differ: `serial 00-… is now 01-…`; empty if it may be the same card."""
    pairs = ((part.replace("_", " "), getattr(before, part), getattr(now, part)) for part in GpuIdentity.model_fields)
    return tuple(f"{part} {old} is now {new}" for part, old, new in pairs if old and new and old != new)


def same_card(case: GpuCase) -> Answer:
    """Whether it is the card that was recorded for this address."""
    now = _present(case)
    return swapped(case.gpu.identity, now) if now is not None else None


def swapped(recorded: GpuIdentity | None, now: GpuIdentity) -> Found | None:
    """What says that another card is there than the recorded one; names both."""
    changed = differences(recorded, now) if recorded is not None else ()
    if recorded is None or not changed:
        return None
    return Found(f"card {recorded.name} was here, and now card {now.name} is ({', '.join(changed)})")


def _present(case: GpuCase) -> GpuIdentity | None:
    if case.function is not None:
        return case.function.identity
    if case.about.examination.is_known:
        return None  # it is not there at all, which is another finding
    return GpuIdentity(vendor=case.gpu.function.vendor, device=case.gpu.function.device)
