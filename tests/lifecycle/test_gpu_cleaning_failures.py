"""A GPU that cannot be cleaned goes to nobody: whatever fails, it ends in quarantine with the reason, and the claim ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.model.errors import HostTimeout, HypervisorError
from provisioner.model.examination import AerCounts
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_history import Outcome
from provisioner.model.gpu_host import GPUHost, ResetPolicy
from tests.lifecycle.tenants import GPU, SCRUB, entries, gone, had_by_first
from tests.lifecycle.world import World, vm_yaml


def _dies(world: World) -> None:
    world.fleet.host("a").die(GPU)


def _is_swapped(world: World) -> None:
    world.fleet.host("a").swap(GPU)


def _has_fatal_errors(world: World) -> None:
    with world.fleet.host("a").peek() as state:
        state.functions[GPU].aer = AerCounts(fatal=3)


def _cannot_be_seen(world: World) -> None:
    world.fleet.host("a").forbid_examination("no shell leads there")


def _scrub_fails(world: World) -> None:
    world.configure("a", scrub_command=SCRUB)
    world.fleet.host("a").end_scrubs(status=3, output="row 17 does not clear")


def _scrub_hangs(world: World) -> None:
    world.configure("a", scrub_command=SCRUB, scrub_timeout_s=60)
    world.fleet.host("a").end_scrubs(status=0, takes_s=900.0)


def _reset_fails(world: World) -> None:
    world.fleet.host("a").fail_resets(GPU, why="not ready 65535ms after FLR; giving up")


def _vanishes(world: World) -> None:
    world.fleet.host("a").lose(GPU)


FAILURES: dict[str, tuple[Callable[[World], None], str]] = {
    "reset fails": (_reset_fails, "not ready 65535ms after FLR"),
    "scrub fails": (_scrub_fails, "ended with status 3: row 17 does not clear"),
    "scrub hangs": (_scrub_hangs, "did not end within 60 s"),
    "another card": (_is_swapped, "another card is in its place"),
    "fatal errors": (_has_fatal_errors, "fatal"),
    "no look inside": (_cannot_be_seen, "no shell leads there"),
    "dead": (_dies, ""),
    "gone": (_vanishes, ""),
}


@pytest.mark.parametrize(("befalls", "why"), FAILURES.values(), ids=FAILURES)
def test_whatever_fails_takes_the_gpu_out_of_service_and_the_claim_ends(
    world: World, befalls: Callable[[World], None], why: str
) -> None:
    had_by_first(world)
    befalls(world)
    gone(world, "first").apply(vm_yaml("second")).run(lambda: not world.store.list(GPUClaim).items)
    (entry,) = entries(world)
    assert entry.outcome is Outcome.QUARANTINED
    assert why in entry.reason
    (quarantined,) = world.store.get(GPUHost, "a").status.quarantined
    assert quarantined.cause
    world.pass_time(1800)
    assert not world.is_ready("second")


@pytest.mark.parametrize("befalls", [_cannot_be_seen, lambda world: world.fleet.host("a").set_reset_methods(GPU)])
def test_best_effort_notes_what_it_could_not_do(world: World, befalls: Callable[[World], None]) -> None:
    had_by_first(world).configure("a", reset_policy=ResetPolicy.BEST_EFFORT)
    befalls(world)
    gone(world, "first")
    assert world.leaks() == []
    (entry,) = entries(world)
    assert entry.outcome is Outcome.FREE
    assert "not possible" in entry.cleaning.reset or "not verified" in entry.cleaning.verification


def test_a_gpu_that_somebody_goes_on_using_ends_in_quarantine(world: World) -> None:
    had_by_first(world)
    world.delete("first")
    world.store.update(world.vm("first").with_metadata(finalizers=()))
    world.fleet.faults.stage(Fault(HypervisorError("it does not die"), call="domains.destroy", times=10**6))
    world.run(lambda: not world.store.list(GPUClaim).items)
    (quarantined,) = world.store.get(GPUHost, "a").status.quarantined
    assert quarantined.cause == "InUse"
    assert "hikube-default.first" in quarantined.reason
    assert world.fleet.calls.count("devices.reset") == 0


def test_a_gpu_that_hangs_in_its_reset_is_left_alone_whatever_the_policy(world: World) -> None:
    had_by_first(world).configure("a", reset_policy=ResetPolicy.BEST_EFFORT)
    world.fleet.faults.stage(Fault(HostTimeout("no answer"), call="devices.reset"))
    gone(world, "first").run(lambda: not world.store.list(GPUClaim).items)
    (entry,) = entries(world)
    assert entry.cleaning.is_left_alone and entry.outcome is Outcome.QUARANTINED
    assert entry.cleaning.restored == "left as it is: it hangs or has gone"
    assert world.fleet.calls.count("devices.restore") == 0
