"""A claim for a GPU that somebody had and nobody owns: released from the start, so that the claims' table cleans it.

For whoever finds such a GPU on a host: below a domain without an owner, or on vfio-pci without a claim. Creating it is the
lock, as of any other claim, so nobody gets the GPU before it is clean.
"""

from __future__ import annotations

from provisioner.drivers.hypervisor import Devices
from provisioner.lifecycle.gpu_claim.functions import VFIO
from provisioner.model.errors import NotFound
from provisioner.model.gpu_claim import ClaimedFunction, ClaimOwner, GPUClaim, GPUClaimSpec, GPUClaimStatus
from provisioner.model.gpu_host import GpuFacts, GPUHost, claim_name
from provisioner.model.metadata import Metadata
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning.gpu_release import card_of


def released_claim(host: GPUHost, gpu: GpuFacts, *, last: str, uid: str, now: str) -> GPUClaim:
    """Drivers as the kernel chooses them, since nobody knows those before; `last` and `uid` say who had it, for the history.

    Of its group only what is on the same card: no tenant was ever given more, and the rest may be the host's own.
    """
    own = set(card_of(gpu))
    functions = tuple(
        ClaimedFunction(address=function.address, vendor=function.vendor, device=function.device)
        for function in (gpu.function, *gpu.companions)
        if function.address in own
    )
    owner = ClaimOwner(kind=VirtualMachine.KIND, namespace="", name=last, uid=uid)
    return GPUClaim(
        metadata=Metadata(name=claim_name(host.metadata.name, gpu.address)),
        spec=GPUClaimSpec(host=host.metadata.name, address=gpu.address, gpu_name=gpu.name, owner=owner),
        status=GPUClaimStatus(functions=functions, identity=gpu.identity, bound=True, given_at=now, released_at=now),
    )


def is_on_vfio(devices: Devices, address: str) -> bool:
    """Whether it is there, and on vfio-pci at this moment."""
    try:
        return devices.functions([address])[0].driver == VFIO
    except NotFound:
        return False
