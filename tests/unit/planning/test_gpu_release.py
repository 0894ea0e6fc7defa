"""The part of the check that only looks: every line, passed and not."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.examination import FunctionExamination, GpuIdentity, Holder, HostExamination
from provisioner.model.gpu_check import requests_of
from provisioner.model.gpu_claim import ClaimOwner, GPUClaim, GPUClaimSpec
from provisioner.model.gpu_host import ResetPolicy
from provisioner.model.metadata import Metadata
from provisioner.model.pci import PciFunction
from provisioner.planning.gpu_release import Sight, card_of, failed, reading_checks
from tests.unit.planning.factory import gpu

ADDRESS, AUDIO = "0000:41:00.0", "0000:41:00.1"
FACTS = gpu(0x41)
HERE = FunctionExamination(
    address=ADDRESS, vendor="10de", device="26b9", serial="1", config_alive=True, power_state="D0", reset_methods=("flr",)
)
FUNCTIONS = (
    PciFunction(address=ADDRESS, vendor="10de", device="26b9", driver="nvidia"),
    PciFunction(address=AUDIO, vendor="10de", device="22ba"),
)


def sight(**changes: Any) -> Sight:
    own = changes.pop("own", HERE)
    others = changes.pop("others", ())
    usual: dict[str, Any] = {
        "address": ADDRESS,
        "facts": FACTS,
        "functions": FUNCTIONS,
        "missing": (),
        "examination": HostExamination(source="ssh", functions=(own, *others)),
        "claim": None,
        "policy": ResetPolicy.REQUIRED,
    }
    return Sight(**(usual | changes))


def claim(*, released: str = "") -> GPUClaim:
    owner = ClaimOwner(kind="VirtualMachine", namespace="team", name="train", uid="1")
    made = GPUClaim(
        metadata=Metadata(name="x"), spec=GPUClaimSpec(host="a", address=ADDRESS, gpu_name="nvidia.com/X", owner=owner)
    )
    return made.with_status(released_at=released)


def own(**changes: Any) -> FunctionExamination:
    return HERE.model_copy(update=changes)


UNSEEN = HostExamination(why_not="no shell leads there")
HOLDER = Holder(pid=7, command="python3", path="/dev/nvidia0")


def test_a_gpu_that_is_in_order_passes_every_line() -> None:
    lines = reading_checks(sight())
    assert failed(lines) is None
    assert [line.name for line in lines] == [
        "present", "unclaimed", "config-space", "identity", "unused", "companions", "reset-method"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"functions": ()}, "present", "has no PCI function"),
        ({"facts": None}, "present", "no rule of the host counts it"),
        ({"claim": claim()}, "unclaimed", "VirtualMachine team/train has it"),
        ({"claim": claim(released="2026-11-21T12:00:00Z")}, "unclaimed", "being cleaned after VirtualMachine team/train"),
        ({"own": own(config_alive=False)}, "config-space", "fallen off the bus"),
        ({"own": own(config_alive=None)}, "config-space", "cannot be read"),
        ({"own": own(power_state="D3cold")}, "config-space", "power state is D3cold"),
        ({"own": own(holders=(HOLDER,))}, "unused", "python3 (pid 7) has /dev/nvidia0 open"),
        ({"missing": (AUDIO,)}, "companions", f"{AUDIO} is not there"),
        ({"others": (FunctionExamination(address=AUDIO, config_alive=False),)}, "companions", "reads as all ones"),
        ({"own": own(reset_methods=())}, "reset-method", "it has none"),
        ({"examination": UNSEEN}, "config-space", "no shell leads there"),
    ],
)
def test_what_is_not_in_order_is_named(changes: dict[str, Any], name: str, words: str) -> None:
    found = failed(reading_checks(sight(**changes)))
    assert found is not None
    assert (found.name, words in found.message) == (name, True), found


def test_best_effort_does_without_what_libvirt_cannot_tell() -> None:
    lines = reading_checks(sight(examination=UNSEEN, policy=ResetPolicy.BEST_EFFORT))
    assert failed(lines) is None
    assert "cannot be read: no shell leads there" in {line.name: line.message for line in lines}["identity"]


def test_all_that_is_wrong_is_said_at_once() -> None:
    lines = reading_checks(sight(own=own(config_alive=False, reset_methods=(), holders=(HOLDER,))))
    assert [line.name for line in lines if not line.passed] == ["config-space", "unused", "reset-method"]


def test_another_card_is_accepted_and_said() -> None:
    facts = FACTS.model_copy(update={"identity": GpuIdentity(vendor="10de", device="26b9", serial="2")})
    (line,) = [line for line in reading_checks(sight(facts=facts)) if line.name == "identity"]
    assert line.passed
    assert line.message == "another card than before, accepted: 10de-26b9.1 (was 10de-26b9.2)"


def test_what_another_card_of_the_group_is_used_for_is_not_asked() -> None:
    foreign = FunctionExamination(address="0000:42:00.0", holders=(HOLDER,), config_alive=False)
    assert failed(reading_checks(sight(others=(foreign,)))) is None


def test_a_card_is_the_gpu_and_what_shares_its_slot() -> None:
    disk = PciFunction(address="0000:03:00.0", vendor="1b36", device="0010")
    facts = FACTS.model_copy(update={"companions": (*FACTS.companions, disk)})
    assert card_of(facts) == (ADDRESS, AUDIO)


def test_requests_are_read_from_annotations() -> None:
    annotations = {"hikube.cloud/gpu-request.0000-41-00.0": "release:x", "other": "y"}
    assert requests_of(annotations) == {ADDRESS: "release:x"}
