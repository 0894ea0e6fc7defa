"""What a guest must report before its VM is Ready."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.gpu_host import GpuFacts
from provisioner.model.guest_report import CloudInitState, GuestFunction, GuestReport, NvidiaGpu, NvidiaState
from provisioner.planning.proof import Proof, prove
from tests.unit.planning.factory import BOCHS, H100, TABLES, assigned, gpu

AUDIO = ("10de", "22ba")
ONE = (gpu(0x41),)


def seen(address: str, ids: tuple[str, str]) -> GuestFunction:
    return GuestFunction(address=address, vendor=ids[0], device=ids[1])


def report(*functions: GuestFunction, rows: tuple[NvidiaGpu, ...] = (), cloud_init: str = "done", **nvidia: Any) -> GuestReport:
    state = {"driver_loaded": True, "driver_version": "580.95", "nvidia_smi": True, "gpus": rows, **nvidia}
    return GuestReport(
        boot_id="one", functions=functions, cloud_init=CloudInitState(status=cloud_init), nvidia=NvidiaState(**state)
    )


def row(name: str = "NVIDIA L40S", address: str = "0000:01:00.0") -> NvidiaGpu:
    return NvidiaGpu(uuid=f"GPU-{address}", name=name, address=address)


MISMATCH = "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.105"
CARD = (seen("0000:01:00.0", ("10de", "26b9")), seen("0000:01:00.1", AUDIO))


def proof_of(said: GuestReport, facts: tuple[GpuFacts, ...] = ONE, *, needs_driver: bool = True) -> Proof:
    return prove(said, assignments=assigned("a", *facts), host_gpus=facts, tables=TABLES, needs_driver=needs_driver)


def test_a_good_report_proves_the_vm_and_finds_the_gpu() -> None:
    proof = proof_of(report(*CARD, rows=(row(),)))
    assert (proof.state, proof.ok) == ("proven", True)
    assert proof.guest_addresses == {"0000:41:00.0": "0000:01:00.0"}
    assert proof.message == "1 GPU on the PCI bus at 0000:01:00.0; driver 580.95 drives 1 GPU; cloud-init finished"


@pytest.mark.parametrize(
    ("said", "state", "fragment"),
    [
        (report(rows=(row(),)), "failed", "does not see the L40S at 0000:41:00.0"),
        (report(CARD[0], rows=(row(),)), "failed", "with its 1 companion"),
        (report(*CARD), "failed", "nvidia-smi shows 0 GPUs, 1 expected"),
        (report(*CARD, rows=(row(), row(address="0000:02:00.0"))), "failed", "nvidia-smi shows 2 GPUs, 1 expected"),
        (report(*CARD, driver_loaded=False), "failed", "the NVIDIA driver is not loaded"),
        (report(*CARD, driver_loaded=False, cloud_init="running"), "waiting", "driver is not loaded"),
        (report(*CARD, driver_loaded=False, cloud_init="not run"), "waiting", "cloud-init has not begun"),
        (report(*CARD, nvidia_smi=False, error="no permission"), "failed", "nvidia-smi does not answer: no permission"),
        (report(*CARD, nvidia_smi=False, error=MISMATCH), "failed", "(580.95 in the kernel, 580.105 in the libraries)"),
        (report(*CARD, rows=(row(),), cloud_init="running"), "waiting", "cloud-init is still at work"),
        (report(*CARD, rows=(row(),), cloud_init="error"), "failed", "cloud-init ended with an error"),
        (report(*CARD, rows=(row(),), cloud_init="degraded"), "proven", "cloud-init finished with warnings"),
        (report(*CARD, rows=(row(),), cloud_init="disabled"), "failed", "disabled"),
        (report(*CARD, rows=(row(),), cloud_init="unknown"), "waiting", "not known"),
        (report(*CARD, rows=(row("NVIDIA L40S-48Q"),)), "proven", "calls the L40S at 0000:01:00.0 'NVIDIA L40S-48Q'"),
        (report(*CARD, rows=(row(address="0000:07:00.0"),)), "failed", "nvidia-smi shows no GPU at 0000:01:00.0"),
        (report(*CARD, rows=(row(address=""),)), "proven", "drives 1 GPU"),
        (report(*CARD, rows=(row("NVIDIA A10", address=""),)), "failed", "nvidia-smi shows no L40S, but NVIDIA A10"),
        (report(*CARD, seen("0000:02:00.0", ("10de", "26b9")), rows=(row(),)), "failed", "sees 2 L40S, 1 of them assigned"),
    ],
)
def test_what_is_wrong_is_said(said: GuestReport, state: str, fragment: str) -> None:
    proof = proof_of(said)
    assert proof.state == state
    assert fragment in proof.message
    assert proof.as_dict()["state"] == state


def test_a_gpu_that_is_not_on_the_bus_fails_even_while_cloud_init_works() -> None:
    assert proof_of(report(cloud_init="running", driver_loaded=False)).state == "failed"


def test_a_driver_that_is_the_tenants_to_install_is_no_obstacle() -> None:
    proof = proof_of(report(*CARD, driver_loaded=False), needs_driver=False)
    assert proof.ok
    assert "the NVIDIA driver is not loaded" in proof.message


def test_stand_ins_are_proven_by_their_ids_alone() -> None:
    facts = (gpu(0x01, BOCHS),)
    functions = (seen("0000:06:00.0", ("1234", "1111")), seen("0000:06:00.1", AUDIO))
    proof = proof_of(report(*functions, driver_loaded=False), facts)
    assert proof.ok
    assert proof.guest_addresses == {"0000:01:00.0": "0000:06:00.0"}


def test_a_vm_without_gpus_is_proven_by_cloud_init() -> None:
    assert proof_of(report(driver_loaded=False), ()).message == "cloud-init finished"


def test_gpus_are_matched_in_order_and_by_model() -> None:
    facts = (gpu(0x41, H100, companions=0), gpu(0x42, companions=0), gpu(0x43, H100, companions=0))
    functions = (
        seen("0000:03:00.0", ("10de", "2331")),
        seen("0000:01:00.0", ("10de", "2331")),
        seen("0000:02:00.0", ("10de", "26b9")),
    )
    rows = (
        row("NVIDIA H100 PCIe", "0000:01:00.0"),
        row("NVIDIA L40S", "0000:02:00.0"),
        row("NVIDIA H100 PCIe", "0000:03:00.0"),
    )
    proof = proof_of(report(*functions, rows=rows), facts)
    assert proof.ok
    assert proof.guest_addresses == {
        "0000:41:00.0": "0000:01:00.0",
        "0000:42:00.0": "0000:02:00.0",
        "0000:43:00.0": "0000:03:00.0",
    }


def test_a_gpu_that_the_host_no_longer_shows_is_known_by_the_catalogue() -> None:
    proof = prove(report(*CARD, rows=(row(),)), assignments=assigned("a", *ONE), host_gpus=(), tables=TABLES)
    assert proof.ok
