"""Notes in the history of a card about what was done to it between tenants; the entries of tenants are the claims' to write."""

from __future__ import annotations

from provisioner.lifecycle.ports import Ports
from provisioner.model.errors import Conflict, NotFound
from provisioner.model.examination import GpuIdentity
from provisioner.model.gpu_history import GPUHistory, GPUHistoryNote, GPUHistorySpec, history_name
from provisioner.model.metadata import Metadata

ATTEMPTS = 5


def note_in_history(ports: Ports, identity: GpuIdentity | None, note: GPUHistoryNote) -> None:
    """Append the note to the card's history; a card that could not be read has none.

    Raises:
        Conflict: others kept writing the history; the caller's pass is repeated.
    """
    if identity is None:
        return
    name = history_name(identity, host=note.host, address=note.address)
    for attempt in range(ATTEMPTS):
        try:
            history = _history(ports, name, identity)
            changed = history.with_note(note)
            if changed is not history:
                ports.store.update_status(changed)
            return
        except Conflict:
            if attempt == ATTEMPTS - 1:
                raise


def _history(ports: Ports, name: str, identity: GpuIdentity) -> GPUHistory:
    """Raises: AlreadyExists, which is a Conflict: somebody was faster to create it."""
    try:
        return ports.store.get(GPUHistory, name)
    except NotFound:
        return ports.store.create(GPUHistory(metadata=Metadata(name=name), spec=GPUHistorySpec(identity=identity)))
