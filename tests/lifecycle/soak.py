"""A fleet lives through a seeded storm in virtual time; then the storm is over, and everything must come right.

    python -m tests.lifecycle.soak --seeds 1000          seeds 0 … 999; ends with exit 1 if one fails
    python -m tests.lifecycle.soak --seed 17 --verbose   one of them, with what happens in it

After every turn of the controller soak_safety.py looks whether anything is as it must never be. When the storm is over: every
VM that can run is Ready, every other says why not; then all is deleted, and nothing is left on any host.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

from provisioner.drivers.simulated.presets import H100, L40S
from provisioner.lifecycle.assembly import controller_of
from provisioner.model.errors import Conflict, HikubeError, NotFound, StoreUnavailable
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.metadata import Metadata, Resource
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, Phase, VirtualMachine, VMInstance
from provisioner.model.vm_disk import VMDisk
from provisioner.store.faults import METHODS
from tests.lifecycle.soak_events import Crash, Events
from tests.lifecycle.soak_jobs import Later
from tests.lifecycle.soak_operator import Operator
from tests.lifecycle.soak_outcome import what_is_wrong
from tests.lifecycle.soak_safety import Safety, Violation
from tests.lifecycle.world import World

EVENTS = 40
RECOVERY_S = 3 * 3600.0
CRASHES_MAX = 200
EXTERNAL = ("203.0.113.17", "203.0.113.18", "203.0.113.19")
"""Offered by both hosts, so that both want the same ones."""


class Soak:
    """One seed."""

    def __init__(self, directory: Path, seed: int, *, events: int = EVENTS, verbose: bool = False) -> None:
        self.seed = seed
        self._events = events
        self.random = Random(seed)
        self._verbose = verbose
        self.world = World(directory, seed=seed)
        self.world.fleet.add_host("a", gpus=(L40S, L40S), memory_mib=96 * 1024)
        self.world.fleet.add_host("b", gpus=(L40S, H100, H100), memory_mib=160 * 1024, numa_nodes=2)
        self._jobs = Later(self.world.clock, self.random)
        self._drivers = self._drivers_now()
        self._safety = Safety(self.world)
        self.operator = Operator(self.world, self._safety, as_user=self.as_user)
        self._has_storm = True
        self.was_forced = False
        """Whether somebody removed a VM behind the controller's back."""
        self.restart_controller()
        self._add_hosts()

    def run(self) -> None:
        """Raises Violation."""
        events = Events(self)
        events.begin()
        for number in range(self._events):
            what = events.happen()
            self._say(f"{self.world.clock.monotonic_s():8.1f} {number} {what}")
            self.let_time_pass(self.random.choice((0.2, 1.0, 5.0, 20.0, 60.0, 400.0)) * self.random.random())
        self._calm_down()
        self._everything_comes_right()
        self._everything_goes()

    # driving

    def restart_controller(self) -> None:
        """The process ends here and now, and another one begins that remembers nothing."""
        self._jobs = self._jobs.heirs()
        self.world.ports = replace(self.world.ports, background=self._jobs)
        self.world.controller = controller_of(self.world.ports, workers=0)

    def let_time_pass(self, duration_s: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let the controller work for so long, or until then, whatever happens to it; says whether `until` came."""
        end_s = self.world.clock.monotonic_s() + duration_s
        for _ in range(CRASHES_MAX):
            try:
                return self.world.controller.run_until(
                    lambda: self._look() or until(), timeout_s=end_s - self.world.clock.monotonic_s()
                )
            except Crash:
                self._say(f"{self.world.clock.monotonic_s():8.1f} crash")
                self.restart_controller()
        raise Violation("it crashed more often than was staged")

    def _look(self) -> bool:
        self._jobs.tick()
        self._safety.check(is_calm=not self._has_storm or self._is_calm())
        return False

    def _is_calm(self) -> bool:
        return not self.world.fleet.faults.pending and all(link == "up" for link in self._links())

    def _links(self) -> list[str]:
        links = []
        for host in self.world.fleet.hosts:
            with host.peek() as state:
                links.append(state.link)
        return links

    def as_user(self, act: Callable[[], object]) -> None:
        """A user tries a few times and then lets it be. A crash that was staged for the controller's calls hits nobody here."""
        for _ in range(5):
            try:
                act()
            except (Conflict, NotFound):
                return
            except (StoreUnavailable, Crash):
                continue
            return

    # the end of the storm

    def _calm_down(self) -> None:
        self._has_storm = False
        self.world.fleet.faults.clear()
        for method in METHODS:
            self._drain(method)
        for host in self.world.fleet.hosts:
            self.operator.calm(host)
        self._add_hosts()
        for host in [each for each in self.world.store.snapshot().objects if isinstance(each, GPUHost)]:
            spec = host.spec.model_copy(update={"cordoned": False})
            self.as_user(lambda host=host, spec=spec: self.world.store.update(host.model_copy(update={"spec": spec})))
        self.let_time_pass(900.0)
        self.operator.release_quarantined()
        self._try_failed_again()

    def _everything_comes_right(self) -> None:
        if not self.let_time_pass(RECOVERY_S, until=self._is_right):
            raise Violation("it does not come right:\n" + "\n".join(self._wrong()))
        self.let_time_pass(700.0)
        self.let_time_pass(RECOVERY_S, until=self._is_right)
        orphans = [claim.metadata.name for claim in self._claims() if claim.spec.owner.uid not in self._uids()]
        if orphans or self._wrong():
            raise Violation(f"it does not stay right: claims without owner {orphans}\n" + "\n".join(self._wrong()))

    def _everything_goes(self) -> None:
        for kind in (VirtualMachine, VMInstance, VMDisk):
            for each in self.world.store.list(kind).items:
                self.world.store.delete(each.key)
        if not self.let_time_pass(RECOVERY_S, until=lambda: not self._left()):
            raise Violation(f"deletion does not end: {self._left()}\n{self.world.summary()}")
        self.let_time_pass(700.0)
        self.operator.release_quarantined()
        leaks = [leak for leak in self.world.leaks() if not self._is_forsaken(leak.kind, leak.name)]
        if leaks:
            raise Violation(f"left behind: {leaks}")
        if self._drivers_now() != self._drivers:
            raise Violation("drivers are not what they were")
        for host in self.world.store.list(GPUHost).items:
            self.world.store.delete(host.key)
        if not self.let_time_pass(RECOVERY_S, until=lambda: not self.world.store.list(GPUHost).items):
            raise Violation("a host without users does not go")

    def _is_forsaken(self, kind: str, name: str) -> bool:
        """Of a VM that was removed by force: volumes may hold data, what a network keeps
        tells nobody whose it was, and a host that was added anew has strangers on it."""
        is_strange = any(
            event.reason == "StrangeDomain" and f"`{name}`" in event.message for event in self.world.store.events()
        )
        return self.was_forced and (kind in ("volume", "reservation", "filter") or (kind == "domain" and is_strange))

    def _is_right(self) -> bool:
        return not self._wrong()

    def _wrong(self) -> list[str]:
        return [why for vm in self.world.machines() if (why := what_is_wrong(vm, self.world.ports))]

    def _try_failed_again(self) -> None:
        for vm in self.world.machines():
            if vm.status.phase is Phase.FAILED:
                changed = vm.with_metadata(annotations={REQUEST_ANNOTATION: f"restart:after-{self.seed}"})
                self.as_user(lambda changed=changed: self.world.store.update(changed))

    # looking

    def _add_hosts(self) -> None:
        """Those that are not there; an operator prepares a host before it is added, and its quarantine is forgotten."""
        known = {each.metadata.name for each in self.world.store.snapshot().objects if isinstance(each, GPUHost)}
        for host in [host for host in self.world.fleet.hosts if host.name not in known]:
            self.operator.put_back(host, {address for name, address in self._drivers if name == host.name})
            spec = GPUHostSpec(
                uri=host.uri,
                scrub_command="clear {address}" if host.name == "b" else "",
                scrub_timeout_s=60,
                external_addresses=EXTERNAL,
            )
            self.as_user(lambda host=host, spec=spec: self._create(GPUHost(metadata=Metadata(name=host.name), spec=spec)))

    def _create(self, resource: Resource) -> None:
        self.world.store.create(resource)

    def _claims(self) -> list[GPUClaim]:
        return [each for each in self.world.store.snapshot().objects if isinstance(each, GPUClaim)]

    def _uids(self) -> set[str]:
        return {each.metadata.uid for each in self.world.store.snapshot().objects}

    def _left(self) -> list[str]:
        kinds = (VirtualMachine, VMDisk, GPUClaim)
        return [str(each.key) for each in self.world.store.snapshot().objects if isinstance(each, kinds)]

    def _drivers_now(self) -> dict[tuple[str, str], str]:
        found = {}
        for host in self.world.fleet.hosts:
            with host.peek() as state:
                found |= {(host.name, function.address): function.driver for function in state.functions.values()}
        return found

    def _drain(self, method: str) -> None:
        """Let every fault that waits for that method hit nobody."""
        faults = self.world.store._faults
        for _ in range(100):
            with contextlib.suppress(HikubeError, Crash), faults.strike(method):
                return

    def _say(self, text: str) -> None:
        if self._verbose:
            print(text, file=sys.stderr)


def soak(seed: int, *, events: int = EVENTS, verbose: bool = False) -> None:
    """Live through that seed.

    Raises:
        Violation: with the one command that repeats it.
    """
    with tempfile.TemporaryDirectory(prefix="hikube-soak-") as directory:
        try:
            Soak(Path(directory), seed, events=events, verbose=verbose).run()
        except Violation as error:
            again = f"python -m tests.lifecycle.soak --seed {seed} --events {events} --verbose"
            raise Violation(f"seed {seed}: {error}\nagain: {again}") from error


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--events", type=int, default=EVENTS, help="how long the storm is")
    parser.add_argument("--verbose", action="store_true", help="say what happens")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO if given.verbose else logging.CRITICAL, format="         %(message)s")
    seeds = [given.seed] if given.seed is not None else range(given.first, given.first + given.seeds)
    failed = 0
    for seed in seeds:
        try:
            soak(seed, events=given.events, verbose=given.verbose)
        except Violation as error:
            failed += 1
            print(error, flush=True)
    print(f"{len(seeds)} seeds, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
