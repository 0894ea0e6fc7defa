"""What outlasts a survey: the identity of each address, what was seen from inside, and GPUs that somebody must still see."""

from __future__ import annotations

from typing import Any

from provisioner.lifecycle.surveying import KEPT, with_survey
from provisioner.model.examination import Finding, GpuIdentity
from provisioner.model.gpu_host import GpuHealth, GPUHostStatus
from tests.unit.planning.factory import gpu, host, quarantined

CARD = GpuIdentity(vendor="10de", device="26b9", serial="one")
SICK: dict[str, Any] = {"health": GpuHealth.UNUSABLE, "health_message": "HK-DOC-207: it is held by python3"}
FIRST, SECOND, THIRD, FOURTH = (f"0000:{bus}:00.0" for bus in (41, 42, 43, 44))


def test_what_only_an_examination_knows_is_carried() -> None:
    before = host("a", gpu(0x41, identity=CARD, bar_bytes=(1 << 36,), reset_methods=("flr",), **SICK), boot_id="boot-1")
    finding = Finding(code="HK-DOC-207", severity="error", subject=FIRST, message="it is held by python3")
    after = with_survey(before.with_status(findings=(finding,)), GPUHostStatus(gpus=(gpu(0x41),), memory_mib=7), claimed=())
    (found,) = after.status.gpus
    assert (found.identity, found.bar_bytes, found.reset_methods) == (CARD, (1 << 36,), ("flr",))
    assert (found.health, found.health_message) == (SICK["health"], SICK["health_message"])
    assert (after.status.boot_id, after.status.findings, after.status.memory_mib) == ("boot-1", (finding,), 7)


def test_what_the_survey_finds_wrong_outweighs_what_was_found_before() -> None:
    without_group = gpu(0x41, health=GpuHealth.UNUSABLE, health_message="it is in no IOMMU group")
    after = with_survey(host("a", gpu(0x41, **SICK)), GPUHostStatus(gpus=(without_group,)), claimed=())
    assert after.status.gpus[0].health_message == "it is in no IOMMU group"


def test_a_gpu_that_is_new_brings_nothing_along() -> None:
    after = with_survey(host("a", gpu(0x41, identity=CARD)), GPUHostStatus(gpus=(gpu(0x41), gpu(0x42))), claimed=())
    assert [found.identity for found in after.status.gpus] == [CARD, None]


def test_gpus_that_are_gone_stay_where_somebody_must_see_them() -> None:
    before = host(
        "a",
        *(gpu(bus, identity=CARD) for bus in (0x41, 0x42, 0x43, 0x44)),
        spec={"retired": (SECOND,)},
        quarantined=quarantined(THIRD),
    )
    after = with_survey(before, GPUHostStatus(), claimed={FIRST})
    assert [(found.address, found.health) for found in after.status.gpus] == [
        (address, GpuHealth.MISSING) for address in (FIRST, SECOND, THIRD)
    ]
    assert {found.identity for found in after.status.gpus} == {CARD}


def test_every_kept_field_is_one_of_the_status() -> None:
    assert set(GPUHostStatus.model_fields) >= KEPT
