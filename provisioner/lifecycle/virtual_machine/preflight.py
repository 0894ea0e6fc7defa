"""The doctor's checks before the first driver is touched: only the claimed GPUs, with one fresh look at the host from inside.

    None                 nothing is in the way
    Retry  HK-DOC-2xx    it may go away by itself: a process that holds the GPU, memory that is not free yet
    Abort  HK-DOC-2xx    it does not: the GPU is marked so that the next attempt gets another one
    Abort  HK-DOC-218    another card is there than the recorded one: quarantined, for an operator to look at

A host that cannot be looked at from inside passes with what is known of it: placement has decided by its reset policy already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provisioner.lifecycle.examining import hugepages_of
from provisioner.lifecycle.quarantine import change_host, quarantine
from provisioner.lifecycle.verdicts import Abort, Retry, Verdict
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.examination import Finding, HostExamination
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.planning.doctor.checks import HOST, Found
from provisioner.planning.doctor.diagnosis import blocking, diagnose, judged
from provisioner.planning.doctor.gpu_table import REGROUPED, SWAPPED
from provisioner.planning.doctor.host_table import INSIDE
from provisioner.planning.doctor.identity import swapped
from provisioner.planning.doctor.table import CHECKS

HELD_RETRY_S = 5.0


def preflight(view: VirtualMachineView, claims: Sequence[GPUClaim]) -> Verdict | None:
    """Why the claimed GPUs cannot be bound now; None if nothing is in the way.

    For a VM whose domain does not run: whoever has a GPU of it open is a stranger. Raises as `examine` of the inventory.
    """
    if not claims:
        return None
    seen = view.examination()
    findings = [*_of_claims(claims, seen), *_of_doctor(view, claims, seen)]
    for claim in claims:
        finding = blocking(findings, claim.spec.address)
        if finding is not None:
            return _verdict(view, finding)
    _note_hugepages(view, seen)
    return None


def _of_claims(claims: Sequence[GPUClaim], seen: HostExamination) -> Iterator[Finding]:
    """Whether each GPU is still what was recorded when its VM first got it."""
    for claim in claims:
        function = seen.function(claim.spec.address)
        if function is None:
            continue
        found = swapped(claim.status.identity, function.identity)
        if found is not None:
            yield CHECKS[SWAPPED].finding(found, subject=claim.spec.address)
        bridges = {other.address for other in seen.functions if other.is_bridge}
        strange = set(claim.status.group_members) ^ (set(function.group_members) - bridges)
        if claim.status.group_members and strange:
            message = f"its IOMMU group is not what it was: {', '.join(sorted(strange))}"
            yield CHECKS[REGROUPED].finding(Found(message), subject=claim.spec.address)


def _of_doctor(view: VirtualMachineView, claims: Sequence[GPUClaim], seen: HostExamination) -> Iterator[Finding]:
    only = [claim.spec.address for claim in claims]
    diagnosis = diagnose(view.host, seen, guest_mib=view.size.memory_mib, only=only)
    yield from (finding for finding in diagnosis.findings if finding.code != INSIDE)


def _verdict(view: VirtualMachineView, finding: Finding) -> Verdict:
    check, name = CHECKS[finding.code], view.host.metadata.name
    subject = f"host {name}" if finding.subject == HOST else f"GPU {finding.subject}"
    message = f"{subject}: {finding.message}. {check.advice}"
    if check.is_passing:
        return Retry(HELD_RETRY_S, finding.code, message, is_trouble=True)
    if finding.code == SWAPPED:
        reason = f"{finding.code}: {finding.message}"
        quarantine(view.ports, host=name, address=finding.subject, reason=reason, cause="Swapped")
    elif finding.subject != HOST:
        change_host(view.ports, name, lambda host: _marked(host, finding))
    view.ports.host_watch.ask_survey(view.host.key)
    return Abort(finding.code, message)


def _note_hugepages(view: VirtualMachineView, seen: HostExamination) -> None:
    """The plan of the domain, which is made next, goes by the pages that are free now."""
    pools = hugepages_of(seen)
    if seen.is_known and pools != view.host.status.hugepages:
        change_host(view.ports, view.host.metadata.name, lambda host: host.with_status(hugepages=pools))
        view.host = view.ports.store.get(GPUHost, view.host.metadata.name)


def _marked(host: GPUHost, finding: Finding) -> GPUHost:
    """The host with that finding, so that the GPU is not chosen again before the next examination."""
    others = (known for known in host.status.findings if (known.code, known.subject) != (finding.code, finding.subject))
    findings = (finding, *others)
    gpus = tuple(judged(gpu, findings) if gpu.address == finding.subject else gpu for gpu in host.status.gpus)
    return host.with_status(findings=findings, gpus=gpus)
