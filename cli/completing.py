"""Completion of names for the shell: what the store knows, within a second, and silence when anything is wrong.

A completion must never print an error, hang the shell, create a store that is not there, or import what takes long.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterable
from typing import Any

BUDGET_S = 1.0
TROUBLES = (
    *("power", "network", "hang", "reboot", "disk"),
    *("bus", "slot", "reset", "xid", "unbind", "holder"),
    *("crash", "silence", "address", "driver", "gpu"),
)
"""Of hosts, GPUs and guests of a sandbox. Written down here, since importing simulated hosts takes long."""


def _within_budget(find: Callable[[], Iterable[str]]) -> list[str]:
    """The names found in time; none after an error or the time. Runs in the main thread of a process that only completes."""

    def out_of_time(*_: Any) -> None:
        raise TimeoutError

    with contextlib.suppress(Exception):  # an error text would land in the user's command line
        signal.signal(signal.SIGALRM, out_of_time)
        signal.setitimer(signal.ITIMER_REAL, BUDGET_S)
        try:
            return sorted(set(find()))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return []


def _stored(*kinds: str) -> list[dict[str, Any]]:
    from cli.places import store_path
    from cli.session import Session
    from cli.store_choice import is_kubernetes

    if is_kubernetes() or not store_path().exists():  # a cluster is not asked at every key
        return []
    session = Session()
    return [item for kind in kinds for item in session.raw(kind)]


def _names(*kinds: str) -> list[str]:
    return [item["metadata"]["name"] for item in _stored(*kinds)]


def complete_machines(incomplete: str) -> list[str]:
    """Names of VMs."""
    return _within_budget(lambda: (name for name in _names("VirtualMachine", "VMInstance") if name.startswith(incomplete)))


def complete_hosts(incomplete: str) -> list[str]:
    """Names of hosts."""
    return _within_budget(lambda: (name for name in _names("GPUHost") if name.startswith(incomplete)))


def complete_disks(incomplete: str) -> list[str]:
    """Names of VMDisks."""
    return _within_budget(lambda: (name for name in _names("VMDisk") if name.startswith(incomplete)))


def complete_images(incomplete: str) -> list[str]:
    """Names of images, built in and added."""

    def find() -> Iterable[str]:
        from provisioner.model.tables import Tables

        return (name for name in [*_names("Image"), *Tables.builtin().images] if name.startswith(incomplete))

    return _within_budget(find)


def complete_instance_types(incomplete: str) -> list[str]:
    """Names of instance types."""

    def find() -> Iterable[str]:
        from provisioner.model.tables import Tables

        return (name for name in Tables.builtin().instance_types if name.startswith(incomplete))

    return _within_budget(find)


def complete_gpus(incomplete: str) -> list[str]:
    """Short names of the GPU models that hosts have; of all models while there is no host."""

    def find() -> Iterable[str]:
        from cli.gpu_names import short_names

        here = {gpu["name"] for host in _stored("GPUHost") for gpu in host.get("status", {}).get("gpus", ())}
        return (name for name in short_names(here) if name.startswith(incomplete))

    return _within_budget(find)


def complete_gpu_addresses(incomplete: str) -> list[str]:
    """`HOST/ADDRESS` of every GPU."""

    def find() -> Iterable[str]:
        from cli.gpu.naming import addresses_of

        names = (f"{host['metadata']['name']}/{address}" for host in _stored("GPUHost") for address in addresses_of(host))
        return (name for name in names if name.startswith(incomplete))

    return _within_budget(find)


def complete_sandbox(incomplete: str) -> list[str]:
    """What `sandbox break` and `mend` can be about: its hosts, their GPUs, VMs."""

    def find() -> Iterable[str]:
        from cli.gpu.naming import addresses_of
        from cli.sandbox.premises import is_of_sandbox

        hosts = [host for host in _stored("GPUHost") if is_of_sandbox(host)]
        gpus = (f"{host['metadata']['name']}/{address}" for host in hosts for address in addresses_of(host))
        machines = (f"vm/{name}" for name in _names("VirtualMachine"))
        names = (*(host["metadata"]["name"] for host in hosts), *gpus, *machines)
        return (name for name in names if name.startswith(incomplete))

    return _within_budget(find)


def complete_troubles(incomplete: str) -> list[str]:
    """What can go wrong in a sandbox."""
    return [name for name in TROUBLES if name.startswith(incomplete)]


def complete_namespaces(incomplete: str) -> list[str]:
    """Namespaces that VMs and disks are in."""
    return _within_budget(
        lambda: (
            item["metadata"]["namespace"]
            for item in _stored("VirtualMachine", "VMInstance", "VMDisk")
            if item["metadata"]["namespace"].startswith(incomplete)
        )
    )


def complete_kinds(incomplete: str) -> list[str]:
    """Kinds by their plural names."""

    def find() -> Iterable[str]:
        from provisioner.model.kinds import WORDS

        return (words.plural for words in WORDS.values() if words.plural.startswith(incomplete))

    return _within_budget(find)
