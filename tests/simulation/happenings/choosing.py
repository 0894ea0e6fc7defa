"""Whom a happening hits: chosen by its own Random among what is there when it strikes, most often where VMs are.

Lists are in the order of names, so that the choice is the seed's alone.
"""

from __future__ import annotations

from random import Random
from typing import TypeVar

from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Resource
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from tests.simulation.universe import Universe

R = TypeVar("R", bound=Resource)
T = TypeVar("T")

WHERE_IT_HURTS = 0.75
"""How often a host with VMs is chosen, or a GPU that somebody owns, where there is one."""


def a(kind: type[R], universe: Universe, random: Random) -> R | None:
    """One object of exactly that kind, or None."""
    return one_of(sorted(universe.store.list(kind).items, key=lambda each: each.key), random)


def machines(universe: Universe) -> list[VirtualMachine]:
    """Every VM of both kinds."""
    found = (*universe.store.list(VirtualMachine).items, *universe.store.list(VMInstance).items)
    return sorted(found, key=lambda vm: vm.key)


def a_machine(universe: Universe, random: Random) -> VirtualMachine | None:
    """A VM of either kind, or None."""
    return one_of(machines(universe), random)


def a_host(universe: Universe, random: Random) -> SimulatedHost:
    """Any host, also one that is not added at the moment."""
    used = sorted({vm.status.host for vm in machines(universe)} - {""})
    if used and random.random() < WHERE_IT_HURTS:
        return universe.fleet.host(random.choice(used))
    return random.choice(universe.fleet.hosts)


def a_gpu(universe: Universe, random: Random) -> tuple[SimulatedHost, str]:
    """The host and the address of a GPU."""
    claims = sorted((claim.spec.host, claim.spec.address) for claim in universe.store.list(GPUClaim).items)
    if claims and random.random() < WHERE_IT_HURTS:
        host, address = random.choice(claims)
        return universe.fleet.host(host), address
    chosen = random.choice(universe.fleet.hosts)
    return chosen, random.choice(gpus_of(chosen))


def a_known_gpu(universe: Universe, random: Random) -> tuple[GPUHost, str] | None:
    """A GPU as the store knows it, on a host that is added."""
    known = [host for host in universe.store.list(GPUHost).items if host.status.gpus and not host.is_being_deleted]
    claims = sorted((claim.spec.host, claim.spec.address) for claim in universe.store.list(GPUClaim).items)
    hosts = {host.metadata.name: host for host in known}
    owned = [(host, address) for host, address in claims if host in hosts]
    if owned and random.random() < WHERE_IT_HURTS:
        name, address = random.choice(owned)
        return hosts[name], address
    if not hosts:
        return None
    host = hosts[random.choice(sorted(hosts))]
    return host, random.choice(host.status.gpus).address


def a_domain(universe: Universe, random: Random) -> tuple[SimulatedHost, str] | None:
    """A running domain and its host, or None."""
    found = []
    for name in sorted({vm.status.host for vm in machines(universe)} - {""}):
        host = universe.fleet.host(name)
        with host.peek() as state:
            found += [(host, record.config.name) for record, _ in state.running()]
    return one_of(sorted(found, key=lambda each: each[1]), random)


def gpus_of(host: SimulatedHost) -> list[str]:
    """Addresses of the host's GPUs, present or not."""
    with host.peek() as state:
        return sorted(function.address for function in state.functions.values() if function.pci_class.startswith("03"))


def one_of(known: list[T], random: Random) -> T | None:
    """One of them, or None if there are none."""
    return random.choice(known) if known else None


def spelled(duration_s: float) -> str:
    """As a person says it: `40 s`, `7 min`, `2.5 h`."""
    if duration_s < 120:
        return f"{duration_s:.0f} s"
    return f"{duration_s / 60:.0f} min" if duration_s < 7200 else f"{duration_s / 3600:.1f} h"
