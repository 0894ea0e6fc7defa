"""Taking a GPU out of service: by quarantine, until an operator lets it go; or as missing, until the host is surveyed again.

The only ways out of quarantine are `lifted`, which gpu_release.py calls after a check that passed, and the removal of the host.
"""

from __future__ import annotations

from collections.abc import Callable

from provisioner.lifecycle.ports import Ports
from provisioner.model.errors import Conflict
from provisioner.model.examination import GpuIdentity
from provisioner.model.gpu_host import GpuHealth, GPUHost, Quarantine
from provisioner.model.metadata import Key
from provisioner.planning.gpu_health import DEATHS
from provisioner.store.protocol import Event

ATTEMPTS = 5
OPERATOR = "Operator"
"""Cause of a quarantine that somebody asked for."""


def quarantine(ports: Ports, *, host: str, address: str, reason: str, cause: str = "", accuser: str = "") -> bool:
    """Note that this GPU must not be handed out, and tell; says whether that is news.

    Idempotent: the first reason stays. Only that a GPU has died outweighs another reason, since its VM is told so.

    Args:
        ports: the seams.
        host: name of the GPUHost.
        address: of the GPU.
        reason: in words.
        cause: one CamelCase word for tables and programs.
        accuser: the namespace on whose guest's word alone it is; see Quarantine.

    Raises:
        Conflict: the host's status kept changing under us; the caller's pass is repeated.
        NotFound: the host was removed.
    """

    def quarantined(known: GPUHost) -> GPUHost:
        entry = Quarantine(address=address, reason=reason[:500], since=ports.now(), cause=cause, accuser=accuser)
        before = next((each for each in known.status.quarantined if each.address == address), None)
        if before is not None and (before.cause in DEATHS or cause not in DEATHS):
            return known
        others = tuple(each for each in known.status.quarantined if each.address != address)
        return known.with_status(quarantined=(*others, entry))

    is_news = change_host(ports, host, quarantined)
    if is_news:
        _tell(ports, host, "GPUQuarantined", f"{address}: {reason}", warning=True)
    return is_news


def blamed(ports: Ports, *, host: str, address: str, reason: str) -> None:
    """Say anew why a quarantined GPU must stay there: what a check found counts more than what was before. Raises as above."""

    def with_reason(known: GPUHost) -> GPUHost:
        entries = tuple(
            entry.model_copy(update={"reason": reason[:500]}) if entry.address == address else entry
            for entry in known.status.quarantined
        )
        return known.with_status(quarantined=entries)

    if change_host(ports, host, with_reason):
        _tell(ports, host, "GPUCheckFailed", f"{address}: {reason}", warning=True)


def lifted(ports: Ports, *, host: str, address: str, identity: GpuIdentity | None) -> bool:
    """Hand the GPU out again, as the card that it now is (None: that could not be read); says whether it was quarantined."""

    def free(known: GPUHost) -> GPUHost:
        left = tuple(entry for entry in known.status.quarantined if entry.address != address)
        changes = {"health": GpuHealth.OK, "health_message": ""} | ({"identity": identity} if identity is not None else {})
        gpus = tuple(gpu.model_copy(update=changes) if gpu.address == address else gpu for gpu in known.status.gpus)
        return known.with_status(quarantined=left, gpus=gpus) if left != known.status.quarantined else known

    before = _identity(ports, host, address)
    was_there = change_host(ports, host, free)
    if was_there:
        is_another = identity is not None and before is not None and not before.agrees_with(identity)
        words = f" as another card than before, {identity.name}" if identity is not None and is_another else ""
        _tell(ports, host, "GPUReleased", f"{address}: it passed its check and may be handed out again{words}")
    return was_there


def note_missing(ports: Ports, *, host: str, address: str, why: str) -> None:
    """Note ahead of the next survey that the host does not show this GPU, so that it is not chosen. Raises as `quarantine`."""

    def without(known: GPUHost) -> GPUHost:
        changes = {"health": GpuHealth.MISSING, "health_message": why[:500]}
        gpus = tuple(gpu.model_copy(update=changes) if gpu.address == address else gpu for gpu in known.status.gpus)
        return known.with_status(gpus=gpus)

    if change_host(ports, host, without):
        _tell(ports, host, "GPUMissing", f"{address}: {why}", warning=True)


def change_host(ports: Ports, host: str, change: Callable[[GPUHost], GPUHost]) -> bool:
    """Write what `change` makes of the host's status, also while others write; says whether anything changed.

    Raises: Conflict, NotFound, as `quarantine`.
    """
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


def _identity(ports: Ports, host: str, address: str) -> GpuIdentity | None:
    """The card that is recorded for the address."""
    gpus = ports.store.get(GPUHost, host).status.gpus
    return next((gpu.identity for gpu in gpus if gpu.address == address), None)


def _tell(ports: Ports, host: str, reason: str, message: str, *, warning: bool = False) -> None:
    ports.store.record(Event(Key("GPUHost", "", host), "Warning" if warning else "Normal", reason, message[:1000]))
