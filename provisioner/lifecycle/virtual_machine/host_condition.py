"""The condition `HostReachable` of a VM that was Ready when its host went away. It is no step, and no step waits for it.

Nobody knows then whether the VM runs, so `Ready` stays what was last seen, and this stands beside it. A VM whose host never
went away does not have it.
"""

from __future__ import annotations

from provisioner.drivers.hypervisor import Domain
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.errors import HostUnreachable
from provisioner.model.metadata import find_condition

HOST_REACHABLE = "HostReachable"


def look_after(view: VirtualMachineView) -> Domain | None:
    """The VM's domain as it is now, or None; whether its host answered is written down where that is news.

    Raises:
        HostUnreachable: the host does not answer.
    """
    before = find_condition(view.resource.status.conditions, HOST_REACHABLE)
    try:
        domain = view.look()
    except HostUnreachable as error:
        if before is None or before.status != "False":
            view.write(view.condition(HOST_REACHABLE, "False", "HostUnreachable", str(error)))
        raise
    if before is not None and before.status != "True":
        view.write(view.condition(HOST_REACHABLE, "True", "Reachable"))
    return domain
