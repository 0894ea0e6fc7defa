"""Which GPUs a guest's report calls broken, by which sentence, and what is no more than a remark."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.guest_report import GuestReport, NvidiaGpu, Xid
from provisioner.planning.gpu_faults import faults_of
from provisioner.planning.proof import Proof, prove
from provisioner.planning.xids import XIDS, Gravity, meaning_of
from tests.unit.planning.factory import TABLES, assigned, gpu
from tests.unit.planning.test_proof import CARD, report, seen

HOST, GUEST = "0000:41:00.0", "0000:01:00.0"
OTHER_HOST, OTHER_GUEST = "0000:42:00.0", "0000:02:00.0"
TWO = (gpu(0x41), gpu(0x42))
OTHER_CARD = (seen(OTHER_GUEST, ("10de", "26b9")), seen("0000:02:00.1", ("10de", "22ba")))


def row(address: str = GUEST, **health: Any) -> NvidiaGpu:
    return NvidiaGpu(uuid=f"GPU-{address}", name="NVIDIA L40S", address=address, **health)


def proof_of(said: GuestReport) -> Proof:
    return prove(said, assignments=assigned("a", *TWO[: len(said.functions) // 2]), host_gpus=TWO, tables=TABLES)


@pytest.mark.parametrize("code", [48, 62, 64, 79, 95, 119, 120, 140])
def test_a_gpu_with_a_fatal_xid_is_refused_by_name_and_the_other_is_not(code: int) -> None:
    said = report(*CARD, *OTHER_CARD, rows=(row(), row(OTHER_GUEST)), xids=(Xid(code=code, address=OTHER_GUEST),))
    proof = proof_of(said)
    assert proof.state == "failed"
    assert proof.faulty == {OTHER_HOST: f"Xid {code}, {XIDS[code].words}"}
    assert f"GPU {OTHER_HOST} of the host ({OTHER_GUEST} in the guest): Xid {code}" in proof.message
    assert HOST not in proof.message


@pytest.mark.parametrize("code", [13, 31, 43, 45, 68, 94, 109])
def test_an_xid_of_a_program_says_nothing_of_the_card(code: int) -> None:
    proof = proof_of(report(*CARD, rows=(row(),), xids=(Xid(code=code, address=GUEST),)))
    assert proof.ok
    assert "Xid" not in proof.message


@pytest.mark.parametrize("code", [63, 74, 92, 154, 9999])
def test_an_xid_that_the_card_survives_is_told(code: int) -> None:
    proof = proof_of(report(*CARD, rows=(row(),), xids=(Xid(code=code, address=GUEST),)))
    assert proof.ok
    assert f"Xid {code}" in proof.message


def test_a_fatal_xid_is_final_also_while_cloud_init_works() -> None:
    said = report(*CARD, rows=(row(),), cloud_init="running", xids=(Xid(code=79, address=GUEST),))
    assert proof_of(said).state == "failed"


@pytest.mark.parametrize(
    ("health", "state", "fragment"),
    [
        ({"ecc_uncorrected_volatile": 2}, "failed", "2 uncorrectable ECC errors since its driver was loaded"),
        ({"row_remap_failure": True}, "failed", "could not be replaced"),
        ({"row_remap_pending": True}, "proven", "wait for a reset"),
        ({"retired_pages_pending": True}, "proven", "wait for a reset"),
        ({"ecc_uncorrected_aggregate": 5, "temperature_c": 41}, "proven", "drives 1 GPU"),
    ],
)
def test_what_nvidia_smi_says_of_its_health(health: dict[str, Any], state: str, fragment: str) -> None:
    proof = proof_of(report(*CARD, rows=(row(**health),)))
    assert (proof.state, fragment in proof.message) == (state, True), proof.message
    assert set(proof.faulty) == ({HOST} if state == "failed" else set())


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        ("Unable to determine the device handle for GPU0000:02:00.0: GPU is lost.  Reboot the system to recover", {OTHER_HOST}),
        ("Unable to determine the device handle for GPU 00000000:01:00.0: GPU is lost.", {HOST}),
        ("Unable to determine the device handle: GPU is lost.", set()),
        ("No devices were found", set()),
    ],
)
def test_a_gpu_that_the_driver_lost_is_named_where_nvidia_smi_names_it(error: str, lost: set[str]) -> None:
    said = report(*CARD, *OTHER_CARD, nvidia_smi=False, error=error)
    proof = proof_of(said)
    assert proof.state == "failed"
    assert set(proof.faulty) == lost


def test_the_only_gpu_is_the_lost_one() -> None:
    assert set(proof_of(report(*CARD, nvidia_smi=False, error="GPU is lost.")).faulty) == {HOST}


def test_an_xid_of_a_device_that_is_not_ours_is_left_alone() -> None:
    said = report(*CARD, rows=(row(),), xids=(Xid(code=79, address="0000:09:00.0"),))
    assert faults_of(said, places={HOST: GUEST}) == ()


def test_the_same_xid_many_times_is_said_once() -> None:
    said = report(*CARD, rows=(row(),), xids=(Xid(code=48, address=GUEST),) * 20)
    assert len(faults_of(said, places={HOST: GUEST})) == 1


def test_the_table_is_in_order_and_explains_every_code() -> None:
    assert list(XIDS) == sorted(XIDS)
    assert all(meaning.words and meaning.code == code for code, meaning in XIDS.items())
    assert meaning_of(4711).gravity is Gravity.NOTED
