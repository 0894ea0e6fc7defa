"""The way out of quarantine: a check that an operator asks for, done by the host's reconciler, and nothing else.

    annotation on the GPUHost ──> look (planning.gpu_release) ──failed──────────────────────────────> it stays, with the reason
                                   │ passed                                                            ^
                                   └──> bind ─> reset ─> scrub ─> drivers ─> look again ──failed───────┘
                                                                                  │ passed
                                                                                  └──> handed out again

What is done is what the next tenant's VM will need: the card goes to vfio-pci, is reset and scrubbed there, and goes home. It
runs beside the workers, and after a crash from the start again. A GPU that fails half-way stays where it is then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.lifecycle.background import Running
from provisioner.lifecycle.gpu_notes import note_in_history
from provisioner.lifecycle.gpu_trial import try_out
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.quarantine import blamed, change_host, lifted
from provisioner.lifecycle.view import View
from provisioner.model.errors import HostTimeout, HostUnreachable, HypervisorError, NotFound
from provisioner.model.examination import GpuIdentity
from provisioner.model.gpu_check import RELEASE, CheckLine, GpuCheck, requests_of
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_history import GPUHistoryNote
from provisioner.model.gpu_host import GPUHost, claim_name
from provisioner.model.pci import PciFunction
from provisioner.planning.gpu_release import Sight, card_of, failed, reading_checks

EXAMINE_TIMEOUT_S = 30.0
POLL_S = 1.0
AWAY_RETRY_S = 10.0
CHECK_LIMIT_S = 900.0
"""For all of a check but the scrub command; each part has a limit of its own, this is for what keeps to none."""
NO_FAULT = frozenset({"unclaimed", "request", "retired", "answer"})
"""Lines that say nothing of the GPU."""
CHECKS_KEPT = 64
"""The oldest answers are dropped: a host has no more GPUs."""


@dataclass(frozen=True, slots=True)
class Request:
    """One wish about one GPU that has no answer yet."""

    host: str
    address: str
    text: str


def pending_requests(host: GPUHost) -> tuple[Request, ...]:
    """What was asked of the host's GPUs and has no answer yet."""
    answered = {check.address: check.request for check in host.status.checks if check.state != "Running"}
    asked = requests_of(host.metadata.annotations)
    return tuple(Request(host.metadata.name, address, text) for address, text in asked.items() if answered.get(address) != text)


def handle_requests(view: View[GPUHost], hypervisor: Hypervisor) -> float | None:
    """Go on with every open request of the host; seconds until the next look, or None if none is left open.

    One GPU does not wait for another: a check that hangs is that GPU's alone.

    Raises: Conflict: somebody kept writing the host's status; the next pass goes on.
    """
    waits = []
    for request in pending_requests(view.resource):
        again_s = _handle(request, view, hypervisor)
        view.resource = view.ports.store.get(GPUHost, request.host)
        if again_s is not None:
            waits.append(again_s)
    return min(waits, default=None)


def look_at(address: str, *, host: GPUHost, hypervisor: Hypervisor, ports: Ports) -> Sight:
    """Read all that the check goes by; changes nothing. Raises: HostUnreachable, HypervisorError."""
    facts = next((gpu for gpu in host.status.gpus if gpu.address == address), None)
    card = card_of(facts) if facts is not None else (address,)
    found = [each for one in card for each in _function(hypervisor, one)]
    there = {function.address for function in found}
    return Sight(
        address=address,
        facts=facts,
        functions=tuple(found) if address in there else (),
        missing=tuple(one for one in card if one not in there),
        examination=hypervisor.inventory.examine(card, timeout_s=EXAMINE_TIMEOUT_S),
        claim=_claim_on(ports, host.metadata.name, address),
        policy=host.spec.reset_policy,
    )


def _handle(request: Request, view: View[GPUHost], hypervisor: Hypervisor) -> float | None:
    ports, host = view.ports, view.resource
    refusal = _refusal(request, host)
    if refusal is not None:
        _answer(ports, request, (refusal,), passed=refusal.passed)
        return None
    known = next((each for each in host.status.checks if (each.address, each.request) == (request.address, request.text)), None)
    lines = known.lines if known is not None else ()
    limit_s = _limit_s(host, ports)
    if known is not None and ports.age_s(known.started) > limit_s:
        _no_answer(ports, request, lines, f"the host did not come back with it within {limit_s:.0f} s")
        return None
    try:
        return _act(request, view, hypervisor, lines) if lines else _look(request, view, hypervisor)
    except (HostTimeout, HypervisorError) as error:
        _no_answer(ports, request, lines, str(error))
        return None
    except HostUnreachable:
        return AWAY_RETRY_S


def _look(request: Request, view: View[GPUHost], hypervisor: Hypervisor) -> float | None:
    """Everything that can be told without touching anything; if it is in order, what comes next."""
    ports, host, address = view.ports, view.resource, request.address
    job = f"look at GPU {request.host}/{address} ({host.metadata.uid}) for {request.text}"
    outcome = ports.background.run(
        job, lambda _meter: look_at(address, host=host, hypervisor=hypervisor, ports=ports), waiter=view.key
    )
    if isinstance(outcome, Running):
        _note(ports, request)
        return POLL_S
    lines = reading_checks(outcome.result)
    if failed(lines) is not None:
        _answer(ports, request, lines, passed=False)
        return None
    _note(ports, request, lines)
    return _act(request, view, hypervisor, lines)


