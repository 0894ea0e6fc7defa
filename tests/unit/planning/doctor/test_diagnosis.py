"""The diagnosis as a whole: its order, what counts, what is not known, and the one rule for handing GPUs out."""

from __future__ import annotations

from provisioner.model.examination import Finding, HostExamination
from provisioner.model.gpu_host import GpuHealth, KvmVerdict
from provisioner.planning.doctor.checks import HOST
from provisioner.planning.doctor.diagnosis import blocking, code_of, is_judged, judged
from provisioner.planning.doctor.host_table import AWAY, FAILED, INSIDE
from provisioner.planning.doctor.table import CHECKS, host_finding
from tests.unit.planning.doctor.cases import AUDIO, GPU, OTHER, examination, facts, function, holder, judge, where
from tests.unit.planning.factory import gpu


def finding(code: str, *, subject: str = GPU, severity: str = "error") -> Finding:
    return Finding(code=code, severity=severity, subject=subject, message="so it is")


def test_the_host_comes_first_and_the_worst_first() -> None:
    sick = examination(
        function(config_alive=False, link_width=8),
        function(AUDIO),
        function(OTHER, group_members=(OTHER,), reset_methods=()),
        interrupt_remapping=False,
        kernel_command_line="pcie_acs_override=downstream",
    )
    diagnosis = judge(sick, on=where(facts(), gpu(0x42, companions=0)))
    assert [(each.subject, each.severity, each.code) for each in diagnosis.findings] == [
        (HOST, "error", "HK-DOC-102"),
        (HOST, "warning", "HK-DOC-104"),
        (HOST, "info", "HK-DOC-109"),
        (GPU, "error", "HK-DOC-202"),
        (GPU, "warning", "HK-DOC-213"),
        (OTHER, "error", "HK-DOC-214"),
    ]
    assert [each.code for each in diagnosis.errors] == ["HK-DOC-102", "HK-DOC-202", "HK-DOC-214"]
    assert len(diagnosis.troubles) == 5
    assert [each.code for each in diagnosis.about(OTHER)] == ["HK-DOC-214"]


def test_every_check_is_found_or_passed_or_not_known_once_for_each_subject() -> None:
    for seen in (examination(), HostExamination(why_not="no shell"), examination(function(AUDIO, group_members=(AUDIO,)))):
        diagnosis = judge(seen)
        told = [(each.code, each.subject) for each in diagnosis.findings]
        told += [(each.code, each.subject) for each in diagnosis.passed]
        told += [(each.code, each.subject) for each in diagnosis.not_known]
        of_host = {(code, HOST) for code, check in CHECKS.items() if check.look and code[7] in "13"}
        of_gpu = {(code, GPU) for code, check in CHECKS.items() if check.look and code[7] == "2"}
        assert len(told) == len(set(told))
        assert set(told) == of_host | of_gpu


def test_a_host_that_nobody_can_look_into_says_why_of_every_check() -> None:
    diagnosis = judge(HostExamination(why_not="qemu+tcp has no shell"))
    assert {each.why for each in diagnosis.not_known} == {"qemu+tcp has no shell", "the sizes of its BARs are not known"}
    assert [(each.code, each.severity) for each in diagnosis.findings] == [(INSIDE, "error")]


def test_an_examination_that_failed_stands_for_the_missing_look() -> None:
    diagnosis = judge(HostExamination(why_not="hung")).with_finding(host_finding(FAILED, "hung"), instead_of=INSIDE)
    assert [(each.code, each.severity) for each in diagnosis.findings] == [(FAILED, "warning")]
    assert host_finding(AWAY, "no route").severity == "error"


def test_only_the_gpus_that_are_asked_for_are_judged() -> None:
    diagnosis = judge(on=where(facts(), gpu(0x42)), only=[GPU])
    assert {each.subject for each in diagnosis.passed} == {HOST, GPU}


def test_an_error_blocks_its_gpu_and_one_of_the_host_blocks_all() -> None:
    own, other, of_host = finding("HK-DOC-207"), finding("HK-DOC-202", subject=OTHER), finding("HK-DOC-101", subject=HOST)
    assert blocking([own, other], GPU) == own
    assert blocking([other], GPU) is None
    assert blocking([other, of_host], GPU) == of_host
    assert blocking([own, of_host], GPU) == own
    assert blocking([finding("HK-DOC-213", severity="warning")], GPU) is None


def test_what_placement_judges_by_itself_blocks_nothing_here() -> None:
    diagnosis = judge(on=where(kvm=KvmVerdict(works=False), storage_pools=(), networks=()))
    assert {each.code for each in diagnosis.errors} == {"HK-DOC-106", "HK-DOC-111", "HK-DOC-112"}
    assert blocking(diagnosis.findings, GPU) is None


def test_a_gpu_with_an_error_is_unusable_with_its_code_and_recovers() -> None:
    sick = judged(facts(), judge(examination(function(holders=(holder(),)), function(AUDIO))).findings)
    assert sick.health is GpuHealth.UNUSABLE
    assert code_of(sick.health_message) == "HK-DOC-207"
    assert is_judged(sick)
    well = judged(sick, judge().findings)
    assert (well.health, well.health_message) == (GpuHealth.OK, "")


def test_what_a_survey_finds_is_not_overruled() -> None:
    missing = facts(health=GpuHealth.MISSING, health_message="gone")
    assert judged(missing, [finding("HK-DOC-207")]) == missing
    narrow = facts(health_message="its link runs at x8 of x16")
    assert judged(narrow, []) == narrow
    without_group = facts(health=GpuHealth.UNUSABLE, health_message="it is in no IOMMU group")
    assert judged(without_group, []) == without_group
    assert code_of("it is in no IOMMU group") == ""
