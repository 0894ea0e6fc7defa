"""From a VM and its host to the domain's XML: calls planning, then the template. Decides nothing itself."""

from __future__ import annotations

from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model import domain_names
from provisioner.model.gpu_host import GPUHost
from provisioner.planning.hardware import plan_domain
from provisioner.planning.plans import DomainPlan
from templates.domain import render_domain


def domain_xml(view: VirtualMachineView) -> tuple[str, DomainPlan]:
    """The XML of the VM's domain on its host, and the plan that it was written from."""
    firmware = view.image.spec.firmware if view.image is not None else "bios"
    planned = plan_domain(
        view.resource,
        size=view.size,
        host=view.host,
        tables=view.ports.tables,
        vm_disks=view.disks,
        firmware=firmware,
    )
    return render_domain(
        planned.plan, pool_paths=pool_paths(view.host), console_log_path=console_log_path(view.host, view.domain_name)
    ), planned.plan


def pool_paths(host: GPUHost) -> dict[str, str]:
    """Where each pool of the host keeps its volumes."""
    return {pool.name: pool.path for pool in host.status.storage_pools}


def console_log_path(host: GPUHost, domain: str) -> str:
    """Where the guest's serial console is written on the host."""
    return domain_names.console_log_path(pool_paths(host).get(host.spec.storage_pool, ""), domain)
