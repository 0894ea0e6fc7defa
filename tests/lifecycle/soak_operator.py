"""What an operator of a soak's hosts does by hand: mends devices, puts functions back on their drivers, ends quarantines."""

from __future__ import annotations

from collections.abc import Callable

from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.drivers.simulated.state import GuestBehaviour
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GpuFacts, GPUHost
from tests.lifecycle.soak_safety import Safety
from tests.lifecycle.world import World


class Operator:
    """Acts behind the controller's back; what it has seen to by hand is clean."""

    def __init__(self, world: World, safety: Safety, *, as_user: Callable[[Callable[[], object]], None]) -> None:
        self._world = world
        self._safety = safety
        self._as_user = as_user

    def mend(self, host: SimulatedHost) -> None:
        """Its devices and its scrub command are in order again, and it can be looked at."""
        host.end_scrubs(status=0)
        host.forbid_examination("")
        with host.peek() as state:
            for function in state.functions.values():
                function.config_alive, function.unbind_blocks, function.reset_failure = True, False, ""

    def well_behaved(self, host: SimulatedHost) -> None:
        """Guests of that host behave again."""
        with host.peek() as state:
            state.behaviours[""] = GuestBehaviour()

    def calm(self, host: SimulatedHost) -> None:
        """All of it is in order again, and what was lost is back."""
        host.set_link("up")
        host.fill_pool("default", left_bytes=2**60)
        self.well_behaved(host)
        self.mend(host)
        with host.peek() as state:
            lost = [function.address for function in state.functions.values() if not function.is_present]
        for address in lost:
            host.bring_back(address)

    def put_back(self, host: SimulatedHost, gpus: set[str]) -> None:
        """The functions of these GPUs are on the kernel's drivers, unless a guest has them."""
        with host.peek() as state:
            for function in state.functions.values():
                if f"{function.address.rsplit('.', 1)[0]}.0" in gpus and not state.user_of(function.address):
                    self._safety.prepared(host.name, function.address)
                    function.holder = function.driver_override = ""
                    function.probe()

    def release_quarantined(self) -> None:
        """GPUs in quarantine that nobody has are put back and handed out again."""
        objects = self._world.store.snapshot().objects
        claimed = {(claim.spec.host, claim.spec.address) for claim in objects if isinstance(claim, GPUClaim)}
        for host in [each for each in objects if isinstance(each, GPUHost)]:
            name = host.metadata.name
            free = {entry.address for entry in host.status.quarantined if (name, entry.address) not in claimed}
            self.put_back(self._world.fleet.host(name), free)
            left = tuple(entry for entry in host.status.quarantined if entry.address not in free)
            gpus = tuple(_as_new(gpu) if gpu.address in free else gpu for gpu in host.status.gpus)
            changed = host.with_status(quarantined=left, gpus=gpus)
            self._as_user(lambda changed=changed: self._world.store.update_status(changed))  # type: ignore[misc]


def _as_new(gpu: GpuFacts) -> GpuFacts:
    """Whichever card is there now is right."""
    return gpu.model_copy(update={"identity": None})
