"""Images that are not what they must be: the VM fails early and says why, and what may pass is waited for."""

from __future__ import annotations

import pytest

from provisioner.drivers.simulated.images import SimulatedImage, SimulatedImages
from provisioner.model.image import Image, ImageSpec
from provisioner.model.metadata import Metadata
from provisioner.model.virtual_machine import Phase, VirtualMachine
from provisioner.model.vm_disk import VMDisk
from tests.lifecycle.world import World, vm_yaml

URL = "https://images.example/mine.qcow2"
EARLY_S = 60.0
REFUSED = {
    "another digest": SimulatedImage(sha256="cd" * 32),
    "no disk image": SimulatedImage(format="html"),
    "another format than declared": SimulatedImage(format="raw"),
}


@pytest.fixture
def images(world: World) -> SimulatedImages:
    """What is behind the URLs; the store has an Image for one of them."""
    assert isinstance(world.ports.images, SimulatedImages)
    world.host("a").settle()
    world.store.create(Image(metadata=Metadata(name="mine"), spec=ImageSpec(url=URL, sha256="ab" * 32)))
    return world.ports.images


def wants_it(name: str) -> str:
    return vm_yaml(name).replace("ubuntu-2404", "mine")


@pytest.mark.parametrize("image", REFUSED.values(), ids=REFUSED)
def test_a_vm_whose_image_is_refused_fails_at_once_and_says_why(
    world: World, images: SimulatedImages, image: SimulatedImage
) -> None:
    images.stage(URL, image)
    began_s = world.clock.now_s()
    world.apply(wants_it("first")).settle()
    vm = world.vm("first")
    assert vm.status.phase is Phase.FAILED
    assert world.clock.now_s() - began_s < EARLY_S
    ready = world.condition("first", "Ready")
    assert ready is not None and ready.reason == "ImageRefused"
    assert vm.status.last_failure == ready.message
    assert world.fleet.calls.count("images.fetch") == 1
    assert any(event.reason == "ImageRefused" for event in world.store.events(vm.key))
    assert world.leaks() == []


def test_once_the_image_is_right_a_change_of_the_spec_tries_again(world: World, images: SimulatedImages) -> None:
    images.stage(URL, SimulatedImage(format="html"))
    world.apply(wants_it("first")).settle()
    images.stage(URL, SimulatedImage())
    world.edit("first", running=True, ssh_keys=("ssh-ed25519 AAAAC3Nz a",)).run(lambda: world.is_ready("first"))


def test_an_image_that_is_not_there_yet_is_waited_for(world: World, images: SimulatedImages) -> None:
    images.stage(URL, SimulatedImage(is_missing=True))
    world.apply(wants_it("first")).pass_time(EARLY_S)
    told = world.condition("first", "ImageReady")
    assert told is not None and "404" in told.message
    images.stage(URL, SimulatedImage())
    world.run(lambda: world.is_ready("first"))


def test_a_disk_whose_image_is_refused_fails_and_so_does_its_vm(world: World, images: SimulatedImages) -> None:
    images.stage(URL, SimulatedImage(format="html"))
    world.apply(
        """
apiVersion: apps.cozystack.io/v1alpha1
kind: VMDisk
metadata: {name: data}
spec:
  source: {image: {name: mine}}
  storage: 10Gi
---
apiVersion: apps.cozystack.io/v1alpha1
kind: VMInstance
metadata: {name: first}
spec:
  instanceType: u1.large
  disks: [{name: data}]
"""
    ).settle()
    assert world.disk("data").status.phase == "Failed"
    assert [vm.status.phase for vm in world.machines()] == [Phase.FAILED]
    assert not world.exists("first", VirtualMachine)
    assert world.exists("data", VMDisk)
