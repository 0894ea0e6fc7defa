"""Does the guest have what its spec asks for? Judged from the guest's own report; the last word before Ready.

Every GPU must be seen by its PCI ids, with its companions beside it in the slot, and no more GPUs than asked. NVIDIA GPUs
must also be driven: driver loaded, nvidia-smi answers and counts the same GPUs of the same models. cloud-init must have
finished. A GPU that NVIDIA's tools or the kernel call broken is refused by name: another attempt shall have another one.

    failed    something is so that time does not change (a GPU is not on the bus, cloud-init ended with an error)
    waiting   cloud-init still works, so a driver may yet appear
    proven    all of it; there may be warnings
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioner.model.gpu_host import GpuFacts
from provisioner.model.guest_report import CloudInitState, GuestReport, NvidiaGpu
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import GpuAssignment
from provisioner.planning.gpu_faults import faults_of, mismatch
from provisioner.planning.guest_devices import ExpectedGpu, expected_gpus, located
from provisioner.planning.refusals import counted


class Weight(enum.IntEnum):
    """What a finding means for the whole, the gravest last."""

    OK = 0
    WARNING = 1
    WAITING = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    weight: Weight
    sentence: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The verdict with everything behind it."""

    findings: tuple[Finding, ...]
    guest_addresses: Mapping[str, str] = field(default_factory=dict)
    """Host address of each GPU -> its address in the guest; GPUs that were not found are left out."""
    faulty: Mapping[str, str] = field(default_factory=dict)
    """Host address of each GPU that nobody should get -> why."""

    @property
    def state(self) -> str:
        """`proven`, `waiting` or `failed`."""
        gravest = max((finding.weight for finding in self.findings), default=Weight.OK)
        return {Weight.FAILED: "failed", Weight.WAITING: "waiting"}.get(gravest, "proven")

    @property
    def ok(self) -> bool:
        """Whether the VM is proven."""
        return self.state == "proven"

    @property
    def message(self) -> str:
        """The gravest findings, as one line; of a proven guest, what was proven and every warning."""
        gravest = max((finding.weight for finding in self.findings), default=Weight.OK)
        shown = {gravest} if gravest > Weight.WARNING else {Weight.OK, Weight.WARNING}
        return "; ".join(finding.sentence for finding in self.findings if finding.weight in shown)

    def as_dict(self) -> dict[str, Any]:
        """The proof as data, for the context of GuestNotProven."""
        findings = [{"weight": finding.weight.name.lower(), "sentence": finding.sentence} for finding in self.findings]
        return {
            "state": self.state,
            "findings": findings,
            "guestAddresses": dict(self.guest_addresses),
            "faulty": dict(self.faulty),
        }


def prove(
    report: GuestReport,
    *,
    assignments: Sequence[GpuAssignment],
    host_gpus: Iterable[GpuFacts],
    tables: Tables,
    needs_driver: bool = True,
) -> Proof:
    """Judge a report. `host_gpus` says which ids the GPUs and their companions have on the host.

    `needs_driver=False` is for images whose driver is the tenant's to install: a missing driver is then only a warning.
    """
    return prove_expected(report, expected_gpus(assignments, host_gpus=host_gpus, tables=tables), needs_driver=needs_driver)


def prove_expected(report: GuestReport, expected: Sequence[ExpectedGpu], *, needs_driver: bool = True) -> Proof:
    """Judge a report of a guest that should have these GPUs."""
    places = located(expected, report.functions)
    faults = faults_of(report, places=places)
    findings = [
        *(Finding(Weight.FAILED if fault.is_fatal else Weight.WARNING, fault.sentence) for fault in faults),
        *_on_the_bus(expected, report, places=places),
        *_nvidia(expected, report, places=places, needs_driver=needs_driver),
        *_cloud_init(report.cloud_init),
    ]
    return Proof(tuple(findings), places, {fault.host_address: fault.words for fault in reversed(faults) if fault.is_fatal})


