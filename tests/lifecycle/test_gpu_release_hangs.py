"""A check of a GPU that does not come back ends in bounded time, and holds no other GPU up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from provisioner.lifecycle.background import Finished, Inline, Meter, Running
from provisioner.lifecycle.quarantine import quarantine
from provisioner.model.metadata import Key
from tests.lifecycle.test_gpu_release import FIRST, answer, ask_release, quarantined, release
from tests.lifecycle.world import World

T = TypeVar("T")


class NeverDone(Inline):
    """A process on the host that does not come back, for jobs of this kind."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def run(self, name: str, job: Callable[[Meter], T], *, waiter: Key | None = None) -> Running | Finished[T]:
        return Running(Meter()) if name.startswith(self._kind) else super().run(name, job)


@pytest.mark.parametrize("kind", ["look at", "try"])
def test_a_check_that_hangs_ends_in_bounded_time_and_holds_nothing_up(world: World, kind: str) -> None:
    second = "0000:42:00.0"
    world.host("a", gpus=2).settle()
    world.ports = replace(world.ports, background=NeverDone(f"{kind} GPU a/{FIRST}"))
    world.start_controller()
    for address in (FIRST, second):
        quarantine(world.ports, host="a", address=address, reason="it made noises", cause="Operator")
    ask_release(world)
    assert release(world, second).state == "Passed", "the other GPU does not wait for it"
    world.run(lambda: (check := answer(world)) is not None and check.state == "Failed", timeout_s=1000)
    assert list(quarantined(world)) == [FIRST]
    check = answer(world)
    assert check is not None and "did not come back" in check.failures[0].message
