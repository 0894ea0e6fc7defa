"""The table engine: a life as a declared list of steps, forwards to reality and backwards to nothing.

    forwards   do(1) -> do(2) -> … -> do(n)              each: Done goes on, Retry comes back, Abort gives the attempt up
    backwards  undo(n) -> … -> undo(2) -> undo(1)         each: Done goes on, Retry comes back, Stuck is told and tried again

Rules that every step keeps, and that three tests in tests/lifecycle hold for every table: `do` observes first and may be run
any number of times; `undo` likewise, also when `do` never ran; neither relies on memory. A step has a time budget that counts
from its first attempt since it last held, and starts anew while its host is away, since waiting for a host is no failure of the
guest, and when the clock was set back. A call that was given a time of its own and did not keep to it (HostTimeout) is no
absence of the host: there it runs on.

Effects that a step has on the outside come before the record that it finished, so a crash between the two repeats the step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from provisioner.lifecycle.queue import backoff_s
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Stuck, Verdict
from provisioner.lifecycle.view import View
from provisioner.model import errors
from provisioner.model.clock import seconds
from provisioner.model.metadata import StepRecord

V = TypeVar("V", bound=View)  # type: ignore[type-arg]

RETRY_S = 2.0
RETRY_CEILING_S = 30.0
"""The pause after trouble doubles from one to the other."""
RACE_RETRY_S = 0.5
PATIENCE = 0.25
"""How much of its budget a step has used when it gets all of it anew, for what is no fault of its own; not with every look."""
UNBOUNDED = float("inf")


def nothing(_view: object) -> Verdict:
    """The undo of a step that leaves nothing to undo; the table says why in a comment."""
    return Done()


@dataclass(frozen=True, slots=True)
class Step(Generic[V]):
    """One line of a table."""

    name: str
    do: Callable[[V], Verdict]
    undo: Callable[[V], Verdict]
    within: Callable[[V], float]
    """Seconds from the first attempt until the step counts as failed."""
    sets: str
    """The condition type that says whether it holds."""
    keeps_data: bool = False
    """What it made holds the tenant's data: undone on deletion, kept on stop."""


