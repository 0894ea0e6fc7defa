"""The same quotas where a cluster gives the GPUs: counted from the promise on, with and without the claims that come later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.lifecycle.assembly import behind
from provisioner.lifecycle.verdicts import Done, Retry, Verdict
from tests.lifecycle.clusters import L40S, ClusterWorld
from tests.lifecycle.test_quotas import SOON_S, at_write, quota, quota_yaml, reserve, scheduled, why
from tests.lifecycle.world import vm_yaml


@pytest.fixture
def world(tmp_path: Path) -> ClusterWorld:
    """With a cluster of two GPUs, and a namespace that may have one."""
    made = ClusterWorld(tmp_path).cluster("k", node=2)
    made.pass_time(SOON_S).apply(quota_yaml())
    return made


def test_a_vm_over_quota_waits_and_gets_its_gpu(world: ClusterWorld) -> None:
    world.apply(vm_yaml("first")).settle().apply(vm_yaml("second")).settle()
    assert why(world, "second") == ("QuotaExceeded", "quota limit allows 1 L40S, 1 used (by first), 1 asked: 1 too many")
    assert quota(world).status.used == {L40S: 1}, "its promise and its claim are one GPU"
    world.delete("first").run(lambda: world.is_ready("second"))
    assert quota(world).status.used == {L40S: 1}


@pytest.mark.parametrize("moment", range(1, 5))
def test_two_controllers_never_promise_more_than_the_quota(world: ClusterWorld, moment: int) -> None:
    """The other one places its VM right before some write of the first. Both may think better of it; then they wait."""
    for name in ("one", "two"):
        world.apply(vm_yaml(name))
    told: list[Verdict] = []
    other = replace(world.ports)
    told.append(reserve("one", behind(world.ports, at_write(moment, lambda: told.append(reserve("two", other))))))
    assert scheduled(world) == sum(isinstance(verdict, Done) for verdict in told) <= 1
    assert all(verdict.reason == "QuotaExceeded" for verdict in told if isinstance(verdict, Retry)), told
    world.settle()
    assert scheduled(world) == 1
