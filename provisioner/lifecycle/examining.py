"""Step `examine` of a host: a look from inside, judged by the doctor, and written down.

    inventory.examine (beside the workers, with a time limit) -> planning.doctor -> findings, health of each GPU, identities
                │ fails, hangs
                └────────────> finding HK-DOC-302; what was known before stays, and the host is as alive as libvirt says

A GPU whose finding is an error is not handed out. A card that is not the recorded one is quarantined: only an operator can say
that this is meant. The identity of an address is recorded once, and only ever completed. A GPU that was left on vfio-pci and
that nobody owns is taken home (stray_gpus.py).
"""

from __future__ import annotations

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.lifecycle.background import Running
from provisioner.lifecycle.gpu_claim.functions import VFIO
from provisioner.lifecycle.gpu_health import watch_over_gpus
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.quarantine import quarantine
from provisioner.lifecycle.stray_gpus import take_strays_home
from provisioner.lifecycle.surveying import claimed_on
from provisioner.lifecycle.verdicts import Done, Retry, Verdict
from provisioner.lifecycle.view import View
from provisioner.model.errors import HikubeError, HostTimeout, HostUnreachable
from provisioner.model.examination import GpuIdentity, HostExamination
from provisioner.model.gpu_host import FreeHugepages, GpuFacts, GPUHost
from provisioner.model.metadata import find_condition
from provisioner.planning.doctor.diagnosis import Diagnosis, diagnose, judged
from provisioner.planning.doctor.gpu_table import SWAPPED
from provisioner.planning.doctor.host_table import FAILED
from provisioner.planning.doctor.table import host_finding
from provisioner.planning.policy import PlacementPolicy
from provisioner.planning.refusals import counted

EXAMINE_TIMEOUT_S = 45.0
GRACE_S = 15.0
"""Beyond its time limit, before an examination that does not return is given up."""
POLL_S = 10.0
"""How often to see whether it hangs; its end wakes the host by itself."""
EXAMINED = "Examined"
"""The condition of the step."""
EXAMINING = "Examining"
"""Its reason while somebody looks."""


def examine_host(view: View[GPUHost], hypervisor: Hypervisor) -> Verdict:
    """The host was looked at from inside, or it is written down why not. Raises: HostUnreachable."""
    seen = _look(view, hypervisor)
    if isinstance(seen, Retry):
        return seen
    if isinstance(seen, str):
        return _failed(view, hypervisor, seen)
    before = view.resource.status.boot_id
    host = with_examination(view.resource, seen)
    diagnosis = diagnosis_of(host, seen, view.ports)
    gpus = tuple(judged(gpu, diagnosis.findings) for gpu in host.status.gpus)
    examined = view.ports.now() if seen.is_known else host.status.examined
    view.write(**_known_of(host) | {"gpus": gpus, "findings": diagnosis.troubles, "examined": examined})
    if before and seen.boot_id and seen.boot_id != before:
        view.tell("HostRebooted", f"it was booted since it was last examined ({before} -> {seen.boot_id})", warning=True)
    _quarantine_swapped(view, diagnosis)
    watch_over_gpus(view, hypervisor, seen)
    take_strays_home(view, hypervisor, diagnosis.findings)
    return Done(_sentence(diagnosis, seen))


def with_examination(host: GPUHost, seen: HostExamination) -> GPUHost:
    """The host with the facts of an examination in its status, not judged yet; as it was if nobody could look."""
    if not seen.is_known:
        return host
    return host.with_status(
        gpus=tuple(_with_facts(gpu, seen) for gpu in host.status.gpus),
        boot_id=seen.boot_id or host.status.boot_id,
        iommu_address_width_bits=seen.iommu_address_width_bits,
        hugepages=hugepages_of(seen),
    )


def hugepages_of(seen: HostExamination) -> tuple[FreeHugepages, ...]:
    """The pools of huge pages as a host's status has them."""
    return tuple(
        FreeHugepages(node=pool.node, size_kib=pool.size_kib, total=pool.total, free=pool.free) for pool in seen.hugepages
    )


