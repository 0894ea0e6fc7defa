"""Taking a GPU out of service: by quarantine, until an operator lets it go; or as missing, until the host is surveyed again."""

from __future__ import annotations

from collections.abc import Callable

from provisioner.lifecycle.ports import Ports
from provisioner.model.errors import Conflict
from provisioner.model.gpu_host import GpuHealth, GPUHost, Quarantine
from provisioner.model.metadata import Key
from provisioner.store.protocol import Event

ATTEMPTS = 5


def quarantine(ports: Ports, *, host: str, address: str, reason: str) -> None:
    """Note that this GPU must not be handed out. Idempotent: the first reason stays.

    Raises:
        Conflict: the host's status kept changing under us; the caller's pass is repeated.
        NotFound: the host was removed.
    """

    def quarantined(known: GPUHost) -> GPUHost:
        if any(entry.address == address for entry in known.status.quarantined):
            return known
        entry = Quarantine(address=address, reason=reason[:500], since=ports.now())
        return known.with_status(quarantined=(*known.status.quarantined, entry))

    if _change(ports, host, quarantined):
        ports.store.record(Event(Key("GPUHost", "", host), "Warning", "GPUQuarantined", f"{address}: {reason}"))


def note_missing(ports: Ports, *, host: str, address: str, why: str) -> None:
    """Note ahead of the next survey that the host does not show this GPU, so that it is not chosen. Raises as `quarantine`."""

    def without(known: GPUHost) -> GPUHost:
        changes = {"health": GpuHealth.MISSING, "health_message": why[:500]}
        gpus = tuple(gpu.model_copy(update=changes) if gpu.address == address else gpu for gpu in known.status.gpus)
        return known.with_status(gpus=gpus)

    if _change(ports, host, without):
        ports.store.record(Event(Key("GPUHost", "", host), "Warning", "GPUMissing", f"{address}: {why}"))


def _change(ports: Ports, host: str, change: Callable[[GPUHost], GPUHost]) -> bool:
    """Write the changed status; says whether anything changed."""
    for attempt in range(ATTEMPTS):
        known = ports.store.get(GPUHost, host)
        changed = change(known)
        if changed == known:
            return False
        try:
            ports.store.update_status(changed)
        except Conflict:
            if attempt == ATTEMPTS - 1:
                raise
            continue
        break
    return True