def _act(request: Request, view: View[GPUHost], hypervisor: Hypervisor, before: tuple[CheckLine, ...]) -> float | None:
    """Reset and the rest, and another look, since a reset may kill what was alive; then let it go, or say why not."""
    ports, host, address = view.ports, view.resource, request.address
    card = card_of(next(gpu for gpu in host.status.gpus if gpu.address == address))

    def act(_meter: object) -> tuple[tuple[CheckLine, ...], Sight]:
        done = try_out(card, spec=host.spec, hypervisor=hypervisor)
        return done, look_at(address, host=host, hypervisor=hypervisor, ports=ports)

    job = f"try GPU {request.host}/{address} ({host.metadata.uid}) for {request.text}"
    outcome = ports.background.run(job, act, waiter=view.key)
    if isinstance(outcome, Running):
        return POLL_S
    done, sight = outcome.result
    if failed(done) is None:
        done = (*done, _verified(sight))
    wrong = failed(done)
    _write_history(ports, request, sight.identity, done, wrong)
    if wrong is None:
        lifted(ports, host=request.host, address=address, identity=sight.identity)
    _answer(ports, request, (*before, *done), passed=wrong is None)
    ports.host_watch.ask_survey(view.key)
    return None


def _verified(sight: Sight) -> CheckLine:
    worse = failed(reading_checks(sight))
    words = "it answers, and nothing else has changed" if worse is None else f"{worse.name}: {worse.message}"
    return CheckLine(name="verified", passed=worse is None, message=words)


def _limit_s(host: GPUHost, ports: Ports) -> float:
    """Seconds after which a check that has no answer has failed: whatever it waits for does not come back."""
    scrub_s = host.spec.scrub_timeout_s if host.spec.scrub_command else 0
    return (CHECK_LIMIT_S + scrub_s) * ports.time_scale


def _no_answer(ports: Ports, request: Request, lines: tuple[CheckLine, ...], why: str) -> None:
    _answer(ports, request, (*lines, CheckLine(name="answer", passed=False, message=why)), passed=False)


def _write_history(
    ports: Ports, request: Request, identity: GpuIdentity | None, done: Sequence[CheckLine], wrong: CheckLine | None
) -> None:
    said = (wrong,) if wrong is not None else done
    note = GPUHistoryNote(
        at=ports.now(),
        host=request.host,
        address=request.address,
        what="Released" if wrong is None else "CheckFailed",
        message="; ".join(f"{line.name}: {line.message}" for line in said)[:500],
    )
    note_in_history(ports, identity, note)


def _refusal(request: Request, host: GPUHost) -> CheckLine | None:
    """Why there is nothing to check."""
    if request.text.partition(":")[0] != RELEASE:
        return CheckLine(name="request", passed=False, message=f"`{request.text}` is no request that this version knows")
    if request.address in (*host.spec.retired, *host.status.retired):
        return CheckLine(name="retired", passed=False, message="it is retired, and retired GPUs are not handed out")
    if all(entry.address != request.address for entry in host.status.quarantined):
        return CheckLine(name="quarantined", passed=True, message="it is not in quarantine")
    return None


def _answer(ports: Ports, request: Request, lines: tuple[CheckLine, ...], *, passed: bool) -> None:
    """Write the answer down; a reason that is no fault of the GPU's does not replace the one that it is in quarantine for."""
    found = failed(lines)
    if not passed and found is not None and found.name not in NO_FAULT:
        blamed(ports, host=request.host, address=request.address, reason=f"check `{found.name}` failed: {found.message}")
    _note(ports, request, lines, state="Passed" if passed else "Failed")


def _note(
    ports: Ports,
    request: Request,
    lines: tuple[CheckLine, ...] = (),
    *,
    state: Literal["Running", "Passed", "Failed"] = "Running",
) -> None:
    """Write down how far the check is; it began when this was first written for this request."""
    now = ports.now()

    def noted(host: GPUHost) -> GPUHost:
        known = next((each for each in host.status.checks if each.address == request.address), None)
        check = GpuCheck(
            address=request.address,
            request=request.text,
            state=state,
            lines=lines,
            started=known.started if known is not None and known.request == request.text else now,
            finished="" if state == "Running" else now,
        )
        others = tuple(each for each in host.status.checks if each.address != request.address)
        return host.with_status(checks=(*others, check)[-CHECKS_KEPT:])

    change_host(ports, request.host, noted)


def _function(hypervisor: Hypervisor, address: str) -> tuple[PciFunction, ...]:
    try:
        return hypervisor.devices.functions([address])
    except NotFound:
        return ()


def _claim_on(ports: Ports, host: str, address: str) -> GPUClaim | None:
    try:
        return ports.store.get(GPUClaim, claim_name(host, address))
    except NotFound:
        return None