def _on_the_bus(expected: Sequence[ExpectedGpu], report: GuestReport, *, places: Mapping[str, str]) -> Iterator[Finding]:
    for gpu in expected:
        if gpu.host_address not in places:
            companions = f" with its {counted(len(gpu.companion_ids), 'companion')}" if gpu.companion_ids else ""
            ids = " or ".join(sorted(gpu.ids)) or "unknown ids"
            yield Finding(Weight.FAILED, f"the guest does not see the {gpu.label} {gpu.whereabouts} ({ids}){companions}")
    for label in dict.fromkeys(gpu.label for gpu in expected):
        of_model = [gpu for gpu in expected if gpu.label == label]
        known = frozenset[str]().union(*(gpu.ids for gpu in of_model))
        seen = sum(f"{function.vendor}:{function.device}" in known for function in report.functions)
        if seen > len(of_model):
            yield Finding(Weight.FAILED, f"the guest sees {seen} {label}, {len(of_model)} of them assigned")
    if expected and len(places) == len(expected):
        yield Finding(Weight.OK, f"{counted(len(expected), 'GPU')} on the PCI bus at {', '.join(places.values())}")


def _nvidia(
    expected: Sequence[ExpectedGpu], report: GuestReport, *, places: Mapping[str, str], needs_driver: bool
) -> Iterator[Finding]:
    """What nvidia-smi must say. While cloud-init works, nothing that it says is final."""
    nvidia = [gpu for gpu in expected if gpu.is_nvidia]
    if not nvidia:
        return
    state = report.nvidia
    is_working = report.cloud_init.status in _WORKING
    missing = Weight.WAITING if is_working else Weight.FAILED if needs_driver else Weight.WARNING
    if not state.driver_loaded:
        yield Finding(missing, "the NVIDIA driver is not loaded" + (f": {state.error}" if state.error else ""))
        return
    if not state.nvidia_smi:
        said = mismatch(state) or "nvidia-smi does not answer"
        yield Finding(missing, said + (f": {state.error}" if state.error else ""))
        return
    problems = list(_nvidia_problems(nvidia, state.gpus, places=places))
    final = Weight.WAITING if is_working else Weight.FAILED
    yield from (Finding(final if weight is Weight.FAILED else weight, sentence) for weight, sentence in problems)
    if not any(weight is Weight.FAILED for weight, _ in problems):
        yield Finding(Weight.OK, f"driver {state.driver_version} drives {counted(len(state.gpus), 'GPU')}")


def _nvidia_problems(
    expected: Sequence[ExpectedGpu], rows: Sequence[NvidiaGpu], *, places: Mapping[str, str]
) -> Iterator[tuple[Weight, str]]:
    if len(rows) != len(expected):
        yield Weight.FAILED, f"nvidia-smi shows {counted(len(rows), 'GPU')}, {len(expected)} expected"
    by_address = {row.address: row for row in rows if row.address}
    for gpu in expected:
        place = places.get(gpu.host_address, "")
        row = by_address.get(place)
        if row is None and by_address:
            yield Weight.FAILED, f"nvidia-smi shows no GPU at {place or 'the place of ' + gpu.host_address}"
        elif row is not None and not gpu.accepts_name(row.name):
            # The ids at this address are the model's own; names change with the driver.
            yield Weight.WARNING, f"nvidia-smi calls the {gpu.label} at {place} {row.name!r}"
    if not by_address:
        yield from _by_name_alone(expected, rows)


def _by_name_alone(expected: Sequence[ExpectedGpu], rows: Sequence[NvidiaGpu]) -> Iterator[tuple[Weight, str]]:
    """Rows without addresses: every GPU needs a row of its own that its name accepts."""
    left = list(rows)
    for gpu in sorted(expected, key=lambda gpu: not gpu.nvidia_smi_names):
        row = next((row for row in left if gpu.accepts_name(row.name)), None)
        if row is None:
            yield Weight.FAILED, f"nvidia-smi shows no {gpu.label}, but {', '.join(row.name for row in left) or 'nothing else'}"
        else:
            left.remove(row)


_WORKING = frozenset({"not run", "running"})
_CLOUD_INIT: dict[str, tuple[Weight, str]] = {
    "done": (Weight.OK, "cloud-init finished"),
    "degraded": (Weight.WARNING, "cloud-init finished with warnings"),
    "error": (Weight.FAILED, "cloud-init ended with an error"),
    "disabled": (Weight.FAILED, "cloud-init is disabled in the image"),
    "running": (Weight.WAITING, "cloud-init is still at work"),
    "not run": (Weight.WAITING, "cloud-init has not begun"),
    "unknown": (Weight.WAITING, "the state of cloud-init is not known yet"),
}


def _cloud_init(state: CloudInitState) -> Iterator[Finding]:
    weight, sentence = _CLOUD_INIT[state.status]
    details = f": {'; '.join(state.errors)}" if state.errors and weight is not Weight.OK else ""
    yield Finding(weight, sentence + details)
