"""What stands around a violation: the VMs, claims and hosts that it names, as they are then; all VMs if it names none."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Resource
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from tests.simulation.universe import Universe
from tests.simulation.writings import cut, told_condition

SHOWN_MAX = 12
"""Of each kind."""
_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def surroundings(universe: Universe, what: str) -> Iterator[str]:
    """Lines, without time."""
    named = set(_WORD.findall(what.lower()))
    objects = universe.store.snapshot().objects
    machines = [each for each in objects if isinstance(each, VirtualMachine | VMInstance)]
    machines = [each for each in machines if each.metadata.name in named] or machines
    uids = {machine.metadata.uid for machine in machines}
    claims = [
        each for each in objects if isinstance(each, GPUClaim) and (each.spec.host in named or each.spec.owner.uid in uids)
    ]
    hosts = named | {claim.spec.host for claim in claims}
    for machine in machines[:SHOWN_MAX]:
        yield from _object(
            machine, f"phase {machine.status.phase}, host {machine.status.host or '-'}, uid {machine.metadata.uid}"
        )
    for claim in claims[:SHOWN_MAX]:
        yield from _object(
            claim, f"owner {claim.spec.owner.name} {claim.spec.owner.uid}, released {claim.status.released_at or '-'}"
        )
    for host in [each for each in objects if isinstance(each, GPUHost) and each.metadata.name in hosts][:SHOWN_MAX]:
        yield from _object(host, f"reachable {host.status.reachable}, cordoned {host.spec.cordoned}")
    for simulated in [each for each in universe.fleet.hosts if each.name in hosts][:SHOWN_MAX]:
        yield from _host(simulated)
    for process in universe.processes:
        yield f"process #{process.number}, resumes at {process.resumes_at_s:.3f} s, clock off by {process.clock.skew_s:g} s"


def _object(resource: Resource, about: str) -> Iterator[str]:
    going = ", is to be deleted" if resource.is_being_deleted else ""
    yield f"{resource.key}: {about}{going}"
    for condition in resource.status.conditions:
        yield f"    {told_condition(condition)}"


def _host(host: SimulatedHost) -> Iterator[str]:
    with host.peek() as state:
        yield f"host {host.name}: link {state.link}, boots {state.host_boots}"
        for record in state.domains.values():
            yield f"    domain {record.config.name} of {record.config.owner_uid}, {'runs' if record.is_running else 'off'}"
        for function in state.functions.values():
            yield f"    {function.address} {function.driver or 'no driver'} {cut(function.driver_override)}".rstrip()
