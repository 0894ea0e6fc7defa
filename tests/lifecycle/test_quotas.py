"""Namespaces as tenants: a VM over quota waits and says why, is woken when it may, and two controllers never give too much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from provisioner.lifecycle.assembly import behind
from provisioner.lifecycle.dry_run import preview
from provisioner.lifecycle.fleet import snapshot
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.verdicts import Done, Retry, Verdict
from provisioner.lifecycle.virtual_machine.reserve import reserve_gpus
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.gpu_quota import GPUQuota
from provisioner.model.metadata import Condition, find_condition
from provisioner.model.virtual_machine import RunStrategy, VirtualMachine
from provisioner.planning.placement import NoPlacement, Placement
from tests.background_jobs import Jobs
from tests.lifecycle.world import World, vm_yaml

L40S = "nvidia.com/AD102GL_L40S"
SOON_S = 5.0
"""Much less than a VM that waits would let pass by itself."""


def quota_yaml(hard: str = "{l40s: 1}", *, name: str = "limit", namespace: str = "default", selector: str = "{}") -> str:
    return f"""
apiVersion: hikube.cloud/v1alpha1
kind: GPUQuota
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{hard: {hard}, hostSelector: {selector}}}
"""


def quota(world: World, name: str = "limit") -> GPUQuota:
    return world.store.get(GPUQuota, name, namespace="default")


def within(world: World) -> Condition:
    found = find_condition(quota(world).status.conditions, "WithinQuota")
    assert found is not None
    return found


def why(world: World, name: str) -> tuple[str, str]:
    found = world.condition(name, "Scheduled")
    assert found is not None
    assert found.status == "False"
    return found.reason, found.message


def test_a_vm_over_quota_waits_says_why_and_goes_on_when_a_gpu_is_given_back(world: World) -> None:
    world.host("a", gpus=2).apply(quota_yaml()).apply(vm_yaml("first")).settle()
    world.apply(vm_yaml("second")).settle()
    assert why(world, "second") == ("QuotaExceeded", "quota limit allows 1 L40S, 1 used (by first), 1 asked: 1 too many")
    assert quota(world).status.hard == quota(world).status.used == {L40S: 1}
    assert (within(world).status, within(world).reason) == ("True", "Within")
    world.delete("first").run(lambda: world.is_ready("second"))
    assert quota(world).status.used == {L40S: 1}


def test_a_stopped_vm_uses_nothing(world: World) -> None:
    world.host("a", gpus=2).apply(quota_yaml()).apply(vm_yaml("first")).settle()
    world.edit("first", run_strategy=RunStrategy.HALTED).settle().pass_time(1.0)
    assert quota(world).status.used == {L40S: 0}
    world.apply(vm_yaml("second")).settle()
    world.edit("first", run_strategy=RunStrategy.ALWAYS).settle()
    assert why(world, "first")[1] == "quota limit allows 1 L40S, 1 used (by second), 1 asked: 1 too many"


def test_a_quota_that_is_raised_or_removed_wakes_who_waits_at_once(world: World) -> None:
    world.host("a", gpus=3).apply(quota_yaml()).apply(vm_yaml("first")).settle()
    world.apply(vm_yaml("second")).apply(vm_yaml("third")).settle()
    world.apply(quota_yaml("{l40s: 2}")).run(lambda: scheduled(world) == 2, timeout_s=SOON_S).settle()
    world.store.delete(quota(world).key)
    world.run(lambda: scheduled(world) == 3, timeout_s=SOON_S)


def test_a_gpu_that_is_still_being_cleaned_is_used_by_nobody(world: World) -> None:
    """The waiter has another GPU at once: it does not wait until the first one's is clean."""
    world.ports = replace(world.ports, background=Jobs(world.clock, Random(1), at_once=0.0))
    world.start_controller()
    world.host("a", gpus=2).apply(quota_yaml()).apply(vm_yaml("first")).run(lambda: world.is_ready("first"))
    world.configure("a", scrub_command="scrub {address}", refresh_interval_s=86_400)
    world.fleet.host("a").end_scrubs(status=0, takes_s=300.0)
    world.apply(vm_yaml("second")).pass_time(SOON_S)
    assert why(world, "second")[0] == "QuotaExceeded"
    world.delete("first").run(lambda: scheduled(world, "second") == 1, timeout_s=60.0)
    (released,) = [claim for claim in world.store.list(GPUClaim).items if claim.is_released]
    assert released.spec.owner.name == "first"


def test_what_runs_is_never_stopped_by_a_quota_that_is_lowered(world: World) -> None:
    world.host("a", gpus=3).apply(quota_yaml("{gpus: 2}")).apply(vm_yaml("first")).apply(vm_yaml("second")).settle()
    world.apply(quota_yaml("{gpus: 1}")).pass_time(2 * 3600.0)
    assert world.is_ready("first") and world.is_ready("second")
    assert (quota(world).status.hard, quota(world).status.used) == ({"gpus": 1}, {"gpus": 2})
    assert (within(world).status, within(world).reason) == ("False", "OverQuota")
    assert within(world).message.startswith("2 of 1 gpus used: what runs goes on")
    assert [event.reason for event in world.store.events(quota(world).key)] == ["OverQuota"]
    world.annotate("first", "hikube.cloud/request", "restart:1").settle()
    assert world.is_ready("first"), "a restart keeps what it has"
    world.delete("second").run(lambda: within(world).status == "True", timeout_s=600.0)


