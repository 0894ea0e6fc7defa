"""A host that loses its power, its cards or its operator's memory: what ran comes back, what is strange is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from provisioner.lab import StandIn, StandInModel
from provisioner.model.virtual_machine import Phase
from tests.e2e.conftest import BOX
from tests.e2e.keeper import Keeper
from tests.e2e.operator import Operator
from tests.e2e.rig import Rig

BOOT_S = 900.0
NOTICED_S = 300.0


@pytest.fixture
def operator(rig: Rig) -> Operator:
    """Somebody at a terminal."""
    return Operator(rig)


@pytest.fixture(autouse=True)
def as_it_was(keeper: Keeper) -> Iterator[None]:
    """The box has its own hardware again afterwards."""
    yield
    if keeper.box().spec != BOX.hosts[0]:
        keeper.power_cycle()


@pytest.mark.timeout(2400)
def test_power_cards_and_store_are_lost_one_after_the_other(operator: Operator, keeper: Keeper) -> None:
    rig = operator.rig
    before = rig.drivers()
    gpu, companion = rig.gpu_functions()
    with operator.controlling():
        rig.apply()
        operator.waits(operator.is_ready, until="ready", timeout_s=BOOT_S)

        keeper.power_cycle()  # a machine that is not warned
        operator.waits(lambda: not operator.is_ready(), until="noticed", timeout_s=NOTICED_S)
        operator.waits(operator.is_ready, until="ready after the host's reboot", timeout_s=BOOT_S)
        assert rig.drivers() == {gpu: "vfio-pci", companion: "vfio-pci"}, "what is wanted is bound again"

    rig.lose_store()
    operator.types("host", "adopt", "box", rig.box.uri)
    assert rig.vm().status.domain, "known again, as it runs"
    with operator.controlling():
        operator.waits(operator.is_ready, until="ready once adopted", timeout_s=NOTICED_S)
        operator.types("gpu", "vm", "stop", "mortal")
        assert rig.vm().status.phase is Phase.STOPPED
        operator.waits(lambda: not rig.store.read_raw("GPUClaim"), until="the GPU is clean", timeout_s=NOTICED_S)
        assert rig.drivers() == before, "adopted with what must be restored"

    other = dataclasses.replace(BOX.hosts[0], gpus=(StandIn(StandInModel.NVME), *BOX.hosts[0].gpus[1:]))
    keeper.power_cycle(other)
    with operator.controlling():
        assert rig.vm().status.phase is Phase.STOPPED, "a VM that was stopped stays stopped over a reboot"
        operator.types("gpu", "vm", "start", "mortal", "--no-wait")
        operator.waits(lambda: bool(operator.host().status.quarantined), until="a swapped card is refused", timeout_s=NOTICED_S)
        reason = operator.host().status.quarantined[0].reason
        assert "1234-1111" in reason
        assert "1b36-0010" in reason
        rig.store.delete(rig.vm().key)
        operator.waits(operator.is_gone, until="deleted")
        operator.types("gpu", "release", f"box/{gpu}")
        assert operator.host().status.quarantined == (), "an operator has said that the new card is right"
