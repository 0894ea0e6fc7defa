"""Waiting until hikube has noticed what befell the sandbox, and until all is well again, by the real control loop.

A stored status may be from before; so a VM counts as up only once its domain really runs, which the state of the host says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.goals import settled
from cli.output import say
from cli.render.resources import host_status, machine_status
from cli.session import MACHINE_KINDS, Session
from cli.waiting import Target, Wait
from provisioner.model.errors import Failed, StillPending
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Key, Resource, find_condition
from provisioner.model.virtual_machine import Phase, VirtualMachine

if TYPE_CHECKING:
    from provisioner.drivers.simulated.host import SimulatedHost


def noticed(session: Session, name: str, *, timeout_s: float) -> None:
    """Wait until hikube knows that the host is away; that it takes longer is said, and no error."""
    key = Key(GPUHost.KIND, "", name)
    target = Target(key, _is_away, "away", way_back=f"hikube wait host/{name} --for=condition=Reachable=False")
    machines = _machines_on(session, {name})
    targets = [target, *(Target(machine, _is_known_to_be_cut_off, "cut off") for machine in machines)]
    if not _went_well(session, targets, timeout_s=timeout_s):
        return
    stranded = ", ".join(machine.name for machine in machines)
    say(f"hikube has noticed: host {name} is Unreachable" + (f"; VMs on it: {stranded}" if stranded else ""))
    say(f"  mend:    hikube sandbox mend {name}")


@dataclass(frozen=True, slots=True)
class Recovery:
    """What shall be well again."""

    session: Session
    hosts: Mapping[str, SimulatedHost]
    """By name; the VMs on them are meant too."""
    all_hosts: Mapping[str, SimulatedHost]
    machines: Sequence[Key]
    """VMs that were named; they need not exist."""

    def watch(self, *, timeout_s: float) -> None:
        """Wait until the hosts are ready and the VMs as they shall be; that one takes longer, or failed, is no error."""
        keys = [Key(GPUHost.KIND, "", name) for name in self.hosts]
        keys += dict.fromkeys([*self.machines, *_machines_on(self.session, set(self.hosts))])
        found = [stored for key in keys if (stored := self.session.find(key)) is not None]
        targets = [settled(each) if isinstance(each, GPUHost) else self._running_again(each) for each in found]
        if _went_well(self.session, targets, timeout_s=timeout_s):
            for each in found:
                say(f"{each.kind.lower()}/{each.metadata.name} {self._word(each.key)}")
        self._say_what_is_kept()

    def _running_again(self, vm: Resource) -> Target:
        """The VM as its spec wants it; Ready only counts with a domain that runs, and once it is written down as a whole."""
        target = settled(vm)

        def is_over(now: Resource | None) -> bool:
            if not isinstance(now, VirtualMachine) or target.wanted != "Ready":
                return now is None or target.is_over(now)
            host = self.all_hosts.get(now.status.host)
            is_up = host is None or runs(host, now.status.domain)
            return target.is_over(now) and now.status.phase is Phase.READY and is_up and not _is_cut_off(now)

        return Target(target.key, is_over, target.wanted)

    def _word(self, key: Key) -> str:
        now = self.session.find(key)
        if now is None:
            return "deleted"
        return host_status(now.as_json()) if isinstance(now, GPUHost) else machine_status(now.as_json())

    def _say_what_is_kept(self) -> None:
        """What is in quarantine stays there until a person says otherwise."""
        for name in self.hosts:
            host = self.session.find(Key(GPUHost.KIND, "", name))
            for entry in host.status.quarantined if isinstance(host, GPUHost) else ():
                say(f"GPU {name}/{entry.address} stays in quarantine: hikube gpu release {name}/{entry.address}")


def runs(host: SimulatedHost, domain: str) -> bool:
    """Whether that domain really runs there."""
    with host.peek() as state:
        return any(record.config.name == domain for record, _ in state.running())


def _went_well(session: Session, targets: list[Target], *, timeout_s: float) -> bool:
    if not targets:
        return True
    try:
        Wait(session, targets, timeout_s=timeout_s).run()
    except (StillPending, Failed) as error:
        say(f"{error.what}: {error.why}" if error.why else error.what)
        return False
    return True


def _is_away(found: Resource | None) -> bool:
    return not isinstance(found, GPUHost) or not found.status.reachable


def _is_known_to_be_cut_off(found: Resource | None) -> bool:
    """A VM that is not Ready waits for its host in a step, and says so there."""
    if found is None:
        return True
    ready = find_condition(found.status.conditions, "Ready")
    return ready is None or ready.status != "True" or _is_cut_off(found)


def _is_cut_off(found: Resource) -> bool:
    host = find_condition(found.status.conditions, "HostReachable")
    return host is not None and host.status == "False"


def _machines_on(session: Session, hosts: set[str]) -> list[Key]:
    items = [item for kind in MACHINE_KINDS for item in session.raw(kind)]
    on_them = [item for item in items if item.get("status", {}).get("host") in hosts]
    return [Key(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]) for item in on_them]