def test_more_than_a_quota_ever_gives_is_told_apart(world: World) -> None:
    world.host("a", gpus=2).apply(quota_yaml()).apply(vm_yaml("first", gpus=2)).settle()
    assert why(world, "first")[1] == "quota limit allows 1 L40S in all, 2 asked: this can never be given"


def test_hosts_are_for_the_tenants_whose_labels_they_have(world: World) -> None:
    world.host("a", gpus=1).host("b", gpus=1).apply(quota_yaml(selector="{tenant: red}"))
    world.apply(vm_yaml("first")).settle()
    assert why(world, "first")[0] == "NotForTenant"
    host = world.store.get(GPUHost, "b")
    world.store.update(host.with_metadata(labels={"tenant": "red"}))
    world.run(lambda: world.is_ready("first"))
    assert world.vm("first").status.host == "b"


def test_a_namespace_without_a_quota_is_not_limited(world: World) -> None:
    world.host("a", gpus=2).apply(quota_yaml(namespace="elsewhere")).apply(vm_yaml("first")).apply(vm_yaml("second")).settle()
    assert world.is_ready("first") and world.is_ready("second")
    assert world.store.get(GPUQuota, "limit", namespace="elsewhere").status.used == {L40S: 0}


def test_a_dry_run_asks_the_same(world: World) -> None:
    world.host("a", gpus=2).apply(quota_yaml()).apply(vm_yaml("first")).settle()
    newcomer = world.vm("first").with_metadata(name="second", uid="")
    newcomer = newcomer.model_copy(update={"status": type(newcomer.status)()})
    refused = preview(newcomer, world.ports).placement
    assert isinstance(refused, NoPlacement)
    assert refused.reason == "QuotaExceeded"
    assert isinstance(preview(newcomer.with_metadata(namespace="elsewhere"), world.ports).placement, Placement)


def test_sums_are_those_of_a_fresh_look_after_any_story(world: World) -> None:
    world.host("a", gpus=4).apply(quota_yaml("{gpus: 3}"))
    for name in ("one", "two", "three", "four"):
        world.apply(vm_yaml(name))
    world.settle().delete("one").settle().edit("two", run_strategy=RunStrategy.HALTED).settle()
    assert world.ports.snapshots.take(world.store, world.tables).tenancies == snapshot(world.store, world.tables).tenancies
    assert quota(world).status.used == {"gpus": 2}


@pytest.mark.parametrize("moment", range(1, 6))
def test_two_controllers_that_place_at_once_never_give_more_than_the_quota(world: World, moment: int) -> None:
    """The other one places its VM right before some write of the first: before its claim, or before it notes it.

    Each VM wants another host, so that no claim of the one is in the way of the other.
    """
    world.host("a").host("b").apply(vm_yaml("warm", gpus=0)).settle().apply(quota_yaml())
    for name, host in (("one", "a"), ("two", "b")):
        known = world.store.get(GPUHost, host)
        world.store.update(known.with_metadata(labels={"name": host}))
        world.apply(vm_yaml(name, extra=f"  hostSelector: {{name: {host}}}"))
    told: list[Verdict] = []
    first = behind(world.ports, at_write(moment, lambda: told.append(reserve("two", replace(world.ports)))))
    told.append(reserve("one", first))
    done = [verdict for verdict in told if isinstance(verdict, Done)]
    waits = [verdict for verdict in told if isinstance(verdict, Retry)]
    assert _claims(world) == len(done) == 1
    assert all(verdict.reason == "QuotaExceeded" for verdict in waits), told
    assert len(waits) == 1 or moment > 2, "a successful reservation writes twice"


def at_write(number: int, happen: Callable[[], object]) -> Callable[[], None]:
    """A fence that lets everything through, and before a certain write lets something else happen."""
    left = [number]

    def fence() -> None:
        left[0] -= 1
        if left[0] == 0:
            happen()

    return fence


def reserve(name: str, ports: Ports) -> Verdict:
    return reserve_gpus(VirtualMachineView(ports.store.get(VirtualMachine, name, namespace="default"), ports))


def scheduled(world: World, *names: str) -> int:
    """How many VMs are, of all or of these."""
    machines = (vm for vm in world.machines() if not names or vm.metadata.name in names)
    conditions = (find_condition(vm.status.conditions, "Scheduled") for vm in machines)
    return sum(found is not None and found.status == "True" for found in conditions)


def _claims(world: World) -> int:
    return len(world.store.list(GPUClaim).items)
