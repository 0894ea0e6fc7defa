"""Every check of the table with both outcomes: what a host in order looks like, and what each illness looks like."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.examination import AerCounts, Bar, GpuIdentity, HugepagePool, Region
from provisioner.model.gpu_host import (
    HostCapabilities,
    HostNetwork,
    KvmVerdict,
    Quarantine,
    ResetPolicy,
    StoragePool,
)
from provisioner.planning.doctor.checks import HOST
from provisioner.planning.doctor.table import CHECKS
from tests.unit.planning.doctor.cases import (
    AUDIO,
    GIB,
    GPU,
    OTHER,
    examination,
    facts,
    found,
    function,
    holder,
    judge,
    where,
)
from tests.unit.planning.factory import gpu

ERROR, WARNING, INFO = "error", "warning", "info"
NO_EFI = HostCapabilities(vfio=True, firmwares=("bios",))
POOL, NET = StoragePool(name="other", active=True), HostNetwork(name="default", active=False)
FRAMEBUFFER = Region(name="efifb", start=0x20_0000_0000, end=0x20_007F_FFFF)
HUGE_BAR = (Bar(index=1, start=1 << 40, size_bytes=512 * GIB, is_64_bit=True),)
MEMBERS: dict[str, Any] = {"group_members": (GPU, AUDIO, OTHER)}
PORT = "0000:40:01.0"
CARD = GpuIdentity(vendor="10de", device="26b9", subsystem_vendor="10de", subsystem_device="1851", serial="other-serial")
EIGHT = tuple(f"0000:41:00.{number}" for number in range(8))
LEFT = {"driver": "vfio-pci", "driver_override": "vfio-pci"}
LATE = {"since": "2026-11-21T12:00:00Z", "reason": "did not reset"}


def inside(*functions: Any, **changes: Any) -> dict[str, Any]:
    return {"seen": examination(*functions, **changes)}


def outside(*gpus: Any, **changes: Any) -> dict[str, Any]:
    return {"on": where(*gpus, **changes)}


def card(**changes: Any) -> dict[str, Any]:
    return inside(function(**changes), function(AUDIO))


def narrow(bits: int, **changes: Any) -> dict[str, Any]:
    return inside(function(**changes), function(AUDIO), cpu_address_width_bits=bits)


def with_port(driver: str) -> dict[str, Any]:
    members = (PORT, GPU, AUDIO)
    port = function(PORT, is_bridge=True, driver=driver, bars=(), reset_methods=(), group_members=members)
    return inside(port, function(group_members=members), function(AUDIO, group_members=members))


SICK: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("HK-DOC-101", HOST, inside(iommu_units=()), ERROR, "/sys/class/iommu is empty"),
    ("HK-DOC-102", HOST, inside(interrupt_remapping=False), ERROR, "VFIO refuses every device"),
    (
        "HK-DOC-102",
        HOST,
        inside(interrupt_remapping=False, unsafe_interrupts_allowed=True),
        WARNING,
        "allow_unsafe_interrupts lets VFIO go on",
    ),
    ("HK-DOC-103", HOST, inside(has_vfio_module=False), ERROR, "kernel 6.12.43 has no vfio-pci module"),
    ("HK-DOC-103", HOST, outside(capabilities=HostCapabilities()), ERROR, "libvirt offers no VFIO"),
    ("HK-DOC-104", HOST, inside(kernel_command_line="ro pcie_acs_override=downstream"), WARNING, "pcie_acs_override=down"),
    ("HK-DOC-105", HOST, inside(kernel_command_line="pci=disable_acs_redir=0:1.0"), WARNING, "disable_acs_redir"),
    ("HK-DOC-105", HOST, inside(kernel_command_line="pci=config_acs=000@0:1.0"), WARNING, "config_acs"),
    ("HK-DOC-106", HOST, outside(kvm=KvmVerdict(works=False, message="it hung")), ERROR, "it hung"),
    ("HK-DOC-106", HOST, outside(kvm=KvmVerdict(works=False), spec={"allow_emulation": True}), WARNING, "no guest runs"),
    ("HK-DOC-106", HOST, inside(has_kvm_node=False), ERROR, "no /dev/kvm"),
    ("HK-DOC-107", HOST, inside(memlock_limit_mib=0), ERROR, "QEMU may lock 0 MiB; the smallest guest needs 2 GiB"),
    ("HK-DOC-107", HOST, inside(memlock_limit_mib=8192), WARNING, "a guest as large as the host needs 255 GiB"),
    ("HK-DOC-107", HOST, inside(memlock_limit_mib=8192) | {"guest_mib": 16384}, ERROR, "this guest needs 17 GiB"),
    ("HK-DOC-108", HOST, inside(memory_available_mib=200 * 1024), WARNING, "the host itself uses 56 GiB"),
    ("HK-DOC-108", HOST, inside(memory_available_mib=4096) | {"guest_mib": 8192}, ERROR, "8 GiB of memory are to be pinned"),
    (
        "HK-DOC-109",
        HOST,
        inside(hugepages=(HugepagePool(size_kib=1 << 20, node=1, total=8, free=8),), memory_available_mib=247 * 1024),
        WARNING,
        "node 0 has GPUs and no huge pages; node 1 has",
    ),
    ("HK-DOC-109", HOST, inside(), INFO, "no huge pages are kept"),
    ("HK-DOC-110", HOST, outside(capabilities=NO_EFI), WARNING, "guests can have bios only"),
    ("HK-DOC-110", HOST, outside(facts(bar_bytes=(64 * GIB,)), capabilities=NO_EFI), WARNING, f"{GPU} have BARs"),
    ("HK-DOC-111", HOST, outside(storage_pools=(POOL,)), ERROR, "storage pool default does not exist; active: other"),
    ("HK-DOC-112", HOST, outside(networks=(NET,)), ERROR, "network default is not active; active: none"),
    ("HK-DOC-113", HOST, inside(iommu_address_width_bits=39), INFO, "the IOMMU reaches 39 bits, the CPU 46"),
    ("HK-DOC-114", HOST, {"on": where().with_status(gpus=())}, WARNING, "vendor=10de,class=03"),
    ("HK-DOC-201", GPU, inside(function(AUDIO, group_members=(AUDIO,))), ERROR, "shows no device at this address"),
    ("HK-DOC-202", GPU, card(config_alive=False), ERROR, f"config space of {GPU} reads as all ones"),
    ("HK-DOC-203", GPU, card(iommu_group=None, group_members=()), ERROR, "in no IOMMU group"),
    (
        "HK-DOC-204",
        GPU,
        inside(function(**MEMBERS), function(AUDIO, **MEMBERS), function(OTHER, **MEMBERS)) | outside(facts(), gpu(0x42)),
        ERROR,
        "also holds 0000:42:00.0 (another GPU, 10de:26b9)",
    ),
    (
        "HK-DOC-204",
        GPU,
        inside(function(**MEMBERS), function(AUDIO, **MEMBERS), function(OTHER, driver="nvme", device="a808", **MEMBERS)),
        ERROR,
        "also holds 0000:42:00.0 (10de:a808, driver nvme)",
    ),
    ("HK-DOC-205", GPU, with_port("shpchp"), ERROR, f"bridge {PORT} of its group is on shpchp"),
    (
        "HK-DOC-206",
        GPU,
        inside(*(function(each, group_members=(*EIGHT, OTHER)) for each in (*EIGHT, OTHER))),
        ERROR,
        "8 functions would have to travel with it",
    ),
    ("HK-DOC-207", GPU, card(holders=(holder(),)), ERROR, "nvidia-persistenced (pid 812, /dev/nvidia0)"),
    (
        "HK-DOC-207",
        GPU,
        inside(function(), function(AUDIO, holders=(holder("pipewire", path="/dev/snd/pcmC0D3p"),))),
        ERROR,
        "pipewire",
    ),
    ("HK-DOC-207", GPU, card(holders=(holder("qemu-system-x86", path="/dev/vfio/17"),)), ERROR, "/dev/vfio/17"),
    ("HK-DOC-208", GPU, outside(spec={"keep_on_vfio": True}), WARNING, f"{GPU} is on nvidia, {AUDIO} is on snd_hda_intel"),
    ("HK-DOC-209", GPU, card(driver="nouveau"), WARNING, "it is on nouveau"),
    ("HK-DOC-209", GPU, card(driver_override="none"), WARNING, "driver_override says none"),
    ("HK-DOC-210", GPU, card(virtual_functions=4), ERROR, "4 virtual functions of it are enabled"),
    ("HK-DOC-211", GPU, card(power_state="D3cold", config_alive=None), ERROR, "in power state D3cold"),
    ("HK-DOC-211", GPU, card(power_state="error"), ERROR, "in power state error"),
    ("HK-DOC-211", GPU, card(power_state="D3cold"), WARNING, "was in D3cold, and answered"),
    ("HK-DOC-211", GPU, card(power_state="unknown", driver="vfio-pci"), WARNING, "does not know the power state"),
    ("HK-DOC-212", GPU, card(d3cold_allowed=True), INFO, "d3cold_allowed is 1"),
    ("HK-DOC-212", GPU, card(d3cold_allowed=True) | outside(spec={"keep_on_vfio": True}), WARNING, "d3cold_allowed is 1"),
    ("HK-DOC-213", GPU, card(link_width=8), WARNING, "x8 of x16"),
    ("HK-DOC-214", GPU, card(reset_methods=()), ERROR, "no way to reset it"),
    (
        "HK-DOC-214",
        GPU,
        card(reset_methods=()) | outside(spec={"reset_policy": ResetPolicy.BEST_EFFORT}),
        WARNING,
        "no way to reset it",
    ),
    ("HK-DOC-215", GPU, inside(framebuffers=(FRAMEBUFFER,)), ERROR, "efifb of the host's console lies over its BAR 1"),
    ("HK-DOC-216", GPU, card(boot_vga=True), WARNING, "boot_vga is 1"),
    ("HK-DOC-217", GPU, narrow(42, bars=HUGE_BAR), INFO, "a window of 1536 GiB in 42 bits"),
    ("HK-DOC-218", GPU, outside(facts(identity=CARD)), ERROR, "serial other-serial is now 00-00-00-ff-ff-01-02-03"),
    ("HK-DOC-219", GPU, outside(quarantined=(Quarantine(address=GPU, **LATE),)), INFO, "12:00:00Z: did not reset"),
    ("HK-DOC-220", GPU, outside(spec={"retired": (GPU,)}), INFO, "it is retired"),
    ("HK-DOC-223", GPU, card(**LEFT), WARNING, "keepOnVfio is not set"),
    ("HK-DOC-223", GPU, card(**LEFT) | outside(facts(at_home_boot_id="boot-1")), WARNING, "the control loop sends it home"),
    ("HK-DOC-223", GPU, card(**LEFT) | outside(facts(at_home_boot_id="boot-0")), WARNING, "keepOnVfio is not set"),
    ("HK-DOC-221", GPU, card(aer=AerCounts(fatal=1, nonfatal=2)), WARNING, "1 fatal and 2 other uncorrected"),
    ("HK-DOC-301", HOST, {"seen": examination(source="", why_not="no shell")}, ERROR, "no shell"),
    (
        "HK-DOC-301",
        HOST,
        {"seen": examination(source="", why_not="no shell")} | outside(spec={"reset_policy": ResetPolicy.BEST_EFFORT}),
        WARNING,
        "no shell",
    ),
]  # fmt: skip
FOUND_BY_WHOEVER_LOOKS = {"HK-DOC-222", "HK-DOC-302", "HK-DOC-303"}
ALWAYS_WITH_A_HOST_IN_ORDER = {"HK-DOC-109"}
"""Told, since it is good to know, and no trouble."""


@pytest.mark.parametrize(
    ("code", "subject", "case", "severity", "words"), SICK, ids=[f"{row[0]}-{number}" for number, row in enumerate(SICK)]
)
def test_what_is_wrong_is_found(code: str, subject: str, case: dict[str, Any], severity: str, words: str) -> None:
    diagnosis = judge(**case)
    (finding,) = [finding for finding in diagnosis.findings if (finding.code, finding.subject) == (code, subject)]
    assert (finding.severity, words in finding.message) == (severity, True), finding


@pytest.mark.parametrize("code", [code for code in CHECKS if code not in FOUND_BY_WHOEVER_LOOKS | ALWAYS_WITH_A_HOST_IN_ORDER])
def test_a_host_in_order_passes_every_check(code: str) -> None:
    diagnosis = judge()
    assert found(diagnosis, code) is None
    assert code in {passed.code for passed in diagnosis.passed}


def test_every_check_has_a_case_here() -> None:
    assert {row[0] for row in SICK} | FOUND_BY_WHOEVER_LOOKS == set(CHECKS)


def test_huge_pages_beside_every_gpu_pass() -> None:
    pages = (HugepagePool(size_kib=1 << 20, node=0, total=64, free=64),)
    diagnosis = judge(examination(hugepages=pages, memory_available_mib=191 * 1024))
    assert diagnosis.findings == ()


@pytest.mark.parametrize(
    ("changes", "subject", "code"),
    [
        ({"interrupt_remapping": None}, HOST, "HK-DOC-102"),
        ({"memory_available_mib": None}, HOST, "HK-DOC-108"),
        ({"iommu_address_width_bits": None}, HOST, "HK-DOC-113"),
        ({"has_vfio_module": None}, HOST, "HK-DOC-103"),
        ({"iommu_address_width_bits": None, "cpu_address_width_bits": None}, GPU, "HK-DOC-217"),
    ],
)
def test_what_cannot_be_read_of_the_host_is_not_known(changes: dict[str, Any], subject: str, code: str) -> None:
    assert (code, subject) in {(known.code, known.subject) for known in judge(examination(**changes)).not_known}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"config_alive": None}, "HK-DOC-202"),
        ({"d3cold_allowed": None}, "HK-DOC-212"),
        ({"link_width_max": None}, "HK-DOC-213"),
        ({"bars": ()}, "HK-DOC-217"),
        ({"aer": None}, "HK-DOC-221"),
    ],
)
def test_what_cannot_be_read_of_a_gpu_is_not_known(changes: dict[str, Any], code: str) -> None:
    diagnosis = judge(**card(**changes))
    assert (code, GPU) in {(known.code, known.subject) for known in diagnosis.not_known}
    assert found(diagnosis, code) is None


def test_nobody_has_tried_kvm_is_not_known() -> None:
    assert "HK-DOC-106" in {known.code for known in judge(on=where(kvm=KvmVerdict())).not_known}
