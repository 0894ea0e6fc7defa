"""GPUs of stopped VMs that had not come home when the store was lost: still on vfio-pci, and claimed by nobody.

A VM lets go of its claims when it stops, and its GPUs are cleaned and given back after that. What the parked domain recorded is
the last trace of the drivers that they had, so each gets a claim again, a released one, and goes the way of any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from provisioner.drivers.hypervisor import Domain, Hypervisor
from provisioner.lifecycle.adoption.findings import Adoptee, Verdict
from provisioner.lifecycle.adoption.rebuilding import claims_of
from provisioner.lifecycle.gpu_claim.functions import VFIO
from provisioner.lifecycle.ports import Ports
from provisioner.model.errors import HikubeError, NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.machine_record import MachineRecord


def with_stranded_gpus(
    adoptees: tuple[Adoptee, ...],
    records: Mapping[Domain, MachineRecord | HikubeError],
    *,
    host: GPUHost,
    hypervisor: Hypervisor,
    ports: Ports,
) -> tuple[Adoptee, ...]:
    """The plan with such claims before all else of their VM. A host that keeps its GPUs on vfio-pci has none."""
    if host.spec.keep_on_vfio:
        return adoptees
    taken = {claim.metadata.name for claim in ports.store.list(GPUClaim).items}
    taken |= {made.metadata.name for each in adoptees for made in each.makes if isinstance(made, GPUClaim)}
    used = {address for each in adoptees for address in each.domain.functions}
    found = []
    for each in adoptees:
        record = records[each.domain]
        if each.verdict is Verdict.ADOPTED and isinstance(record, MachineRecord) and record.is_parked:
            claims = [
                claim
                for claim in claims_of(record, host=host.metadata.name, now=ports.now())
                if claim.metadata.name not in taken and claim.spec.address not in used and _is_stranded(claim, hypervisor)
            ]
            taken |= {claim.metadata.name for claim in claims}
            each = replace(each, makes=(*claims, *each.makes))
        found.append(each)
    return tuple(found)


def _is_stranded(claim: GPUClaim, hypervisor: Hypervisor) -> bool:
    """Whether a function that had another driver is on vfio-pci."""
    known = [function for function in claim.status.functions if function.previous_driver != VFIO]
    try:
        now = hypervisor.devices.functions([function.address for function in known])
    except NotFound:
        return False
    return any(function.driver == VFIO for function in now)
