"""What a waiting command says on stderr: everything, once, and on a terminal no more than fits."""

from __future__ import annotations

import pytest

from cli.heard_steps import HeardSteps
from cli.progress import Progress, fitted
from provisioner.model.clock import timestamp
from provisioner.model.gpu_claim import ClaimOwner, GPUClaim, GPUClaimSpec, GPUClaimStatus
from provisioner.model.metadata import Condition, Metadata, StepRecord
from provisioner.model.virtual_machine import VirtualMachine, VirtualMachineStatus

LONG_CAUSE = (
    "the image https://cloud-images.example.org/noble/current/noble-server-cloudimg-amd64.img cannot be used: "
    "it is no disk image: neither qcow2, nor a raw disk, nor anything else that a machine boots from"
)
BEGAN_S = 1_000_000.0


class Watched:
    """A VM whose `image` step takes long, and what is said of it."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._now_s = BEGAN_S
        self._progress = Progress(now_s=lambda: self._now_s)

    def waits(self, after_s: float, reason: str, message: str) -> str:
        """What is said when it waits for this, so long after its beginning."""
        self._now_s = BEGAN_S + after_s
        status = VirtualMachineStatus(
            steps=(StepRecord(name="image", started=timestamp(BEGAN_S)),),
            conditions=(Condition(type="ImageReady", status="False", reason=reason, message=message),),
        )
        self._capsys.readouterr()
        self._progress.show(VirtualMachine(metadata=Metadata(name="a", namespace="default"), status=status))
        return self._capsys.readouterr().err


@pytest.fixture
def vm(capsys: pytest.CaptureFixture[str]) -> Watched:
    return Watched(capsys)


def test_a_reason_is_never_cut_off_in_a_pipe(vm: Watched) -> None:
    assert vm.waits(11, "ImageError", LONG_CAUSE) == f"  ...  image         11.0s  {LONG_CAUSE}\n"


def test_what_goes_back_and_forth_is_said_once(vm: Watched) -> None:
    assert vm.waits(3, "Staging", "image `tiny`") == ""
    assert "image `tiny`" in vm.waits(11, "Staging", "image `tiny`")
    assert "cannot be used" in vm.waits(13, "ImageError", LONG_CAUSE)
    for after_s in range(15, 60, 3):
        assert vm.waits(after_s, "Staging", "image `tiny`") == ""
        assert vm.waits(after_s + 1, "ImageError", LONG_CAUSE) == ""
    assert "cannot be used" in vm.waits(90, "ImageError", LONG_CAUSE)


def test_other_numbers_are_no_news_before_a_minute_has_gone(vm: Watched) -> None:
    assert "12 of 600 MiB" in vm.waits(12, "Staging", "image: 12 of 600 MiB")
    assert vm.waits(40, "Staging", "image: 300 of 600 MiB") == ""
    assert "500 of 600 MiB" in vm.waits(73, "Staging", "image: 500 of 600 MiB")


def test_on_a_terminal_long_words_give_way_before_the_cause() -> None:
    line = f"  ...  image         11.0s  {LONG_CAUSE}"
    assert fitted(line, len(line)) == line
    short = fitted(line, 110)
    assert len(short) == 110
    assert "https://cloud-images…" in short
    assert "cannot be used: it is no disk" in short
    assert short.endswith("…")


def test_what_an_earlier_attempt_left_is_not_what_is_waited_for(vm: Watched) -> None:
    assert vm.waits(12, "Undone", "of long ago") == "  ...  image         12.0s\n"


def test_the_steps_of_a_claim_that_is_gone_are_told_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    claim = a_claim(StepRecord(name="reset", started=timestamp(BEGAN_S), finished=timestamp(BEGAN_S + 2)))
    heard, progress = HeardSteps((), claims=(claim.key,)), Progress(now_s=lambda: BEGAN_S)
    heard.step_finished(claim.key, "reset", 2.0, "done by flr")
    progress.show(claim)
    heard.step_finished(claim.key, "record", 0.0, "clean")
    progress.show_gone(claim.key, heard.finished(claim.key))
    progress.show_gone(claim.key, heard.finished(claim.key))
    assert [line.split() for line in capsys.readouterr().err.splitlines()] == [
        ["ok", "reset", "2.0s"],
        ["ok", "record", "0.0s", "clean"],
    ]


def a_claim(*steps: StepRecord) -> GPUClaim:
    owner = ClaimOwner(kind="VirtualMachine", namespace="default", name="a", uid="1")
    spec = GPUClaimSpec(host="h", address="0000:01:00.0", gpu_name="l40s", owner=owner)
    return GPUClaim(metadata=Metadata(name="h.0000-01-00.0"), spec=spec, status=GPUClaimStatus(steps=steps))
