"""What a claimed GPU was before the first driver was touched, and whether it still is the same card in the same group.

Recorded once per claim, for function 0 and every other member of its IOMMU group that is no bridge. From then on every start
compares: ids, subsystem, revision and serial of the card, ids of its companions, members of the group; and with what the host
had at that address before the claim. A field that cannot be read on one side says nothing. A group's number is no part of it:
it may change with every boot of the host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.examination import FunctionExamination, GpuIdentity, HostExamination
from provisioner.model.gpu_claim import ClaimedFunction, GPUClaim
from provisioner.model.gpu_host import GpuFacts
from provisioner.model.pci import PciFunction

Functions = Mapping[str, PciFunction]
"""How the host shows the functions now, by address."""


def facts_of(view: VirtualMachineView, claim: GPUClaim) -> GpuFacts | None:
    """What the last survey of the host said of the GPU; None if it is not there any more."""
    return next((gpu for gpu in view.host.status.gpus if gpu.address == claim.spec.address), None)


def group_of(facts: GpuFacts, examination: HostExamination) -> tuple[str, ...]:
    """Addresses of the GPU and of every member of its group that is no bridge, as fresh as can be; function 0 first."""
    card = examination.function(facts.address)
    if card is None or not card.group_members:
        return (facts.address, *(companion.address for companion in facts.companions))
    members = (examination.function(address) for address in card.group_members if address != facts.address)
    return (facts.address, *sorted(member.address for member in members if member is not None and not member.is_bridge))


def recorded(claim: GPUClaim, facts: GpuFacts, functions: Functions, examination: HostExamination) -> GPUClaim:
    """The claim with what must be restored, and with what every later start must find again."""
    card = examination.function(facts.address)
    own = functions[facts.address]
    return claim.with_status(
        functions=tuple(_claimed(function, examination.function(address)) for address, function in functions.items()),
        identity=card.identity if card is not None else GpuIdentity(vendor=own.vendor, device=own.device),
        iommu_group=card.iommu_group if card is not None else facts.iommu_group,
        group_members=tuple(functions),
        host_boot_id=examination.boot_id,
    )


def differences(claim: GPUClaim, facts: GpuFacts | None, functions: Functions, examination: HostExamination) -> Iterator[str]:
    """In which ways the GPU is not what it was, with both sides named; nothing: it is."""
    card = examination.function(claim.spec.address)
    own = functions[claim.spec.address]
    now = card.identity if card is not None else GpuIdentity(vendor=own.vendor, device=own.device)
    for before in (claim.status.identity, facts.identity if facts is not None else None):
        if before is not None and not before.agrees_with(now):
            yield f"another card is at {claim.spec.address}: {now.name}, and it was {before.name}"
            return
    for known in claim.status.functions:
        found = functions.get(known.address)
        if found is not None and (found.vendor, found.device) != (known.vendor, known.device):
            yield f"{known.address} is {found.id} now, and it was {known.vendor}:{known.device}"
    if facts is not None and card is not None and claim.status.group_members:
        members = group_of(facts, examination)
        if set(members) != set(claim.status.group_members):
            yield f"its IOMMU group is {', '.join(members)} now, and it was {', '.join(claim.status.group_members)}"


def _claimed(function: PciFunction, examined: FunctionExamination | None) -> ClaimedFunction:
    return ClaimedFunction(
        address=function.address,
        vendor=function.vendor,
        device=function.device,
        previous_driver=function.driver,
        previous_override=examined.driver_override if examined is not None else "",
        aer=examined.aer if examined is not None else None,
    )
