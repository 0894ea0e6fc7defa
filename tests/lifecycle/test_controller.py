"""The control loop and its helpers: broken objects, the store away, many at once in real threads, background jobs."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from provisioner.clocks import ManualClock, SystemClock
from provisioner.lifecycle.assembly import controller_of
from provisioner.lifecycle.background import Finished, Meter, Running, Threads
from provisioner.lifecycle.ports import FAIL_FAST_S, Connections
from provisioner.model.errors import HostUnreachable, ImageError, StoreUnavailable
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.metadata import Key
from provisioner.model.virtual_machine import Phase
from tests.lifecycle.world import World, vm_yaml


def test_an_unexpected_error_of_one_object_does_not_stop_the_others(world: World) -> None:
    from provisioner.drivers.simulated.faults import Fault

    world.host("a", gpus=2).settle()
    world.fleet.faults.stage(Fault(ZeroDivisionError("a bug"), call="volumes.create", subject="*broken*", times=10**6))
    world.apply(vm_yaml("broken")).apply(vm_yaml("sound"))
    world.run(lambda: world.is_ready("sound"))
    assert not world.is_ready("broken")
    assert any(event.reason == "ZeroDivisionError" for event in world.store.events(world.vm("broken").key))


def test_a_store_that_is_away_for_a_moment_only_delays(world: World) -> None:
    world.host("a").apply(vm_yaml("first"))
    for method in ("watch", "update_status"):
        for _ in range(3):
            world.store.fail_next(method, StoreUnavailable("locked"))
    world.settle()
    assert world.is_ready("first")


def test_many_vms_at_once_in_real_threads_share_out_the_gpus(tmp_path: Path) -> None:
    """12 VMs, 8 GPUs on two hosts, 8 workers: never two owners, the rest waits with the counted reason."""
    world = World(tmp_path)
    world.host("a", gpus=4, cpus=64, memory_mib=512 * 1024).host("b", gpus=4, cpus=64, memory_mib=512 * 1024).settle()
    world.clock.set_now(SystemClock().now_s())
    for number in range(12):
        world.apply(vm_yaml(f"vm-{number}"))
    controller = controller_of(world.ports, workers=8)
    halt = threading.Event()
    ticker = threading.Thread(target=_tick, args=(world.clock, halt), daemon=True)
    driver = threading.Thread(target=controller.run_forever, args=(halt,), daemon=True)
    ticker.start()
    driver.start()
    try:
        _wait_for(lambda: _phases(world).count(Phase.READY) == 8 and len(world.store.list(GPUClaim).items) == 8)
    finally:
        halt.set()
        driver.join(timeout=30)
    owners = [claim.spec.owner.name for claim in world.store.list(GPUClaim).items]
    assert len(set(owners)) == 8
    waiting = [world.condition(vm.metadata.name, "Scheduled") for vm in world.machines() if vm.status.phase is Phase.PENDING]
    assert {found.reason for found in waiting if found is not None} == {"InsufficientGPUs"}


def _phases(world: World) -> list[Phase]:
    return [vm.status.phase for vm in world.machines()]


def _tick(clock: ManualClock, halt: threading.Event) -> None:
    """Virtual time beside real threads: a second every few milliseconds."""
    while not halt.wait(0.005):
        clock.advance(1.0)


def _wait_for(done: object, *, timeout_s: float = 60.0) -> None:
    deadline = SystemClock().monotonic_s() + timeout_s
    while not done():  # type: ignore[operator]
        assert SystemClock().monotonic_s() < deadline, "it did not happen in time"
        threading.Event().wait(0.02)


def test_jobs_of_one_name_run_once_and_tell_how_far_they_are() -> None:
    jobs, go, runs = Threads(workers=2), threading.Event(), []

    def work(meter: Meter) -> str:
        runs.append(1)
        meter(5 << 20, 10 << 20)
        go.wait(10)
        return "made"

    first = jobs.run("image", work)
    assert isinstance(first, Running)
    _wait_for(lambda: bool(runs))
    second = jobs.run("image", work)
    assert isinstance(second, Running)
    assert str(second.meter) == "5 of 10 MiB"
    go.set()
    _wait_for(lambda: isinstance(jobs.run("image", work), Finished))
    assert len(runs) == 1
    jobs.close()


def test_whoever_waits_for_a_job_is_woken_once_when_it_ends() -> None:
    jobs, go, woken = Threads(workers=1), threading.Event(), []
    first, second = (Key("VirtualMachine", "default", name) for name in ("first", "second"))
    jobs.attach(woken.append)
    for waiter in (first, second, first):
        assert isinstance(jobs.run("image", lambda _: go.wait(10), waiter=waiter), Running)
    assert woken == []
    go.set()
    _wait_for(lambda: len(woken) == 2)
    assert set(woken) == {first, second}
    assert isinstance(jobs.run("image", lambda _: go.wait(10), waiter=first), Finished)
    jobs.close()
    assert len(woken) == 2, "no one waits for what has ended"


def test_a_failed_job_raises_once_and_can_be_run_again() -> None:
    jobs = Threads(workers=1)

    def fail(_: Meter) -> str:
        raise ImageError("no such image")

    def raised() -> bool:
        try:
            jobs.run("image", fail)
        except ImageError:
            return True
        return False

    _wait_for(raised)
    _wait_for(lambda: isinstance(jobs.run("image", lambda _: "made"), Finished))
    jobs.close()


def test_a_host_that_was_away_a_moment_ago_is_not_asked_again_at_once(world: World) -> None:
    world.host("a")
    world.fleet.host("a").set_link("down")
    connections = Connections(world.ports.connector, world.clock)
    for _ in range(5):
        with pytest.raises(HostUnreachable):
            connections.to("simulated://a")
    assert world.fleet.calls.count("connect") <= 1
    world.fleet.host("a").set_link("up")
    world.clock.advance(FAIL_FAST_S)
    connections.to("simulated://a")