class Lifecycle(Generic[V]):
    """A table of steps."""

    def __init__(self, *steps: Step[V]) -> None:
        self.steps = steps
        self.by_name = {step.name: step for step in steps}
        assert len(self.by_name) == len(steps), "step names are unique"

    def advance(self, view: V, *, settled: set[str]) -> Verdict:
        """Run forwards as far as it goes.

        Args:
            view: the resource in this pass.
            settled: steps that this process saw hold in this attempt, skipped and added to; an empty set observes everything.
        """
        for step in self.steps:
            if step.name in settled and view.holds(step.sets):  # another controller may have undone it since
                continue
            verdict = self._attempt(step, view)
            if not isinstance(verdict, Done):
                settled.clear()
                settled.update(done.name for done in self.steps[: self.steps.index(step)])
                return verdict
            settled.add(step.name)
        return Done()

    def unwind(self, view: V, *, keep_data: bool, keep: frozenset[str] = frozenset()) -> Verdict:
        """Run backwards over all steps but those kept. Stuck and Retry leave the rest for the next pass.

        First of all it is written down that none of them holds any more: a crash in the middle must not leave a "True" that
        a later attempt would believe.
        """
        undone = [step for step in self.steps if step.name not in keep and not (keep_data and step.keeps_data)]
        self._disclaim(undone, view)
        for step in reversed(undone):
            verdict = _guarded(step.undo, view)
            if isinstance(verdict, Abort):
                verdict = Stuck((step.name,), verdict.message)
            if not isinstance(verdict, Done):
                return verdict
            view.ports.observer.step_undone(view.key, step.name)
        return Done()

    def _disclaim(self, undone: list[Step[V]], view: V) -> None:
        stale = tuple(view.condition(step.sets, "False", "Undone") for step in undone if view.holds(step.sets))
        names = {step.name for step in undone}
        left = tuple(record for record in view.resource.status.steps if record.name not in names)
        if stale or left != view.resource.status.steps:
            view.write(*stale, steps=left)

    def _attempt(self, step: Step[V], view: V) -> Verdict:
        ports = view.ports
        record = view.record(step.name)
        if record is None:
            ports.observer.step_started(view.key, step.name)
            record = StepRecord(name=step.name, started=ports.now())
        verdict = _guarded(step.do, view)
        if isinstance(verdict, Done):
            self._finished(step, view, record, verdict.message)
            return verdict
        if isinstance(verdict, Retry):
            verdict = self._waiting(step, view, record, verdict)
        if isinstance(verdict, Abort):
            ports.observer.failed(view.key, step.name, verdict.message)
        return verdict

    def _finished(self, step: Step[V], view: V, record: StepRecord, message: str) -> None:
        if record.finished and view.holds(step.sets):
            return
        now = view.ports.now()
        record = record.model_copy(update={"started": now if record.finished else record.started, "finished": now})
        view.write(view.condition(step.sets, "True", "Done", message), steps=_with(view, record))
        view.ports.observer.step_finished(view.key, step.name, seconds(now) - seconds(record.started), message)

    def _waiting(self, step: Step[V], view: V, record: StepRecord, verdict: Retry) -> Verdict:
        now = view.ports.now()
        waited_s = seconds(now) - seconds(record.started)
        budget_s = step.within(view) * view.ports.time_scale
        held_before = bool(record.finished)
        if view.ports.is_ahead(record.started) or held_before or (verdict.is_patient and waited_s > budget_s * PATIENCE):
            record, waited_s = record.model_copy(update={"started": now}), 0.0
        if waited_s > budget_s:
            return Abort("DeadlineExceeded", f"{step.name} took more than {budget_s:.0f} s; last: {verdict.message}")
        attempts = record.attempts + (1 if verdict.is_trouble else 0)
        record = record.model_copy(update={"finished": "", "attempts": attempts})
        if verdict.is_trouble:
            pause_s = backoff_s(attempts, first_s=RETRY_S, ceiling_s=RETRY_CEILING_S)
            verdict = replace(verdict, after_s=pause_s)
        view.write(view.condition(step.sets, "False", verdict.reason, verdict.message), steps=_with(view, record))
        if verdict.is_trouble:
            view.tell(verdict.reason, f"{step.name}: {verdict.message}", warning=True)
        view.ports.observer.step_waiting(view.key, step.name, verdict.message)
        return verdict


def _guarded(action: Callable[[V], Verdict], view: V) -> Verdict:
    """Run it; turn what the edges could not do into a verdict.

    A Conflict with another writer of the resource itself ends the pass all the same: writing the verdict down meets it again.
    """
    try:
        return action(view)
    except errors.HostTimeout as error:
        return Retry(RETRY_S, errors.HostTimeout.__name__, str(error), is_trouble=True)
    except errors.HostUnreachable as error:
        return Retry(RETRY_S, errors.HostUnreachable.__name__, str(error), is_trouble=True, is_patient=True)
    except errors.Conflict as error:
        is_race = "stored" in error.context  # of writers of one object, as against a hypervisor's refusal
        return Retry(RACE_RETRY_S if is_race else RETRY_S, type(error).__name__, str(error), is_trouble=not is_race)
    except errors.GuestUnreachable as error:
        return Retry(RETRY_S, type(error).__name__, str(error))  # a guest that boots does not answer yet: no trouble
    except errors.HikubeError as error:
        if error.retry is errors.Retry.LATER:
            return Retry(RETRY_S, type(error).__name__, str(error), is_trouble=True)
        return Abort(type(error).__name__, str(error), is_final=isinstance(error, errors.InvalidInput | errors.ImageRefused))


def _with(view: View, record: StepRecord) -> tuple[StepRecord, ...]:  # type: ignore[type-arg]
    others = tuple(known for known in view.resource.status.steps if known.name != record.name)
    return (*others, record)
