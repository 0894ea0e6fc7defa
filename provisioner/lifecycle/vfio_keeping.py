"""keepOnVfio: GPUs that nobody owns are on vfio-pci all the same, also after the host was booted.

Beside the workers, one job per GPU, and only for GPUs that may be handed out: one that is held, quarantined or retired is left
alone. A bind that does not return quarantines the GPU; one that is refused is told, and tried again after the next survey. A VM
that claims the GPU meanwhile binds it too, which does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.drivers.hypervisor import Devices, Hypervisor
from provisioner.lifecycle.background import Running
from provisioner.lifecycle.quarantine import quarantine
from provisioner.lifecycle.surveying import claimed_on
from provisioner.lifecycle.view import View
from provisioner.model.errors import HikubeError, HostTimeout, HostUnreachable
from provisioner.model.gpu_host import GpuFacts, GpuHealth, GPUHost
from provisioner.planning.fleet import foreign_members

VFIO = "vfio-pci"
BIND_TIMEOUT_S = 60.0
POLL_S = 1.0


def keep_gpus_on_vfio(view: View[GPUHost], hypervisor: Hypervisor) -> float | None:
    """Go on with what is to be bound; seconds until the next look, or None if there is nothing to wait for.

    Raises: Conflict: somebody kept writing the host's status. HostUnreachable: it does not answer any more.
    """
    under_way = [_bind(view, hypervisor, gpu) for gpu in _to_be_bound(view)]
    return POLL_S if any(under_way) else None


def _to_be_bound(view: View[GPUHost]) -> list[GpuFacts]:
    host = view.resource
    if not host.spec.keep_on_vfio or host.is_being_deleted:
        return []
    # Whatever else is in its group may be the host's own disk or network card: no examination has to say so first.
    wanted = [gpu for gpu in host.status.gpus if gpu.health is GpuHealth.OK and not foreign_members(gpu) and _wrong(gpu)]
    if not wanted:
        return []
    taken = {*claimed_on(host.metadata.name, view.ports), *host.spec.retired}
    taken |= {entry.address for entry in host.status.quarantined}
    return [gpu for gpu in wanted if gpu.address not in taken]


def _wrong(gpu: GpuFacts) -> tuple[str, ...]:
    """Addresses of its functions that are not on vfio-pci."""
    return tuple(function.address for function in (gpu.function, *gpu.companions) if function.driver != VFIO)


def _bind(view: View[GPUHost], hypervisor: Hypervisor, gpu: GpuFacts) -> bool:
    """Whether it is still under way; at its end a survey is asked for, which shows whether anything is left to do."""
    ports, host = view.ports, view.resource
    job = f"keep GPU {host.metadata.name}/{gpu.address} ({host.metadata.uid}) on {VFIO}"
    addresses, timeout_s = _wrong(gpu), BIND_TIMEOUT_S * ports.time_scale
    try:
        outcome = ports.background.run(
            job, lambda _meter: _bind_all(hypervisor.devices, addresses, timeout_s=timeout_s), waiter=view.key
        )
    except HostTimeout as error:
        reason = f"could not be put on {VFIO}: {error}"
        quarantine(ports, host=host.metadata.name, address=gpu.address, reason=reason, cause="Hangs")
        view.resource = ports.store.get(GPUHost, host.metadata.name)
        return False
    except HostUnreachable:
        raise
    except HikubeError as error:
        view.tell("NotKeptOnVfio", f"{gpu.address}: {error}", warning=True)
        return False
    if isinstance(outcome, Running):
        return True
    ports.host_watch.ask_survey(view.key)
    return False


def _bind_all(devices: Devices, addresses: Sequence[str], *, timeout_s: float) -> None:
    for address in addresses:
        devices.bind_vfio(address, timeout_s=timeout_s)
