"""What operators do: cordon and drain, quarantine, release and retire GPUs, remove hosts and add them again, and use force."""

from __future__ import annotations

from random import Random

from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.lifecycle.quarantine import OPERATOR, quarantine
from provisioner.lifecycle.retirement import REASON, RETIRED
from provisioner.model.gpu_check import RELEASE, request_annotation
from provisioner.model.gpu_host import GPUHost, ResetPolicy
from provisioner.model.metadata import Metadata
from provisioner.model.virtual_machine import RunStrategy
from tests.simulation.happenings import happening
from tests.simulation.happenings.changing import annotate, done, edit, on
from tests.simulation.happenings.choosing import a, a_known_gpu, a_machine, gpus_of, machines, spelled
from tests.simulation.universe import Universe


@happening
def cordon(universe: Universe, random: Random) -> str:
    """A host, for a while."""
    host, pause_s = a(GPUHost, universe, random), random.choice((600.0, 3600.0, 4 * 3600.0)) * random.random()
    if host is None or host.spec.cordoned or not edit(universe, host, cordoned=True):
        return ""
    key = host.key
    universe.later(
        pause_s,
        f"{key.name} is uncordoned",
        lambda: on(universe, GPUHost, key, lambda found: edit(universe, found, cordoned=False)),
    )
    return f"{key.name} is cordoned for {spelled(pause_s)}"


@happening
def drain(universe: Universe, random: Random) -> str:
    """A host is cordoned, and every VM there is stopped; after the work they start again."""
    host, pause_s = a(GPUHost, universe, random), random.choice((900.0, 3600.0)) * (0.2 + random.random())
    if host is None or not edit(universe, host, cordoned=True):
        return ""
    key = host.key
    there = [vm for vm in machines(universe) if vm.status.host == key.name and not vm.is_being_deleted]
    stopped = [vm.key for vm in there if edit(universe, vm, run_strategy=RunStrategy.HALTED)]

    def go_on() -> None:
        on(universe, GPUHost, key, lambda found: edit(universe, found, cordoned=False))
        for vm in [vm for vm in machines(universe) if vm.key in stopped and not vm.is_being_deleted]:
            edit(universe, vm, run_strategy=RunStrategy.ALWAYS)

    universe.later(pause_s, f"{key.name} is back in service", go_on)
    return f"{key.name} is drained of {len(stopped)} VMs for {spelled(pause_s)}"


@happening
def quarantine_gpu(universe: Universe, random: Random) -> str:
    """`hikube gpu quarantine`."""
    found = a_known_gpu(universe, random)
    if found is None:
        return ""
    host, address = found
    is_news = quarantine(universe.session(), host=host.metadata.name, address=address, reason="to be looked at", cause=OPERATOR)
    return f"{host.metadata.name}/{address} is put in quarantine" if is_news else ""


@happening
def release_gpu(universe: Universe, random: Random) -> str:
    """`hikube gpu release` of one that is in quarantine; now and then of any."""
    found = a_known_gpu(universe, random)
    quarantined = [
        (host, entry.address)
        for host in sorted(universe.store.list(GPUHost).items, key=lambda each: each.key)
        for entry in host.status.quarantined
    ]
    if quarantined and random.random() < 0.9:
        found = random.choice(quarantined)
    if found is None:
        return ""
    host, address = found
    is_asked = ask_release(universe, host, address, token=f"{random.getrandbits(32):08x}")
    return f"{host.metadata.name}/{address} shall be checked and released" if is_asked else ""


@happening
def retire_gpu(universe: Universe, random: Random) -> str:
    """`hikube gpu retire`, and sometimes `--undo` after a while."""
    found = a_known_gpu(universe, random)
    if found is None or found[1] in found[0].spec.retired:
        return ""
    (host, address), token = found, f"{random.getrandbits(32):08x}"
    if not edit(universe, host, retired=tuple(sorted({*host.spec.retired, address}))):
        return ""
    name, key = f"{host.metadata.name}/{address}", host.key
    if random.random() < 0.7:
        pause_s = random.choice((30.0, 1200.0, 3600.0)) * random.random()
        universe.later(
            pause_s,
            f"{name} is taken back",
            lambda: on(universe, GPUHost, key, lambda now: take_back(universe, now, address, token)),
        )
        return f"{name} is retired for {spelled(pause_s)}"
    return f"{name} is retired"


