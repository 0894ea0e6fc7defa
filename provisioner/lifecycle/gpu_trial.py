"""The part of the check that acts: a card is taken to vfio-pci, reset, scrubbed and sent home, each thing with its outcome.

For a GPU in quarantine that nobody has; runs as a job beside the workers, and ends at the first thing that fails. What goes
wrong on the host is an outcome here, not an error; only a host that does not answer at all raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.model.errors import DeviceBusy, HostTimeout, HypervisorError, NotFound, Unsupported
from provisioner.model.gpu_check import CheckLine
from provisioner.model.gpu_host import GPUHostSpec, ResetPolicy
from provisioner.planning.gpu_release import VFIO

EXAMINE_TIMEOUT_S = 30.0
BIND_TIMEOUT_S = 60.0
RESET_TIMEOUT_S = 60.0
OUTCOMES = (DeviceBusy, HostTimeout, HypervisorError, NotFound, Unsupported)
"""What an edge may say of a device; HostUnreachable, of which HostTimeout is one kind, is said of the host."""


def try_out(card: Sequence[str], *, spec: GPUHostSpec, hypervisor: Hypervisor) -> tuple[CheckLine, ...]:
    """Do all of it, as far as it goes; the GPU's own function is the first of the card.

    Raises:
        HostUnreachable: the host is away; it is done again from the start.
    """
    lines: list[CheckLine] = []
    for name, do in _parts(card, spec, hypervisor):
        try:
            lines.append(CheckLine(name=name, passed=True, message=do()))
        except _Refused as refusal:
            lines.append(CheckLine(name=name, passed=False, message=str(refusal)))
        except OUTCOMES as error:
            lines.append(CheckLine(name=name, passed=False, message=str(error)))
        if not lines[-1].passed:
            break
    return tuple(lines)


class _Refused(Exception):
    """It went well and is not enough."""


@dataclass(frozen=True, slots=True)
class _Before:
    """How a function was before it was taken to vfio-pci."""

    address: str
    driver: str
    override: str | None
    """None: the host could not be asked."""

    @property
    def is_pinned(self) -> bool:
        """On vfio-pci by its host's own choice (`vfio-pci.ids=`): what we bind has an override."""
        return self.driver == VFIO and self.override == ""


def _parts(card: Sequence[str], spec: GPUHostSpec, hypervisor: Hypervisor) -> Iterator[tuple[str, Callable[[], str]]]:
    before: list[_Before] = []
    yield "bind", lambda: _bind(card, hypervisor, before)
    yield "reset", lambda: _reset(card[0], hypervisor, policy=spec.reset_policy)
    if spec.scrub_command:
        yield "scrub", lambda: _scrub(card, hypervisor, spec=spec)
    yield "drivers", lambda: _send_home(before, hypervisor, keep=spec.keep_on_vfio)


def _bind(card: Sequence[str], hypervisor: Hypervisor, before: list[_Before]) -> str:
    """Every function, and only then anything else: a reset of the bus needs the whole group there."""
    seen = hypervisor.inventory.examine(card, timeout_s=EXAMINE_TIMEOUT_S)
    for function in hypervisor.devices.functions(card):
        known = seen.function(function.address)
        before.append(_Before(function.address, function.driver, known.driver_override if known is not None else None))
    for each in before:
        if each.driver != VFIO:
            hypervisor.devices.bind_vfio(each.address, timeout_s=BIND_TIMEOUT_S)
    return f"{', '.join(card)} on {VFIO}"


def _reset(address: str, hypervisor: Hypervisor, *, policy: ResetPolicy) -> str:
    try:
        method = hypervisor.devices.reset(address, timeout_s=RESET_TIMEOUT_S)
    except Unsupported as error:
        if policy is ResetPolicy.BEST_EFFORT:
            return f"{error}; the host's resetPolicy is BestEffort"
        raise
    if not method and policy is ResetPolicy.REQUIRED:
        raise _Refused("that it was reset cannot be shown through libvirt; `resetPolicy: BestEffort` would do without")
    return f"by {method}" if method else "left to vfio-pci, which does it when the GPU is opened"


def _scrub(card: Sequence[str], hypervisor: Hypervisor, *, spec: GPUHostSpec) -> str:
    took_s = 0.0
    for address in card:
        if not address.endswith(".0"):
            continue
        result = hypervisor.devices.scrub(address, command=spec.scrub_command, timeout_s=spec.scrub_timeout_s)
        took_s += result.duration_s
        if result.exit_status != 0:
            tail = result.output_tail.strip().splitlines()[-1:]
            raise _Refused(f"the scrub command ended with {result.exit_status}{': ' + tail[0][:300] if tail else ''}")
    return f"the host's command ended well after {took_s:.0f} s"


def _send_home(before: Sequence[_Before], hypervisor: Hypervisor, *, keep: bool) -> str:
    """Each function to what it had, companions first; what a crash of ours left on vfio-pci, to the kernel's choice."""
    if keep:
        return f"they stay on {VFIO}, as the host keeps them"
    for each in reversed(before):
        if each.is_pinned:
            continue
        driver = "" if each.driver == VFIO else each.driver
        override = "" if each.override in {None, VFIO} else each.override  # a bind of ours that hung leaves it behind
        hypervisor.devices.restore(each.address, driver=driver, override=override, timeout_s=BIND_TIMEOUT_S)
    now = hypervisor.devices.functions([each.address for each in before])
    return ", ".join(f"{each.address} {'on ' + each.driver if each.driver else 'without a driver'}" for each in now)
