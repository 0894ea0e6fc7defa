"""The stage in the twin: a simulated host in virtual time, and controllers that are forgotten where a real one is killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.drivers.simulated.hardware import SimulatedHardware
from provisioner.drivers.simulated.timing import Timing
from provisioner.model.gpu_host import GPUHost
from provisioner.model.image import Image
from provisioner.model.metadata import Metadata
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.protocol import Store
from tests.crashes.moments import Death, Moment
from tests.crashes.outcome import Eyes, Outcome
from tests.crashes.play import is_over
from tests.lifecycle.world import World

LIFE_S = 6 * 3600.0
SHORT = Timing(address=(2.0, 3.0), ssh=(1.0, 2.0), cloud_init=(2.0, 3.0), shutdown=(1.0, 2.0))


class Killed(BaseException):
    """The process is gone: nothing below may catch it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a stage is set with: what its operator and its tenant asked for."""

    image: Image
    host: GPUHost
    vm: VirtualMachine

    @classmethod
    def of(cls, store: Store, vm: VirtualMachine) -> Scene:
        """That of a real stage, whose store has one host and one image."""
        (image,), (host,) = store.list(Image).items, store.list(GPUHost).items
        return cls(image, host, vm)


class SimulatedStage:
    """See play.Stage."""

    def __init__(
        self, directory: Path, scene: Scene, *, hardware: SimulatedHardware, cards: Sequence[Sequence[str]], boots: bool = True
    ) -> None:
        self.world = World(directory, timing=SHORT)
        self._vm = scene.vm
        name, store = scene.host.metadata.name, self.world.store
        host = self.world.fleet.add_host(name, hardware)
        host.behave(boots=boots)
        self._uri = host.uri
        store.create(Image(metadata=Metadata(name=scene.image.metadata.name), spec=scene.image.spec))
        metadata = Metadata(name=name, labels=scene.host.metadata.labels)
        store.create(GPUHost(metadata=metadata, spec=scene.host.spec.model_copy(update={"uri": host.uri})))
        self._eyes = Eyes(store, self._hypervisor, name=scene.vm.metadata.name, network=scene.host.spec.network, cards=cards)

    def create(self) -> None:
        """See the protocol."""
        metadata = Metadata(name=self._vm.metadata.name, namespace="default")
        self.world.store.create(VirtualMachine(metadata=metadata, spec=self._vm.spec))

    def delete(self) -> None:
        """See the protocol."""
        self.world.delete(self._vm.metadata.name)

    def live(self, moment: Moment | None, *, over: Callable[[], bool] | None = None) -> bool:
        """See the protocol; `over` says where the VM is going if that is neither to be Ready nor to be gone."""
        name, world = self._vm.metadata.name, self.world
        over = over or (lambda: is_over(world.store, name))
        world.ports = replace(world.ports, observer=Death(name, moment, die=_die, say=_say_nothing))
        world.start_controller()
        try:
            has_ended = world.controller.run_until(over, timeout_s=LIFE_S)
        except Killed:
            return True
        assert has_ended, world.summary()
        return False

    def look(self) -> Outcome:
        """See the protocol."""
        return self._eyes.look()

    def _hypervisor(self) -> Hypervisor:
        return self.world.ports.connector.connect(self._uri)


def _die() -> None:
    raise Killed


def _say_nothing(_line: str) -> None:
    return
