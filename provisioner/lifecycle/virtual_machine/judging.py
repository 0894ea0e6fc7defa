"""What a pass reads off a VM: where it is in its life, what a restart may keep, whether its host is known, which times hold."""

from __future__ import annotations

from provisioner.lifecycle.ports import CLOCKS_DIFFER_S
from provisioner.lifecycle.virtual_machine import access
from provisioner.lifecycle.virtual_machine.attachments import release_disks
from provisioner.lifecycle.virtual_machine.reserve import release_gpus
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.clock import seconds
from provisioner.model.errors import InvalidInput, NotFound
from provisioner.model.virtual_machine import Phase
from provisioner.planning.restart import restart_required

FAILURE_BACKOFF_MOST_S = 300.0
"""The longest pause between two attempts."""
BOOTING = frozenset({"address", "reach", "verify", "ready"})


def host_is_known(view: VirtualMachineView) -> bool:
    """Whether the store has the VM's host, if it has one."""
    try:
        return not view.resource.status.host or bool(view.host)
    except NotFound:
        return False


def leave_behind(view: VirtualMachineView) -> None:
    """An operator took the host out of the store although the VM was on it: what is there cannot be undone by anybody."""
    view.tell("LeftBehind", f"host `{view.resource.status.host}` is not known any more; nothing was undone there", warning=True)
    release_disks(view)
    release_gpus(view)
    access.delete(view)


def phase_of(view: VirtualMachineView) -> Phase:
    """The word for a VM on its way up."""
    begun = {record.name for record in view.resource.status.steps}
    if begun & BOOTING:
        return Phase.BOOTING
    return Phase.PROVISIONING if view.holds("Scheduled") else Phase.PENDING


def must_reserve_anew(view: VirtualMachineView) -> bool:
    """Whether other GPUs are asked for. Any other change keeps them, if the host can take it: they need no cleaning then."""
    running = view.resource.status.running_spec
    return running is None or sorted(running.gpus) != sorted(gpu.name for gpu in view.resource.spec.gpus)


def forget_times_ahead(view: VirtualMachineView) -> None:
    """What a clock that was ahead wrote before it was set right: nobody waits until it is that late."""
    status, ports = view.resource.status, view.ports
    if status.stopping_since and ports.is_ahead(status.stopping_since):
        view.write(stopping_since=ports.now())
    if status.retry_after and seconds(status.retry_after) - ports.clock.now_s() > FAILURE_BACKOFF_MOST_S + CLOCKS_DIFFER_S:
        view.write(retry_after="")


def differences(view: VirtualMachineView) -> tuple[str, ...]:
    """What of the spec the running domain does not follow."""
    running = view.resource.status.running_spec
    if running is None:
        return ()
    try:
        return restart_required(running, view.resource, size=view.size, vm_disks=view.disks)
    except (NotFound, InvalidInput) as error:
        return (str(error),)
