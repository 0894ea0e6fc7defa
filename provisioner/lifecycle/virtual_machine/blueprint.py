"""From a VM and its host to the domain's XML: calls planning, then the template. Decides nothing itself."""

from __future__ import annotations

from provisioner.lifecycle.examining import with_examination
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model import domain_names
from provisioner.model.gpu_host import GPUHost
from provisioner.planning.hardware import HardwarePlan, plan_domain
from provisioner.planning.plans import DomainPlan
from templates.domain import render_domain


def hardware_of(view: VirtualMachineView, *, host: GPUHost | None = None) -> HardwarePlan:
    """The hardware of the VM on its host, by what the store knows of the host, or by what `host` says.

    Raises:
        NotFound: it has no host, or names a VMDisk that does not exist.
        Unsupported: the host cannot give a guest this hardware.
    """
    return plan_domain(
        view.resource,
        size=view.size,
        host=host or view.host,
        tables=view.ports.tables,
        vm_disks=view.disks,
        firmware=view.firmware,
    )


def host_now(view: VirtualMachineView) -> GPUHost:
    """The host with the huge pages that it has at this moment: they come and go with guests. Asks the host if it keeps any."""
    host = view.host
    if not view.resource.status.gpus or not any(pool.total for pool in host.status.hugepages):
        return host
    seen = with_examination(host, view.examination())
    return host.with_status(hugepages=seen.status.hugepages)


def domain_xml(view: VirtualMachineView, *, record: str = "", host: GPUHost | None = None) -> tuple[str, DomainPlan]:
    """The XML of the VM's domain on its host, bearing that record, and the plan behind it. Raises as `hardware_of`."""
    plan = hardware_of(view, host=host).plan
    log_path = console_log_path(view.host, view.domain_name)
    return render_domain(plan, pool_paths=pool_paths(view.host), console_log_path=log_path, record=record), plan


def pool_paths(host: GPUHost) -> dict[str, str]:
    """Where each pool of the host keeps its volumes."""
    return {pool.name: pool.path for pool in host.status.storage_pools}


def console_log_path(host: GPUHost, domain: str) -> str:
    """Where the guest's serial console is written on the host."""
    return domain_names.console_log_path(pool_paths(host).get(host.spec.storage_pool, ""), domain)
