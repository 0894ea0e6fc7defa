"""A stop, and the start after it, whose controllers die at every step: in the twin, since a real boot takes long."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.virtual_machine import Phase, RunStrategy
from tests.crashes.moments import BACKWARDS, FORWARDS, HOMEWARDS, Moment
from tests.crashes.outcome import Outcome
from tests.crashes.scenes import VM, one_l40s
from tests.crashes.simulated import SimulatedStage

MEANWHILE = [*BACKWARDS, *HOMEWARDS, *FORWARDS]


def _stops(stage: SimulatedStage, moment: Moment | None) -> bool:
    stage.world.edit(VM, run_strategy=RunStrategy.HALTED)
    died = stage.live(moment, over=lambda: _has_stopped(stage))
    return died and not stage.live(None, over=lambda: _has_stopped(stage))


def _has_stopped(stage: SimulatedStage) -> bool:
    return stage.world.vm(VM).status.phase is Phase.STOPPED and not stage.world.store.list(GPUClaim).items


def _starts(stage: SimulatedStage, moment: Moment | None) -> bool:
    stage.world.edit(VM, run_strategy=RunStrategy.ALWAYS)
    died = stage.live(moment)
    return died and not stage.live(None)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Outcome]:
    """What is there of the stopped VM, and once it is started again, if nobody dies."""
    stage = one_l40s(tmp_path_factory.mktemp("undisturbed"))
    stage.create()
    assert not stage.live(None)
    _stops(stage, None)
    stopped = stage.look()
    _starts(stage, None)
    return stopped, stage.look()


def test_a_stopped_vm_keeps_its_disk_its_address_and_a_domain_that_bears_its_record(
    undisturbed: tuple[Outcome, Outcome],
) -> None:
    stopped, _ = undisturbed
    assert stopped.domain == ("off, the VM's, with a record, 0 functions",)
    assert stopped.volumes == ("base", "console", "system")
    assert stopped.network == ("an address is reserved, as recorded",)
    assert (stopped.claims, stopped.steps) == ((), ())
    assert stopped.drivers == ("card 0 function 0: its own", "card 0 function 1: its own")


@pytest.mark.parametrize("moment", MEANWHILE, ids=str)
def test_whoever_dies_on_the_way_down_or_up_again_it_ends_the_same(
    tmp_path: Path, undisturbed: tuple[Outcome, Outcome], moment: Moment
) -> None:
    stage = one_l40s(tmp_path)
    stage.create()
    assert not stage.live(None)
    stops, starts = _stops(stage, moment), False
    assert stage.look() == undisturbed[0]
    starts = _starts(stage, moment)
    assert stage.look() == undisturbed[1]
    assert stops or starts or moment == Moment("undone", "disk"), "a stop keeps the disk, everything else is met"