@happening
def forget_retired(universe: Universe, random: Random) -> str:
    """A host's file is applied again without its `retired`."""
    host = a(GPUHost, universe, random)
    if host is None or not host.spec.retired or not edit(universe, host, retired=()):
        return ""
    return f"{host.metadata.name} is applied without its retired GPUs"


@happening
def remove_host(universe: Universe, random: Random) -> str:
    """A host is removed, in use or not, and added again later if it has gone by then."""
    host, pause_s = a(GPUHost, universe, random), random.choice((60.0, 900.0, 7200.0)) * random.random()
    if host is None or host.is_being_deleted:
        return ""
    name = host.metadata.name
    universe.store.delete(host.key)
    universe.later(pause_s, f"{name} is added again, if it has gone", lambda: add_host(universe, universe.fleet.host(name)))
    return f"{name} is removed for {spelled(pause_s)}"


@happening
def remove_by_force(universe: Universe, random: Random) -> str:
    """Somebody strips a VM of its finalizers: the hosts know nothing of it."""
    vm = a_machine(universe, random)
    if vm is None:
        return ""
    universe.removed_by_force.add(vm.metadata.uid)
    universe.store.delete(vm.key)
    for left in [each for each in machines(universe) if each.key == vm.key]:
        done(lambda left=left: universe.store.update(left.with_metadata(finalizers=())))  # type: ignore[misc]
    return f"{vm.key} is removed by force"


@happening
def change_reset_policy(universe: Universe, random: Random) -> str:
    """Of a host, to the other one."""
    host = a(GPUHost, universe, random)
    if host is None:
        return ""
    others = [policy for policy in ResetPolicy if policy is not host.spec.reset_policy]
    wanted = random.choice(others)
    return f"{host.metadata.name} resets as {wanted}" if edit(universe, host, reset_policy=wanted) else ""


@happening
def keep_on_vfio(universe: Universe, random: Random) -> str:
    """The GPUs of a host shall stay on vfio-pci, or need not any more."""
    host = a(GPUHost, universe, random)
    if host is None:
        return ""
    wanted = not host.spec.keep_on_vfio
    is_done = edit(universe, host, keep_on_vfio=wanted)
    return f"{host.metadata.name} {'keeps' if wanted else 'does not keep'} its GPUs on vfio-pci" if is_done else ""


def ask_release(universe: Universe, host: GPUHost, address: str, *, token: str) -> bool:
    """As `hikube gpu release` asks."""
    return annotate(universe, host, **{request_annotation(address): f"{RELEASE}:{token}"})


def take_back(universe: Universe, host: GPUHost, address: str, token: str) -> None:
    """As `hikube gpu retire --undo` does: into quarantine first, then out of the spec, then the check."""
    name = host.metadata.name
    quarantine(universe.session(), host=name, address=address, reason=REASON, cause=RETIRED)
    left = universe.store.get(GPUHost, name)
    edit(universe, left, retired=tuple(one for one in left.spec.retired if one != address))
    ask_release(universe, universe.store.get(GPUHost, name), address, token=token)


def add_host(universe: Universe, host: SimulatedHost) -> bool:
    """Add a host that is not there, with what it was added with at first. An operator prepares it before, by hand."""
    if any(known.metadata.name == host.name for known in universe.store.list(GPUHost).items):
        return False
    put_home(universe, host, gpus_of(host))
    metadata = Metadata(name=host.name)
    universe.store.create(GPUHost(metadata=metadata, spec=universe.host_specs[host.name]))
    return True


def put_home(universe: Universe, host: SimulatedHost, gpus: list[str]) -> None:
    """The functions of these GPUs are on the kernel's drivers, unless a guest has them."""
    cards = {address.rsplit(".", 1)[0] for address in gpus}
    with host.peek() as state:
        for function in state.functions.values():
            if function.address.rsplit(".", 1)[0] in cards and not state.user_of(function.address):
                universe.seen_to[host.name, function.address] = universe.clock.now_s()
                function.holder = function.driver_override = ""
                function.probe()
