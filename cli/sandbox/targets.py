"""What `sandbox break` and `mend` are about: a host, one of its PCI functions, or the guest of a VM, as people name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.gpu.naming import full_address
from cli.sandbox.premises import handle
from provisioner.model.domain_names import domain_name
from provisioner.model.errors import InvalidInput, NotFound
from provisioner.model.metadata import Key
from provisioner.model.suggestions import nearest

if TYPE_CHECKING:
    from provisioner.drivers.simulated.host import SimulatedHost
    from provisioner.drivers.simulated.troubles import Trouble

MACHINES = {"vm": "VirtualMachine", "virtualmachine": "VirtualMachine", "vmi": "VMInstance", "vminstance": "VMInstance"}


@dataclass(frozen=True, slots=True)
class Aim:
    """What is meant."""

    word: str
    """As it was typed."""
    hosts: Mapping[str, SimulatedHost]
    """By name: the host, or every host for a guest, since a VM that is to come may land on any."""
    subject: str = ""
    """A PCI address or a domain; empty for a host."""
    machine: Key | None = None

    @property
    def troubles(self) -> Mapping[str, Trouble]:
        """What can go wrong with it; the first is what `break` does if nothing is said."""
        from provisioner.drivers.simulated.troubles import GPU_TROUBLES, GUEST_TROUBLES, HOST_TROUBLES

        if self.machine is not None:
            return GUEST_TROUBLES
        return GPU_TROUBLES if self.subject else HOST_TROUBLES


def aim_of(known: dict[str, SimulatedHost], word: str, *, namespace: str) -> Aim:
    """What `HOST`, `HOST/ADDRESS` or `vm/NAME` means.

    Raises:
        NotFound: the sandbox has no such host, or the host no such function.
        InvalidInput: what stands behind the host is no PCI address.
    """
    name, _, rest = word.partition("/")
    if name.lower() in MACHINES and rest:
        key = Key(MACHINES[name.lower()], namespace, rest)
        return Aim(word, known, domain_name(key), key)
    host = handle(known, name)
    return Aim(word, {name: host}, _function(host, name, rest) if rest else "")


def trouble_named(aim: Aim, what: str) -> str:
    """The name of the trouble.

    Raises:
        InvalidInput: nothing of that name can happen to it.
    """
    if not what:
        return next(iter(aim.troubles))
    if what not in aim.troubles:
        kind = "a guest" if aim.machine else "a GPU" if aim.subject else "a host"
        raise InvalidInput(f"{what!r} cannot happen to {kind}", context={"allowed": list(aim.troubles)})
    return what


def _function(host: SimulatedHost, name: str, word: str) -> str:
    address = full_address(word)
    if not address:
        raise InvalidInput(f"{name}/{word} names no GPU", hint=f"HOST/ADDRESS, such as {name}/0000:41:00.0 or {name}/41:00.0")
    with host.peek() as state:
        there = sorted(state.functions)
    if address not in there:
        meant = nearest(address, there)
        raise NotFound(f"host {name} has nothing at {address}", hint=f"did you mean {name}/{meant}?" if meant else "")
    return address