def diagnosis_of(host: GPUHost, seen: HostExamination, ports: Ports) -> Diagnosis:
    """The doctor's opinion of the host, with the claims and guests that the store knows on it."""
    name = host.metadata.name
    policy = PlacementPolicy()
    committed_mib = sum(
        policy.committed_mib(memory_mib=each.memory_mib, vcpus=each.vcpus, gpus=each.gpus)
        for each in ports.snapshots.committed_on(name, ports.store, ports.tables)
    )
    return diagnose(host, seen, owned_addresses=claimed_on(name, ports), committed_mib=committed_mib)


def addresses_of(host: GPUHost) -> tuple[str, ...]:
    """What has to be looked at: every GPU with all that travels with it."""
    return tuple(address for gpu in host.status.gpus for address in (gpu.address, *(other.address for other in gpu.companions)))


def _look(view: View[GPUHost], hypervisor: Hypervisor) -> HostExamination | Retry | str:
    """The examination; Retry while it is under way; in words why it failed."""
    ports, addresses = view.ports, addresses_of(view.resource)
    limit_s = EXAMINE_TIMEOUT_S * ports.time_scale
    job = f"examine {view.resource.metadata.name} ({view.resource.metadata.uid})"
    hung = f"it did not return within {limit_s + GRACE_S:.0f} s"
    condition = find_condition(view.resource.status.conditions, EXAMINED)
    if ports.background.is_under_way(job) and condition is not None and condition.status == "True":
        return hung  # it was given up in an earlier pass, and hangs still
    try:
        outcome = ports.background.run(
            job, lambda _meter: hypervisor.inventory.examine(addresses, timeout_s=limit_s), waiter=view.key
        )
    except HostTimeout as error:
        return str(error)
    except HostUnreachable:
        raise
    except HikubeError as error:
        return str(error)
    if not isinstance(outcome, Running):
        return outcome.result
    is_waiting = condition is not None and condition.status == "False" and condition.reason == EXAMINING
    if condition is not None and is_waiting and ports.age_s(condition.last_transition_time) > limit_s + GRACE_S:
        return hung
    return Retry(POLL_S, EXAMINING, "looking at the host from inside")


def _failed(view: View[GPUHost], hypervisor: Hypervisor, why: str) -> Verdict:
    finding = host_finding(FAILED, why)
    others = tuple(known for known in view.resource.status.findings if known.code != FAILED)
    view.write(findings=(finding, *others))
    watch_over_gpus(view, hypervisor, HostExamination(why_not=why))
    return Done(f"{FAILED}: {why}")


def _known_of(host: GPUHost) -> dict[str, object]:
    names = ("boot_id", "iommu_address_width_bits", "hugepages")
    return {name: getattr(host.status, name) for name in names}


def _with_facts(gpu: GpuFacts, seen: HostExamination) -> GpuFacts:
    function = seen.function(gpu.address)
    if function is None:
        return gpu
    return gpu.model_copy(
        update={
            "bar_bytes": tuple(bar.size_bytes for bar in function.bars),
            "reset_methods": function.reset_methods,
            "identity": _recorded(gpu.identity, function.identity),
            "at_home_boot_id": gpu.at_home_boot_id if function.driver == VFIO else seen.boot_id,
        }
    )


def _recorded(known: GpuIdentity | None, now: GpuIdentity) -> GpuIdentity:
    """What was recorded first, completed by what could not be read then; untouched by another card."""
    if known is None:
        return now
    if not known.agrees_with(now):
        return known
    fields = {name: getattr(known, name) or getattr(now, name) for name in type(known).model_fields}
    return known.model_copy(update=fields)


def _quarantine_swapped(view: View[GPUHost], diagnosis: Diagnosis) -> None:
    name = view.resource.metadata.name
    for finding in diagnosis.findings:
        if finding.code == SWAPPED:
            reason = f"{finding.code}: {finding.message}"
            quarantine(view.ports, host=name, address=finding.subject, reason=reason, cause="Swapped")
            view.resource = view.ports.store.get(GPUHost, name)


def _sentence(diagnosis: Diagnosis, seen: HostExamination) -> str:
    errors = len(diagnosis.errors)
    warnings = len(diagnosis.troubles) - errors
    how = f"by {seen.source}" if seen.is_known else "not from inside"
    return f"{counted(errors, 'error')}, {counted(warnings, 'warning')}, {how}"
