"""May this GPU leave quarantine? What can be told by looking; the rest (reset, scrub) is done only if all of it passed.

Every line is judged, also after one that failed: an operator who repairs a host wants to know all that is wrong with it.
Pure; and no wish of anybody's passes a check that failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provisioner.model.examination import FunctionExamination, GpuIdentity, HostExamination
from provisioner.model.gpu_check import CheckLine
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GpuFacts, ResetPolicy
from provisioner.model.pci import PciFunction, slot_of

VFIO = "vfio-pci"
POWERED_OFF = frozenset({"D3cold", "error"})


@dataclass(frozen=True, slots=True)
class Sight:
    """What was read of one GPU at one moment."""

    address: str
    facts: GpuFacts | None
    """As the host's last survey has it; None if it does not."""
    functions: tuple[PciFunction, ...]
    """Those of the card that are there, the GPU's own first; empty if it is not there."""
    missing: tuple[str, ...]
    """Functions of the card that are not there."""
    examination: HostExamination
    claim: GPUClaim | None
    policy: ResetPolicy

    @property
    def own(self) -> FunctionExamination | None:
        """The GPU's own function, if the host could be asked."""
        return self.examination.function(self.address)

    @property
    def identity(self) -> GpuIdentity | None:
        """What the card now is; None if it could not be read."""
        return self.own.identity if self.own is not None else None


def card_of(facts: GpuFacts) -> tuple[str, ...]:
    """Addresses of the GPU and of its companions on the same card; other members of its group are somebody else's."""
    return (facts.address, *(c.address for c in facts.companions if slot_of(c.address) == slot_of(facts.address)))


def reading_checks(sight: Sight) -> tuple[CheckLine, ...]:
    """Every check that changes nothing, in the order in which an operator thinks."""
    return tuple(_lines(sight))


def _lines(sight: Sight) -> Iterator[CheckLine]:
    yield _present(sight)
    yield _unclaimed(sight.claim)
    if not sight.functions or sight.claim is not None:
        return  # there is nothing more to see, or all of it is in somebody's use
    yield _config_space(sight)
    yield _identity(sight)
    yield _unused(sight)
    yield _companions(sight)
    yield _reset_method(sight)


def _present(sight: Sight) -> CheckLine:
    if not sight.functions:
        return CheckLine(name="present", passed=False, message=f"the host has no PCI function {sight.address}")
    if sight.facts is None:
        return CheckLine(
            name="present", passed=False, message="no rule of the host counts it as a GPU, or it was not surveyed yet"
        )
    driver = sight.functions[0].driver
    return CheckLine(name="present", passed=True, message=f"on the bus, {'driver ' + driver if driver else 'no driver'}")


def _unclaimed(claim: GPUClaim | None) -> CheckLine:
    if claim is None:
        return CheckLine(name="unclaimed", passed=True, message="nobody has claimed it")
    owner = f"{claim.spec.owner.kind} {claim.spec.owner.namespace}/{claim.spec.owner.name}"
    words = f"it is being cleaned after {owner}" if claim.is_released else f"{owner} has it"
    return CheckLine(name="unclaimed", passed=False, message=words)


def _config_space(sight: Sight) -> CheckLine:
    alive = sight.own.config_alive if sight.own is not None else None
    if alive is None:
        return _unreadable("config-space", sight, what="its config space")
    if not alive:
        return CheckLine(name="config-space", passed=False, message="reads as all ones: the device has fallen off the bus")
    assert sight.own is not None
    if sight.own.power_state in POWERED_OFF:
        return CheckLine(name="config-space", passed=False, message=f"answers, and its power state is {sight.own.power_state}")
    return CheckLine(name="config-space", passed=True, message="answers")


def _identity(sight: Sight) -> CheckLine:
    """Another card than the one that was recorded is no failure: accepting it is what an operator releases it for."""
    recorded = sight.facts.identity if sight.facts is not None else None
    if sight.identity is None:
        return _unreadable("identity", sight, what="what the card is")
    if recorded is not None and not recorded.agrees_with(sight.identity):
        words = f"another card than before, accepted: {sight.identity.name} (was {recorded.name})"
        return CheckLine(name="identity", passed=True, message=words)
    return CheckLine(name="identity", passed=True, message=sight.identity.name)


def _unused(sight: Sight) -> CheckLine:
    """Only function by function: what another card of the group is used for is not asked here."""
    addresses = {function.address for function in sight.functions}
    holders = [
        f"{holder.command} (pid {holder.pid}) has {holder.path} open"
        for function in sight.examination.functions
        if function.address in addresses
        for holder in function.holders
    ]
    if holders:
        return CheckLine(name="unused", passed=False, message="; ".join(holders[:5]))
    words = (
        "no process has it open"
        if sight.examination.is_known
        else "no claim is on it; processes cannot be seen through libvirt"
    )
    return CheckLine(name="unused", passed=True, message=words)


def _companions(sight: Sight) -> CheckLine:
    if sight.missing:
        return CheckLine(name="companions", passed=False, message=f"{', '.join(sight.missing)} is not there any more")
    others = sight.functions[1:]
    dead = [
        function.address
        for function in sight.examination.functions
        if function.config_alive is False and function.address in {other.address for other in others}
    ]
    if dead:
        return CheckLine(name="companions", passed=False, message=f"config space of {', '.join(dead)} reads as all ones")
    words = ", ".join(f"{other.address} {'on ' + other.driver if other.driver else 'without a driver'}" for other in others)
    return CheckLine(name="companions", passed=True, message=words or "it has none")


def _reset_method(sight: Sight) -> CheckLine:
    methods = sight.own.reset_methods if sight.own is not None else ()
    if methods:
        return CheckLine(name="reset-method", passed=True, message=", ".join(methods))
    if sight.own is None:
        return _unreadable("reset-method", sight, what="how it can be reset")
    is_enough = sight.policy is ResetPolicy.BEST_EFFORT
    words = "it has none" + ("; the host's resetPolicy is BestEffort" if is_enough else "")
    return CheckLine(name="reset-method", passed=is_enough, message=words)


def _unreadable(name: str, sight: Sight, *, what: str) -> CheckLine:
    """A host that can only be reached through libvirt: enough for those who said so."""
    is_enough = sight.policy is ResetPolicy.BEST_EFFORT
    why = sight.examination.why_not or "the host could not be asked"
    hint = "" if is_enough else "; `resetPolicy: BestEffort` of the host would do without"
    return CheckLine(name=name, passed=is_enough, message=f"{what} cannot be read: {why}{hint}")


def failed(lines: Sequence[CheckLine]) -> CheckLine | None:
    """The first line that was not passed."""
    return next((line for line in lines if not line.passed), None)
