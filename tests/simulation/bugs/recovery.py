"""Bugs about getting out of trouble: orphans and requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from provisioner.drivers.hypervisor import Domain
from provisioner.lifecycle import orphans
from provisioner.lifecycle.virtual_machine.passes import Passes
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.gpu_host import GPUHost
from tests.simulation.bugs.planting import planted_in


@planted_in(orphans, "_send_home", found_by=("orphans-go-home", "orphan-domains-get-home"))
def orphans_are_only_told_of(
    right: Callable[..., None], host: GPUHost, domain: Domain, hypervisor: object, ports: object
) -> None:
    """A domain that nobody owns is seen, counted, and left running."""


@planted_in(orphans, "_strangers", found_by=("strangers-are-left-alone",), scenario="hosts")
def strangers_are_orphans(right: Callable[..., set[str]], view: object, ownerless: Sequence[Domain]) -> set[str]:
    """What bears our mark and was there before the host was added is taken for something that this store has lost."""
    return set()


@planted_in(Passes, "_restart", found_by=("nobody-writes-without-end",), scenario="quiet")
def restart_never_done(
    right: Callable[..., float | None], self: Passes, view: VirtualMachineView, *, request: str
) -> float | None:
    """That a restart was asked for and done is not written down, so it is done again, and again."""
    return right(self, view, request="")
