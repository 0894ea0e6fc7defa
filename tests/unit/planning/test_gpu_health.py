"""Death or a mere ailment: what the host side shows of a GPU that a VM has."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.examination import AerCounts, FunctionExamination, HostExamination
from provisioner.model.gpu_host import GpuHealth, GPUHost, GPUHostSpec, GPUHostStatus, Quarantine
from provisioner.model.metadata import Metadata
from provisioner.planning.gpu_health import DEATHS, Watched, ailments, health_of
from tests.unit.planning.factory import assigned, gpu

ADDRESS = "0000:41:00.0"
BEFORE = AerCounts(fatal=1, nonfatal=2, correctable=900)


def seen(**facts: Any) -> HostExamination:
    return HostExamination(source="ssh", functions=(FunctionExamination(address=ADDRESS, **facts),))


def watched(**changes: Any) -> Watched:
    return Watched(**{"address": ADDRESS, "is_in_survey": True, "aer_at_bind": BEFORE, **changes})


NOBODY_THERE = HostExamination(source="ssh")
NOBODY_LOOKED = HostExamination(why_not="no shell")


@pytest.mark.parametrize(
    ("gpu_as_bound", "examination", "causes"),
    [
        (watched(), seen(config_alive=True, aer=BEFORE, link_width=16, link_width_max=16), []),
        (watched(), seen(), []),
        (watched(), NOBODY_LOOKED, []),
        (watched(is_in_survey=False), NOBODY_THERE, ["Missing"]),
        (watched(is_in_survey=True), NOBODY_THERE, []),
        (watched(is_in_survey=False), seen(config_alive=True), []),
        (watched(is_in_survey=False, is_gone=True), NOBODY_LOOKED, ["Missing"]),
        (watched(is_in_survey=False, is_gone=False), NOBODY_LOOKED, []),
        (watched(), seen(config_alive=False), ["ConfigSpaceDead"]),
        (watched(), seen(aer=AerCounts(fatal=2, nonfatal=2)), ["FatalPcieError"]),
        (watched(), seen(aer=AerCounts(fatal=1, nonfatal=3)), ["PcieErrors"]),
        (watched(), seen(aer=AerCounts(fatal=0, nonfatal=0)), []),
        (watched(aer_at_bind=None), seen(aer=AerCounts(fatal=9)), []),
        (watched(), seen(link_width=8, link_width_max=16), ["LinkDegraded"]),
        (watched(), seen(link_width=0, link_width_max=16), []),
        (watched(), seen(config_alive=False, link_width=8, link_width_max=16), ["ConfigSpaceDead", "LinkDegraded"]),
        (watched(), seen(aer=AerCounts(fatal=1, nonfatal=2, correctable=10**6)), []),
    ],
)
def test_what_the_host_shows(gpu_as_bound: Watched, examination: HostExamination, causes: list[str]) -> None:
    found = ailments(gpu_as_bound, examination)
    assert [ailment.cause for ailment in found] == causes
    assert [ailment.is_death for ailment in found] == [cause in DEATHS for cause in causes]


def host(*quarantined: Quarantine, **facts: Any) -> GPUHost:
    card = gpu(0x41).model_copy(update=facts)
    status = GPUHostStatus(gpus=(card,), quarantined=quarantined)
    return GPUHost(metadata=Metadata(name="a"), spec=GPUHostSpec(uri="simulated://a"), status=status)


def entry(cause: str, address: str = ADDRESS) -> Quarantine:
    return Quarantine(address=address, reason="why", since="2026-11-21T12:00:00Z", cause=cause)


def test_a_vm_is_told_of_a_death_and_of_no_other_quarantine() -> None:
    gpus = assigned("a", gpu(0x41))
    assert health_of(gpus, host()).is_healthy
    assert health_of(gpus, host(entry("Operator"))).is_healthy
    assert health_of(gpus, host(entry("Missing", "0000:99:00.0"))).is_healthy, "a death of another's GPU"
    lost = health_of(gpus, host(entry("Missing")))
    assert (lost.is_healthy, lost.reason, lost.message) == (False, "Missing", f"GPU {ADDRESS} of a: why")


def test_what_the_doctor_says_of_a_gpu_is_repeated_beside_a_true() -> None:
    said = health_of(assigned("a", gpu(0x41)), host(health=GpuHealth.UNUSABLE, health_message="HK-DOC-214: no reset"))
    assert (said.is_healthy, said.message) == (True, f"{ADDRESS}: HK-DOC-214: no reset")
