"""Whether a change of a VM's template needs a restart, and the words for it. Pure.

`nodeSelector`, `affinity` and `tolerations` are live; sockets are below `maxSockets`; a GPU VM never gets memory while it runs.
"""

from __future__ import annotations

from copy import deepcopy

from tests.kubernetes.kubevirt.fields import Document, at

LIVE = ("nodeSelector", "affinity", "tolerations")
OTHER = "a non-live-updatable field was changed in the template spec"
SOCKETS_UP = "CPU sockets updated in template spec to a value higher than what's available"
SOCKETS_DOWN = "Reduction of CPU socket count requires a restart"
MEMORY = "memory updated in template spec. Memory-hotplug is only available for migratable VMs"


def restart_required(started: Document, machine: Document) -> str:
    """The message; empty where none is needed.

    Args:
        started: the VM's spec as it was when its instance was made.
        machine: the VM as it is.
    """
    before, after = _template(started), _template(machine["spec"])
    if _sockets(before) != _sockets(after):
        most = at(before, "domain", "cpu", "maxSockets", default=0)
        if _sockets(after) < _sockets(before):
            return SOCKETS_DOWN
        if _sockets(after) > most:
            return SOCKETS_UP
    if at(before, "domain", "memory", "guest") != at(after, "domain", "memory", "guest"):
        return MEMORY
    if started.get("instancetype") != machine["spec"].get("instancetype"):
        return OTHER
    return OTHER if _rest(before) != _rest(after) else ""


def live_changes(instance: Document, machine: Document) -> Document | None:
    """The instance with what is live in the VM's template; None where nothing is to be copied."""
    after = _template(machine["spec"])
    new = deepcopy(instance)
    for name in LIVE:
        if name in after:
            new["spec"][name] = after[name]
        else:
            new["spec"].pop(name, None)
    sockets, most = _sockets(after), at(instance, "spec", "domain", "cpu", "maxSockets", default=0)
    if at(after, "domain", "cpu", "sockets") and sockets <= most:
        new["spec"]["domain"]["cpu"]["sockets"] = sockets
    return new if new != instance else None


def _template(spec: Document) -> Document:
    return dict(at(spec, "template", "spec", default={}))


def _sockets(template: Document) -> int:
    return int(at(template, "domain", "cpu", "sockets", default=1))


def _rest(template: Document) -> Document:
    rest = deepcopy({key: value for key, value in template.items() if key not in LIVE})
    at(rest, "domain", "cpu", default={}).pop("sockets", None)
    at(rest, "domain", "memory", default={}).pop("guest", None)
    return rest
