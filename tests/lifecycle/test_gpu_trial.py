"""The part of a GPU's check that acts: on which drivers it leaves the card."""

from __future__ import annotations

from provisioner.lifecycle.quarantine import quarantine
from tests.lifecycle.test_gpu_release import FIRST, release
from tests.lifecycle.world import World


def test_a_function_that_a_hung_bind_left_half_way_goes_to_the_driver_of_the_kernels_choice(world: World) -> None:
    world.host("a", gpus=1).settle()
    quarantine(world.ports, host="a", address=FIRST, reason="its driver did not let go", cause="Hangs")
    with world.fleet.host("a").peek() as state:
        native = state.functions[FIRST].native_driver
        state.functions[FIRST].driver, state.functions[FIRST].driver_override = "", "vfio-pci"
    assert release(world).state == "Passed"
    with world.fleet.host("a").peek() as state:
        assert (state.functions[FIRST].driver, state.functions[FIRST].driver_override) == (native, "")
