"""Two controllers of different classes share a cluster and its hosts: each acts on its own, and no GPU is given twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.lifecycle.assembly import controller_of
from provisioner.lifecycle.controller import Controller
from provisioner.model.classes import CLASS_LABEL, class_name
from provisioner.model.errors import InvalidInput
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import find_condition
from provisioner.store.classed import ClassedStore
from provisioner.store.fenced import FencedStore
from tests.lifecycle.world import World, vm_yaml

TURNS_MAX = 40_000


class Two:
    """A world with a controller without a class, and one of class `gpu`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.acted: list[str] = []
        """By whom each write was made."""
        self.plain, self.gpu = self._controller("", "plain"), self._controller("gpu", "gpu")

    def live(self, duration_s: float) -> Two:
        """Let time run for both."""
        until_s = self.world.clock.monotonic_s() + duration_s
        for _ in range(TURNS_MAX):
            if self.world.clock.monotonic_s() >= until_s:
                return self
            idle_s = min(self.plain.turn(), self.gpu.turn())
            if idle_s:
                self.world.clock.sleep(min(idle_s, 5.0))
        raise AssertionError(self.world.summary())

    def _controller(self, name: str, told: str) -> Controller:
        ports = replace(self.world.ports, store=FencedStore(self.world.store, lambda: self.acted.append(told)))
        return controller_of(ports, workers=0, class_name=name)


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(World(tmp_path).host("a", gpus=2))


def of_class(text: str, name: str) -> str:
    return text.replace("{name: ", f"{{labels: {{{CLASS_LABEL}: {name}}}, name: ", 1)


def test_each_brings_up_its_own_on_one_host_and_no_gpu_is_given_twice(two):
    world = two.world
    world.apply(vm_yaml("ours")).apply(of_class(vm_yaml("theirs"), "gpu")).apply(of_class(vm_yaml("late"), "gpu"))
    two.live(3600)
    ready = {name for name in ("ours", "theirs", "late") if world.is_ready(name)}
    assert "ours" in ready and len(ready) == 2
    claims = world.store.list(GPUClaim).items
    assert len({claim.metadata.name for claim in claims}) == len(claims) == 2
    classes = {claim.spec.owner.name: claim.metadata.labels.get(CLASS_LABEL, "") for claim in claims}
    assert classes == {name: "" if name == "ours" else "gpu" for name in ready}
    assert world.store.get(GPUHost, "a").metadata.labels[CLASS_LABEL] in ("", "gpu")
    world.delete("ours")
    two.live(3600)
    assert world.is_ready("theirs") and world.is_ready("late")


def test_what_is_of_nobodys_class_is_left_alone(two):
    two.world.apply(of_class(vm_yaml("foreign"), "cozystack"))
    two.live(7200)
    foreign = two.world.vm("foreign")
    assert not foreign.status.conditions and not foreign.metadata.finalizers
    assert two.world.store.list(GPUClaim).items == ()


def test_a_running_vm_of_another_class_is_no_orphan(two):
    two.world.apply(of_class(vm_yaml("theirs"), "gpu"))
    two.live(7200)
    assert two.world.is_ready("theirs")
    assert two.world.fleet.calls.count("domains.destroy") == 0
    two.world.delete("theirs")
    two.live(3600)
    assert not two.world.exists("theirs") and not two.world.leaks()


def test_a_guest_that_stops_on_a_host_of_another_class_is_seen_at_once(two):
    two.world.configure("a")
    host = two.world.store.get(GPUHost, "a")
    two.world.store.update(host.with_metadata(labels={CLASS_LABEL: ""}))
    two.world.apply(of_class(vm_yaml("theirs"), "gpu"))
    two.live(3600)
    assert two.world.is_ready("theirs")
    hypervisor = two.world.ports.connector.connect("simulated://a")
    hypervisor.domains.destroy(two.world.vm("theirs").status.domain, timeout_s=10)
    two.live(5)
    ready = find_condition(two.world.vm("theirs").status.conditions, "Ready")
    assert ready is not None and ready.status == "False"


def test_the_first_controller_takes_a_host_and_the_other_one_leaves_it(two):
    two.live(60)
    label = two.world.store.get(GPUHost, "a").metadata.labels[CLASS_LABEL]
    after = len(two.acted)
    two.live(1200)
    assert set(two.acted[after:]) <= {label or "plain"}


def test_objects_are_seen_by_all(two):
    two.world.apply(of_class(vm_yaml("theirs"), "gpu"))
    store = ClassedStore(two.world.store, class_name="")
    (theirs,) = store.list(type(two.world.vm("theirs"))).items
    assert store.is_foreign(theirs.key)


@pytest.mark.parametrize("text", ["GPU", "-a", "a" * 33, "a.b", "a b"])
def test_a_class_is_a_part_of_the_name_of_a_lease(text):
    with pytest.raises(InvalidInput):
        class_name(text)
    assert class_name("gpu-2") == "gpu-2" and class_name("") == ""
