"""Every happening there is: importing this makes all of them known."""

from __future__ import annotations

from tests.simulation.happenings import (
    ACTS,
    calls,
    devices,
    disks,
    guests,
    hosts,
    operators,
    processes,
    quotas,
    users,
    watching,
)

__all__ = ["ACTS", "calls", "devices", "disks", "guests", "hosts", "operators", "processes", "quotas", "users", "watching"]
