"""`hikube wait`: only words that the kind knows, and only objects that exist."""

from __future__ import annotations

from typing import Any

import pytest

from cli.awaited import asked_for, conditions_of
from cli.render.conditions import in_order
from provisioner.lifecycle.gpu_hosts import GPU_HOST
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.lifecycle.vm_disks import VM_DISK
from provisioner.model.metadata import Key
from tests.cli.conftest import Hikube
from tests.cli.test_stories import TRAIN, fleet

__all__ = ["fleet"]

VM = Key("VirtualMachine", "default", "train")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("foo", ""),
        ("condition=Redy", "did you mean Ready?"),
        ("GPUsProved", "did you mean GPUsProven?"),
        ("condition=Ready=Maybe", ""),
        ("phase=Stoped", "did you mean Stopped?"),
    ],
)
def test_unknown_words_are_refused_at_once_with_those_that_there_are(fleet: Hikube, words: str, hint: str) -> None:
    assert fleet(*TRAIN).code == 0
    result = fleet("wait", "vm/train", f"--for={words}")
    assert result.code == 2
    assert f"--for={words}" in result.err
    assert "allowed: " in result.err
    assert hint in result.err


def test_the_allowed_words_are_those_of_the_kind(fleet: Hikube) -> None:
    assert "allowed: Reachable, Surveyed, Examined, KvmProven, " in fleet("wait", "host/sim", "--for=Booted").err
    assert "--for=delete only" in fleet("wait", "image/tiny", "--for=Ready").err


def test_words_may_be_typed_in_any_case() -> None:
    assert asked_for(VM, "condition=gpusproven=false").wanted == "GPUsProven"
    assert asked_for(VM, "phase=stopped").wanted == "Stopped"


def test_a_name_that_nothing_has_is_named(fleet: Hikube) -> None:
    assert fleet(*TRAIN).code == 0
    result = fleet("wait", "vm/trian")
    assert result.code == 11
    assert "no VirtualMachine is called 'trian' in namespace default" in result.err
    assert "did you mean train?" in result.err


def test_what_was_deleted_meanwhile_is_named() -> None:
    check = asked_for(VM, "Ready").is_over
    with pytest.raises(Exception, match="VirtualMachine default/train does not exist"):
        check(None)


@pytest.mark.parametrize("table", [VIRTUAL_MACHINE, GPU_HOST, VM_DISK], ids=["vm", "host", "disk"])
def test_conditions_are_shown_in_the_order_of_the_steps(table: Any) -> None:
    wanted = [step.sets for step in table.steps if step.sets != "Ready"]
    stored = [{"type": "Ready"}, {"type": "Unheard"}, *({"type": name} for name in reversed(wanted))]
    assert [each["type"] for each in in_order(stored)] == [*wanted, "Unheard", "Ready"]


def test_every_condition_that_a_vm_has_can_be_waited_for(fleet: Hikube) -> None:
    assert fleet(*TRAIN).code == 0
    shown = [line.split()[0] for line in fleet("gpu", "vm", "show", "train").out.split("Conditions:\n")[1].splitlines()]
    assert set(shown) <= set(conditions_of("VirtualMachine"))
    assert shown[-1] == "Ready"
