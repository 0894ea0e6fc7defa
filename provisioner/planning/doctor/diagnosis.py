"""Runs every check of the table over one host: what was found, what passed, what could not be known.

`blocking` is the one rule for handing GPUs out; placement, preflight and the exit code of the doctor go by it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from provisioner.model.examination import Finding, HostExamination
from provisioner.model.gpu_host import GpuFacts, GpuHealth, GPUHost
from provisioner.planning.doctor.checks import HOST, Answer, Found, GpuCase, HostCase, Severity, Unknown
from provisioner.planning.doctor.gpu_table import GPU_CHECKS
from provisioner.planning.doctor.host_table import AWAY, HOST_CHECKS
from provisioner.planning.doctor.table import CHECKS, AnyCheck, host_finding

CODE_PREFIX = "HK-DOC-"
RANK = {Severity.ERROR.value: 0, Severity.WARNING.value: 1, Severity.INFO.value: 2}


class Checked(NamedTuple):
    """A check that found nothing wrong. A tuple, since there are some forty of them for every GPU at every look."""

    code: str
    title: str
    subject: str


@dataclass(frozen=True, slots=True)
class NotKnown:
    """A check that could not be made."""

    code: str
    title: str
    subject: str
    why: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a look at one host has shown."""

    findings: tuple[Finding, ...] = ()
    """Host first, then by GPU; within each the worst first."""
    passed: tuple[Checked, ...] = ()
    not_known: tuple[NotKnown, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What keeps GPUs from being handed out."""
        return tuple(finding for finding in self.findings if finding.severity == Severity.ERROR)

    @property
    def troubles(self) -> tuple[Finding, ...]:
        """Errors and warnings."""
        return tuple(finding for finding in self.findings if finding.severity != Severity.INFO)

    def about(self, subject: str) -> tuple[Finding, ...]:
        """The findings about the host (`host`) or the GPU at that address."""
        return tuple(finding for finding in self.findings if finding.subject == subject)

    def with_finding(self, finding: Finding, *, instead_of: str = "") -> Diagnosis:
        """The same with one finding more, and without those of another code."""
        kept = (known for known in self.findings if known.code != instead_of)
        return replace(self, findings=_sorted([*kept, finding]))


def diagnose(
    host: GPUHost,
    examination: HostExamination,
    *,
    owned_addresses: Collection[str] = (),
    committed_mib: int = 0,
    guest_mib: int | None = None,
    only: Collection[str] | None = None,
) -> Diagnosis:
    """Every check over the host and its GPUs.

    Args:
        host: its spec, and what it was last surveyed to have.
        examination: a look from inside; without a source where nobody could look.
        owned_addresses: GPUs that a claim owns; QEMU has those open, and may.
        committed_mib: memory of the guests that run there.
        guest_mib: memory of a guest that is about to start; memory is then judged for that one.
        only: addresses of the GPUs to judge; all of them if None.
    """
    case = HostCase(host, examination, frozenset(owned_addresses), committed_mib, guest_mib)
    gpus = [gpu for gpu in host.status.gpus if only is None or gpu.address in only]
    findings: list[Finding] = []
    passed: list[Checked] = []
    unknown: list[NotKnown] = []
    for check, subject, answer in [*_of_host(case), *(each for gpu in gpus for each in _of_gpu(GpuCase(case, gpu)))]:
        if answer is None:
            passed.append(Checked(check.code, check.title, subject))
        elif isinstance(answer, Found):
            findings.append(check.finding(answer, subject=subject))
        else:
            unknown.append(NotKnown(check.code, check.title, subject, answer.why))
    return Diagnosis(_sorted(findings), tuple(passed), tuple(unknown))


def unanswered(why: str) -> Diagnosis:
    """The diagnosis of a host that does not answer: that, and that nothing else is known."""
    checks = (check for check in HOST_CHECKS if check.look is not None)
    unknown = tuple(NotKnown(check.code, check.title, HOST, "the host does not answer") for check in checks)
    return Diagnosis(findings=(host_finding(AWAY, why),), not_known=unknown)


def blocking(findings: Iterable[Finding], address: str) -> Finding | None:
    """Why this GPU is not handed out: an error of its own, or else of its host; None if nothing is in the way.

    What placement judges by itself (KVM, pools, networks, windows: it knows what the VM needs) is left to it.
    """
    errors = (each for each in findings if each.severity == Severity.ERROR and each.subject in (HOST, address))
    counting = (each for each in errors if each.code not in CHECKS or not CHECKS[each.code].is_placed_apart)
    return min(counting, key=lambda each: (each.subject == HOST, each.code), default=None)


def judged(gpu: GpuFacts, findings: Iterable[Finding]) -> GpuFacts:
    """The GPU with its health by that rule. One that is missing stays missing; what a survey finds by itself stays too."""
    if gpu.health is GpuHealth.MISSING:
        return gpu
    worst = blocking(findings, gpu.address)
    if worst is not None:
        changes = {"health": GpuHealth.UNUSABLE, "health_message": f"{worst.code}: {worst.message}"}
        return gpu.model_copy(update=changes)
    if is_judged(gpu):
        return gpu.model_copy(update={"health": GpuHealth.OK, "health_message": ""})
    return gpu


def is_judged(gpu: GpuFacts) -> bool:
    """Whether its health is that of a finding."""
    return gpu.health is GpuHealth.UNUSABLE and gpu.health_message.startswith(CODE_PREFIX)


def code_of(message: str) -> str:
    """The code that a health message begins with; empty if it is no finding's."""
    return message.partition(":")[0] if message.startswith(CODE_PREFIX) else ""


Row = tuple[AnyCheck, str, Answer]


def _of_host(case: HostCase) -> Iterable[Row]:
    for check in HOST_CHECKS:
        if check.look is not None:
            answer = _why_not(case) if check.needs_inside and not case.examination.is_known else check.look(case)
            yield check, HOST, answer


def _of_gpu(case: GpuCase) -> Iterable[Row]:
    """A GPU that is not there is that and nothing else."""
    is_gone = case.about.examination.is_known and case.function is None
    for check in GPU_CHECKS:
        if check.look is None:
            continue
        if check.needs_inside and (is_gone or not case.about.examination.is_known):
            answer: Answer = Unknown("it is not there") if is_gone else _why_not(case.about)
        else:
            answer = check.look(case)
        yield check, case.gpu.address, answer


def _why_not(case: HostCase) -> Unknown:
    return Unknown(case.examination.why_not or "nobody has looked at the host from inside")


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda each: (each.subject != HOST, each.subject, RANK[each.severity], each.code)))
