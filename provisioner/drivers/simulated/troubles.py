"""What a person may do to a simulated fleet by name, and how it is made good: tables of one line per trouble.

    HOST_TROUBLES    of a whole host           power, network, …
    GPU_TROUBLES     of one PCI function       bus, reset, …
    GUEST_TROUBLES   of the guest of a domain  crash, silence, …

Each is the world's doing and no call. What is wrong is read from the state itself, so it is right whoever brought it about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from provisioner.drivers.simulated.function_state import FunctionState
from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.drivers.simulated.state import GuestBehaviour, HostState

FALLEN_OFF_THE_BUS = 79
"""The Xid."""
LEFT_IN_A_FULL_POOL_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that may go wrong."""

    does: str
    """In words, as what happens."""
    begin: Callable[[SimulatedHost, str], None]
    """Told the host, and the PCI address or the domain that it is about."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something that is wrong with a host now."""

    subject: str
    """`host`, a PCI address, or a domain."""
    words: str


HOST_TROUBLES: Mapping[str, Trouble] = {
    "power": Trouble("its power is cut: its VMs are dead, and nobody answers", lambda host, _: cut_power(host)),
    "network": Trouble("nobody reaches it; its VMs run on", lambda host, _: host.set_link("down")),
    "hang": Trouble("it takes calls, and answers none", lambda host, _: host.set_link("hangs")),
    "reboot": Trouble("it has rebooted: its VMs have ended, and it answers again", lambda host, _: host.reboot()),
    "disk": Trouble("foreign files fill its storage pools", lambda host, _: _fill_pools(host)),
}

GPU_TROUBLES: Mapping[str, Trouble] = {
    "bus": Trouble("it has fallen off the bus: its config space reads as all ones", lambda host, gpu: host.die(gpu)),
    "slot": Trouble("it is gone from the PCI bus", lambda host, gpu: host.lose(gpu)),
    "reset": Trouble("resets of it fail", lambda host, gpu: host.fail_resets(gpu)),
    "xid": Trouble(
        f"the driver in its VMs reports Xid {FALLEN_OFF_THE_BUS}",
        lambda host, gpu: host.sicken(gpu, xid=FALLEN_OFF_THE_BUS),
    ),
    "unbind": Trouble("its driver does not let go of it", lambda host, gpu: host.block_unbind(gpu)),
    "holder": Trouble("a process on the host has it open", lambda host, gpu: host.hold(gpu, by="python3 (pid 4711)")),
}

GUEST_TROUBLES: Mapping[str, Trouble] = {
    "crash": Trouble("its QEMU has died", lambda host, domain: host.kill_qemu(domain)),
    "silence": Trouble("it does not answer on SSH", lambda host, domain: host.behave(domain, answers_ssh=False)),
    "address": Trouble(
        "it gets no address from its next boot on", lambda host, domain: host.behave(domain, gets_address=False)
    ),
    "driver": Trouble("the NVIDIA driver is not installed in it", lambda host, domain: host.behave(domain, nvidia_driver="")),
    "gpu": Trouble("one of its GPUs does not show up in it", lambda host, domain: host.behave(domain, missing_gpus=1)),
}

_OF_BEHAVIOUR = {
    "answers_ssh": "silence",
    "gets_address": "address",
    "nvidia_driver": "driver",
    "missing_gpus": "gpu",
}


def cut_power(host: SimulatedHost) -> None:
    """Nobody answers, and nothing runs there; when it answers again it has booted. In this order: nobody sees it in between."""
    host.set_link("down")
    host.reboot()


def mend_host(host: SimulatedHost) -> None:
    """It answers, all of its GPUs and guests are well, and its pools have room again."""
    with host.peek() as state:
        state.link = "up"
        state.behaviours.clear()
        for pool in state.pools.values():
            pool.foreign_bytes = 0
        for function in state.functions.values():
            _mend(function)


def mend_gpu(host: SimulatedHost, address: str) -> None:
    """The function at this address is there and well."""
    with host.peek() as state:
        _mend(state.functions[address])


def mend_guest(host: SimulatedHost, domain: str) -> None:
    """Its guest works, from now on."""
    with host.peek() as state:
        state.behaviours.pop(domain, None)


def troubles_of(state: HostState) -> Iterator[Found]:
    """What is wrong now: the host, its functions by address, its guests by domain."""
    if state.link != "up":
        yield Found("host", "nobody reaches it" if state.link == "down" else "it takes calls, and answers none")
    for pool in state.pools.values():
        if pool.foreign_bytes:
            yield Found("host", f"foreign files fill its storage pool {pool.name}")
    for function in state.functions.values():
        yield from (Found(function.address, words) for words in _words_of(function))
    for domain, behaviour in state.behaviours.items():
        yield from (Found(domain, words) for words in _words_of_guest(behaviour))


def _fill_pools(host: SimulatedHost) -> None:
    with host.peek() as state:
        names = tuple(state.pools)
    for name in names:
        host.fill_pool(name, left_bytes=LEFT_IN_A_FULL_POOL_BYTES)


def _mend(function: FunctionState) -> None:
    was_away = not function.is_present
    function.is_present = function.config_alive = True
    function.holder = function.reset_failure = ""
    function.unbind_blocks = function.has_stuck_helper = False
    function.xid = 0
    if was_away:
        function.driver_override = ""
        function.probe()


def _words_of(function: FunctionState) -> Iterator[str]:
    signs = {
        "slot": not function.is_present,
        "bus": not function.config_alive,
        "reset": bool(function.reset_failure),
        "xid": bool(function.xid),
        "unbind": function.unbind_blocks,
        "holder": bool(function.holder),
    }
    return (GPU_TROUBLES[name].does for name, is_there in signs.items() if is_there)


def _words_of_guest(behaviour: GuestBehaviour) -> Iterator[str]:
    usual: Any = GuestBehaviour()
    changed = [each.name for each in fields(GuestBehaviour) if getattr(behaviour, each.name) != getattr(usual, each.name)]
    for name in changed:
        known = _OF_BEHAVIOUR.get(name)
        yield GUEST_TROUBLES[known].does if known else f"{name.replace('_', ' ')}: {getattr(behaviour, name)}"
