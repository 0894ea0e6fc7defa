"""The end of all trouble: what is broken is mended, what was removed is added again, one controller runs with the right time.

    calm ──> hosts, devices, guests, pools, calls, clocks, processes, operators' settings: at once
    try_again ──> once the fleet has looked around: GPUs in quarantine are checked and released, failed VMs are started again

What a user wants is left as it is.
"""

from __future__ import annotations

from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.drivers.simulated.troubles import mend_host
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, Phase
from tests.simulation.happenings.changing import annotate, edit
from tests.simulation.happenings.choosing import machines
from tests.simulation.happenings.hosts import as_fast_as_ever
from tests.simulation.happenings.operators import add_host, ask_release, put_home
from tests.simulation.happenings.processes import start_if_none
from tests.simulation.universe import Universe


def calm(universe: Universe) -> None:
    """Trouble stops: nothing is broken and nothing will break. May be asked for again."""
    universe.end_plan()
    universe.gate.clear()
    _one_controller(universe)
    for host in universe.fleet.hosts:
        _mend(universe, host)
    for stored in universe.store.list(GPUHost).items:
        edit(universe, stored, **dict(universe.host_specs[stored.metadata.name]))
    for host in universe.fleet.hosts:
        add_host(universe, host)


def try_again(universe: Universe) -> None:
    """What gave up is asked to try again, now that nothing is in the way any more. May be asked for again."""
    token = f"{universe.clock.monotonic_s():.0f}"
    claimed = {(claim.spec.host, claim.spec.address) for claim in universe.store.list(GPUClaim).items}
    for host in universe.store.list(GPUHost).items:
        name = host.metadata.name
        idle = [entry.address for entry in host.status.quarantined if (name, entry.address) not in claimed]
        put_home(universe, universe.fleet.host(name), idle)
        for address in idle:
            ask_release(universe, universe.store.get(GPUHost, name), address, token=token)
    for vm in machines(universe):
        if vm.status.phase is Phase.FAILED and not vm.is_being_deleted:
            annotate(universe, vm, **{REQUEST_ANNOTATION: f"restart:{token}"})


def _one_controller(universe: Universe) -> None:
    for process in universe.processes[:-1]:
        universe.crash(process, restarts=False)
    start_if_none(universe)
    for process in universe.processes:
        process.resumes_at_s = process.clock.skew_s = 0.0
        process.store.loses_changes = process.store.repeats_changes = False
        process.store.go_stale(reads=0, old=None)


def _mend(universe: Universe, host: SimulatedHost) -> None:
    mend_host(host)
    host.end_scrubs(status=0)
    host.forbid_examination("")
    as_fast_as_ever(universe, host)
    with host.peek() as state:
        for pool in state.pools.values():
            pool.is_active = True
