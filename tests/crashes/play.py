"""The story of one VM whose controller dies at every moment of the matrix: the same on a real host and on its twin.

    created ──> dies after every step ──> Ready ──> deleted ──> dies after every undone step, and on its GPUs' way home ──> gone

One life of the VM meets them all, since a real boot takes long. Whoever looks afterwards compares what both stages showed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol

from provisioner.model.errors import NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.metadata import find_condition
from provisioner.model.virtual_machine import Phase, VirtualMachine
from provisioner.store.protocol import Store
from tests.crashes.moments import BACKWARDS, FORWARDS, HOMEWARDS, Moment
from tests.crashes.outcome import Outcome

UP, GONE = "in the end: up", "in the end: gone"


class Stage(Protocol):
    """Where it is played."""

    def create(self) -> None:
        """Ask for the VM."""

    def delete(self) -> None:
        """Ask for its deletion."""

    def live(self, moment: Moment | None) -> bool:
        """A fresh controller lives until that moment, or until the VM is where it is going; whether it died."""

    def look(self) -> Outcome:
        """What is there now."""


@dataclass(slots=True)
class Played:
    """What was seen, by the text of the moment."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    survived: list[str] = field(default_factory=list)
    """Moments at which the controller did not die: it got past them without being asked to stop."""

    def note(self, when: str, outcome: Outcome) -> None:
        """Keep what was seen then."""
        assert when not in self.outcomes, f"{when} is played twice"
        self.outcomes[when] = outcome


def play(
    stage: Stage,
    *,
    forwards: Sequence[Moment] = FORWARDS,
    backwards: Sequence[Moment] = BACKWARDS,
    homewards: Sequence[Moment] = HOMEWARDS,
    stops_short: bool = False,
    before: Callable[[Moment], None] = lambda _moment: None,
    when_up: Callable[[], None] = lambda: None,
) -> Played:
    """Play it.

    Args:
        stage: where.
        forwards: moments on the way up.
        backwards: on the way down.
        homewards: on the way home of its GPUs, which begins where the way down ends.
        stops_short: the VM never gets Ready, and is deleted where its controller died last.
        before: may make trouble before the life that ends at that moment.
        when_up: looks closer while the VM is Ready.
    """
    played = Played()
    stage.create()
    _die_at(stage, forwards, played, before)
    if not stops_short:
        assert not stage.live(None)
        played.note(UP, stage.look())
        when_up()
    stage.delete()
    _die_at(stage, backwards, played, before)
    _die_at(stage, homewards, played, before)
    assert not stage.live(None)
    played.note(GONE, stage.look())
    return played


def _die_at(stage: Stage, moments: Sequence[Moment], played: Played, before: Callable[[Moment], None]) -> None:
    for moment in moments:
        before(moment)
        if not stage.live(moment):
            played.survived.append(str(moment))
            continue
        # The VM's last pass and its claims' table are two workers' work: which is ahead is nobody's promise.
        racing = ("machine", "conditions", "steps", "secret") if moment.direction == "home" else ()
        played.note(str(moment), stage.look().but(*racing))


def is_over(store: Store, name: str) -> bool:
    """Whether the VM is where it was going: Ready and known to be, given up, or gone with its GPUs free."""
    try:
        vm = store.get(VirtualMachine, name, namespace="default")
    except NotFound:
        return not store.list(GPUClaim).items
    if vm.is_being_deleted:
        return False
    ready = find_condition(vm.status.conditions, "Ready")
    is_ready = ready is not None and ready.status == "True" and vm.status.phase is Phase.READY
    return is_ready or vm.status.phase is Phase.FAILED


def differences(one: Played, other: Played, *, names: tuple[str, str]) -> list[str]:
    """Every field in which they differ, with what only one of them showed; moments that only one of them met are left out."""
    return [
        line
        for when, outcome in one.outcomes.items()
        if when in other.outcomes
        for line in _unlike(when, outcome, other.outcomes[when], names=names)
    ]


def _unlike(when: str, one: Outcome, other: Outcome, *, names: tuple[str, str]) -> Iterator[str]:
    for each in fields(Outcome):
        here, there = getattr(one, each.name), getattr(other, each.name)
        if here != there:
            only = (_missing(here, there), _missing(there, here))
            told = "; ".join(f"only {name}: {', '.join(facts)}" for name, facts in zip(names, only, strict=True) if facts)
            yield f"{when} {each.name}: {told or f'another order: {here} and {there}'}"


def _missing(here: tuple[str, ...], there: tuple[str, ...]) -> list[str]:
    """What is more often here than there."""
    left = list(there)
    return [fact for fact in here if fact not in left or left.remove(fact)]  # type: ignore[func-returns-value]
