"""What must come once trouble has stopped: every VM that can be Ready is, every deletion ends, every orphan is home.

calm ──> look around ──> what gave up tries again ──> all comes right ──> stays right ──> all is deleted ──> nothing is left
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from provisioner.model.gpu_host import GPUHost
from provisioner.model.virtual_machine import VirtualMachine
from tests.simulation.checks.coming_right import Hope, coming_right, is_up, said
from tests.simulation.checks.nothing_left import DeletionEnds, Drivers, HostsGo, nothing_left, users_keys
from tests.simulation.happenings.calming import calm, try_again
from tests.simulation.happenings.choosing import gpus_of
from tests.simulation.happenings.operators import put_home
from tests.simulation.sight import Sight
from tests.simulation.universe import Universe
from tests.simulation.violation import Violation

BOUND_S = 3 * 3600.0
LOOK_AROUND_S = 350.0
"""Every host is surveyed and examined by then."""
STAYS_S = 330.0
"""Every host is surveyed once more by then, and every VM is looked at twenty times."""
OTHER_PASSES_MAX = 300
"""Over claims and disks, and after what has just come right. A VM is looked at every 15 s, a host in trouble every 30 s."""
TOLD_MAX = 5


class Counts(Protocol):
    """Of what is counted, what is counted here."""

    checks: int
    """How often a check was asked."""


class Ending:
    """The last part of a trial."""

    def __init__(self, universe: Universe, sight: Sight, tally: Counts, *, drivers: Drivers, bound_s: float = BOUND_S) -> None:
        self._universe = universe
        self._sight = sight
        self._tally = tally
        self._drivers = drivers
        """As they were at first."""
        self._bound_s = bound_s
        """Within which everything that must come comes."""

    def run(self) -> None:
        """Raises Violation."""
        calm(self._universe)
        self._live(LOOK_AROUND_S)
        try_again(self._universe)
        self._come_true(coming_right())
        self._stay_ready()
        self._come_true(coming_right())
        self._delete_everything()

    def _stay_ready(self) -> None:
        """What is Ready stays so, for as long as everybody looks around once more."""
        ready = [vm.metadata.uid for vm in self._sight.machines() if is_up(vm)]
        passes = self._universe.passes
        self._live(STAYS_S)
        self._is_quiet(self._universe.passes - passes)
        for uid in ready:
            self._tally.checks += 1
            vm = self._sight.of_uid(uid)
            if not isinstance(vm, VirtualMachine) or not is_up(vm):
                why = "it is gone" if vm is None else said(vm)
                raise Violation("ready-machines-stay-ready", f"{self._sight.named(uid)} was Ready, and is not any more: {why}")

    def _is_quiet(self, passes: int) -> None:
        """Nothing is wanted, and nothing happens: the controllers only look, at their pace."""
        self._tally.checks += 1
        machines, hosts = len(self._sight.machines()), len(self._sight.all(GPUHost))
        most = OTHER_PASSES_MAX + machines * int(STAYS_S / 5.0) + hosts * int(STAYS_S / 10.0)
        if passes > most:
            raise Violation(
                "quiet-fleets-are-quiet", f"{passes} passes in {STAYS_S:.0f} s, for {machines} VMs on {hosts} hosts"
            )

    def _delete_everything(self) -> None:
        for key in users_keys(self._sight):
            self._universe.store.delete(key)
        self._come_true((DeletionEnds(),))
        try_again(self._universe)
        for name in sorted(self._sight.kept_on_vfio):  # whoever ends that puts the GPUs home
            handle = self._universe.fleet.host(name)
            put_home(self._universe, handle, gpus_of(handle))
        self._come_true(nothing_left(self._drivers))
        for host in self._sight.all(GPUHost):
            self._universe.store.delete(host.key)
        self._come_true((HostsGo(),))

    def _come_true(self, hopes: Sequence[Hope]) -> None:
        """Wait for all of them.

        Raises:
            Violation: of the first that did not come true.
        """
        if self._universe.live(self._bound_s, until=_Until(hopes, self._sight, self._tally), may_sleep=False):
            return
        for hope in hopes:
            if wrong := list(hope.wrong(self._sight)):
                told = "\n".join(wrong[:TOLD_MAX])
                raise Violation(hope.name, f"not so within {self._bound_s:.0f} s without trouble: {told}")

    def _live(self, duration_s: float) -> None:
        self._universe.live(duration_s, may_sleep=False)


class _Until:
    """Whether all has come true; asked again only when something has changed."""

    def __init__(self, hopes: Sequence[Hope], sight: Sight, tally: Counts) -> None:
        self._hopes = hopes
        self._sight = sight
        self._tally = tally
        self._known: tuple[str, float] = ("", 0.0)

    def __call__(self) -> bool:
        store, clock = self._sight.universe.store, self._sight.universe.clock
        known = (store.version, clock.monotonic_s() // 30.0)
        if known == self._known:
            return False
        self._known = known
        for hope in self._hopes:
            self._tally.checks += 1
            if next(iter(hope.wrong(self._sight)), None) is not None:
                return False
        return True
