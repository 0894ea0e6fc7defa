"""Taking a GPU out of service: it stays on its host's list with a reason until an operator lets it go."""

from __future__ import annotations

from provisioner.lifecycle.ports import Ports
from provisioner.model.errors import Conflict
from provisioner.model.gpu_host import GPUHost, Quarantine
from provisioner.model.metadata import Key
from provisioner.store.protocol import Event

ATTEMPTS = 5


def quarantine(ports: Ports, *, host: str, address: str, reason: str) -> None:
    """Note that this GPU must not be handed out. Idempotent: the first reason stays.

    Raises:
        Conflict: the host's status kept changing under us; the caller's pass is repeated.
        NotFound: the host was removed.
    """
    for attempt in range(ATTEMPTS):
        known = ports.store.get(GPUHost, host)
        if any(entry.address == address for entry in known.status.quarantined):
            return
        entry = Quarantine(address=address, reason=reason[:500], since=ports.now())
        try:
            ports.store.update_status(known.with_status(quarantined=(*known.status.quarantined, entry)))
        except Conflict:
            if attempt == ATTEMPTS - 1:
                raise
            continue
        ports.store.record(Event(Key("GPUHost", "", host), "Warning", "GPUQuarantined", f"{address}: {reason}"))
        return
