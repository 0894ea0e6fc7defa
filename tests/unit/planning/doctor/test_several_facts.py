"""Checks in which more than one fact counts: whose process it is, which card was there, how much memory is whose."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.examination import Bar, GpuIdentity, HugepagePool, Region
from provisioner.model.gpu_host import GpuHealth, Quarantine
from tests.unit.planning.doctor.cases import (
    AUDIO,
    GIB,
    GPU,
    L40S_BARS,
    examination,
    facts,
    found,
    function,
    holder,
    judge,
    where,
)

ERROR = "error"
PORT = "0000:40:01.0"
HUGE_BAR = (Bar(index=1, start=1 << 40, size_bytes=512 * GIB, is_64_bit=True),)
CARD = GpuIdentity(vendor="10de", device="26b9", subsystem_vendor="10de", subsystem_device="1851", serial="other-serial")


def test_a_window_that_no_guest_has_room_for() -> None:
    diagnosis = judge(examination(function(bars=HUGE_BAR), function(AUDIO), iommu_address_width_bits=39))
    assert found(diagnosis, "HK-DOC-217") == (
        ERROR,
        "its BARs need a window of 1536 GiB in 39 bits of addresses, more than half of them",
    )


@pytest.mark.parametrize(
    "case",
    [
        {"owned_addresses": (GPU,)},
        {"on": where(spec={"keep_on_vfio": True})},
        {"on": where(spec={"retired": (GPU,)})},
        {"on": where(quarantined=(Quarantine(address=GPU, since="2026-11-21T12:00:00Z", reason="hangs"),))},
        {"override": ""},
        {"holders": (holder("qemu-system-x86", path="/dev/vfio/65"),)},
    ],
    ids=["claimed", "kept", "retired", "quarantined", "by vfio-pci.ids", "open"],
)
def test_a_gpu_on_vfio_of_which_somebody_knows_is_not_left_there(case: dict[str, Any]) -> None:
    override, holders = case.pop("override", "vfio-pci"), case.pop("holders", ())
    card = function(driver="vfio-pci", driver_override=override, holders=holders)
    assert found(judge(examination(card, function(AUDIO)), **case), "HK-DOC-223") is None


def test_the_bars_of_an_l40s_fit_anywhere() -> None:
    assert (
        found(judge(examination(function(bars=L40S_BARS), function(AUDIO), iommu_address_width_bits=46)), "HK-DOC-217") is None
    )


def test_a_root_port_on_its_own_driver_is_no_obstacle() -> None:
    members = (PORT, GPU, AUDIO)
    port = function(PORT, is_bridge=True, driver="pcieport", bars=(), reset_methods=(), group_members=members)
    diagnosis = judge(examination(port, function(group_members=members), function(AUDIO, group_members=members)))
    assert [finding.code for finding in diagnosis.troubles] == []


def test_a_framebuffer_beside_the_bars_is_no_obstacle() -> None:
    beside = Region(name="efifb", start=0x9000_0000, end=0x9FFF_FFFF)
    assert found(judge(examination(framebuffers=(beside,))), "HK-DOC-215") is None


def test_its_own_qemu_may_hold_a_gpu_and_nobody_else() -> None:
    qemu = holder("qemu-system-x86", path="/dev/vfio/17")
    seen = examination(function(driver="vfio-pci", holders=(qemu,)), function(AUDIO, driver="vfio-pci", holders=(qemu,)))
    assert found(judge(seen, owned_addresses={GPU}), "HK-DOC-207") is None
    assert found(judge(seen), "HK-DOC-207") is not None
    strange = examination(function(holders=(qemu, holder("python3", path="/dev/vfio/17"))), function(AUDIO))
    severity, message = found(judge(strange, owned_addresses={GPU}), "HK-DOC-207") or ("", "")
    assert (severity, "qemu" in message, "python3" in message) == (ERROR, False, True)


def test_many_holders_are_counted() -> None:
    crowd = tuple(holder(f"worker{number}", pid=number) for number in range(9))
    _, message = found(judge(examination(function(holders=crowd), function(AUDIO))), "HK-DOC-207") or ("", "")
    assert message.endswith("and 4 more")


def test_a_swapped_card_names_both() -> None:
    _, message = found(judge(on=where(facts(identity=CARD))), "HK-DOC-218") or ("", "")
    assert CARD.name in message
    assert "10de-26b9-10de-1851-a1.00-00-00-ff-ff-01-02-03" in message


def test_an_identity_that_knows_less_proves_no_swap() -> None:
    assert found(judge(on=where(facts(identity=GpuIdentity(vendor="10de", device="26b9")))), "HK-DOC-218") is None


def test_memory_of_guests_is_not_the_hosts_own() -> None:
    seen = examination(memory_available_mib=100 * 1024)
    assert found(judge(seen, committed_mib=155 * 1024), "HK-DOC-108") is None
    pages = (HugepagePool(size_kib=1 << 20, node=0, total=100, free=0),)
    used = examination(memory_available_mib=155 * 1024, hugepages=pages)
    assert found(judge(used, committed_mib=100 * 1024), "HK-DOC-108") is None


def test_a_missing_gpu_of_a_host_without_a_look_inside() -> None:
    lost = where(facts(health=GpuHealth.MISSING, health_message="gone"))
    assert found(judge(examination(source="", why_not="no shell"), on=lost), "HK-DOC-201") == (ERROR, "gone")
