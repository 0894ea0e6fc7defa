"""What every host answers to one request, and how not to ask a host again of which nothing has changed.

Hundreds of VMs that are applied together ask the same of hosts of which each changes only when one of them gets a place there.
A Memory keeps what hosts answered to a newcomer's question; with the next fleet, only hosts whose load is another one are
asked. What is not the same for every asker is asked every time: hosts where the VM has something already, and hosts with
external addresses, of which the whole fleet has a part. The answers are those of `fits`, remembered or not.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import compress, islice
from operator import attrgetter, is_not

from provisioner.planning.fitting import Fit, fits
from provisioner.planning.fleet import Fleet, HostLoad, HostView
from provisioner.planning.policy import PlacementPolicy
from provisioner.planning.refusals import Refusal
from provisioner.planning.requests import PlacementRequest
from provisioner.planning.scoring import Score, score_of

QUESTIONS_KEPT = 16
_RANK = attrgetter(*Score.__dataclass_fields__)
"""A score as a tuple: the same order, and much faster to compare."""

Rank = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Yes:
    """A host that takes it."""

    view: HostView
    fit: Fit
    score: Score


@dataclass(slots=True)
class Board:
    """The answers of some hosts, the best first."""

    loads: tuple[HostLoad, ...] = ()
    """Who was asked."""
    yes: dict[str, Yes] = field(default_factory=dict)
    no: dict[str, tuple[Refusal, ...]] = field(default_factory=dict)
    ranking: list[Rank] = field(default_factory=list)
    """Of every yes; the host's name is the last of each."""

    def note(self, name: str, answer: Yes | tuple[Refusal, ...]) -> None:
        """That host's answer."""
        if isinstance(answer, Yes):
            self.yes[name] = answer
            insort(self.ranking, _RANK(answer.score))
        else:
            self.no[name] = answer

    def forget(self, name: str) -> None:
        """That host is to be asked anew."""
        self.no.pop(name, None)
        known = self.yes.pop(name, None)
        if known is not None:
            del self.ranking[bisect_left(self.ranking, _RANK(known.score))]

    def best_first(self) -> Iterator[Yes]:
        """Every yes."""
        return (self.yes[str(rank[-1])] for rank in self.ranking)


class Memory:
    """Boards by question; the oldest question goes when there are too many. Not safe for threads by itself."""

    def __init__(self) -> None:
        self._boards: OrderedDict[Hashable, Board] = OrderedDict()

    def board(self, question: Hashable) -> Board:
        """The board of that question, as it was left."""
        board = self._boards.setdefault(question, Board())
        self._boards.move_to_end(question)
        if len(self._boards) > QUESTIONS_KEPT:
            self._boards.popitem(last=False)
        return board


@dataclass(frozen=True, slots=True)
class Answers:
    """What every host says to one request."""

    common: Board
    """What hosts say to anybody who asks this."""
    own: Board
    """What some of them say to this one instead."""

    @property
    def yes_count(self) -> int:
        """How many hosts take it."""
        return len(self.common.yes) + len(self.own.yes) - sum(load.name in self.common.yes for load in self.own.loads)

    def best(self, count: int) -> list[Yes]:
        """The best hosts, the best first."""
        asked_apart = {load.name for load in self.own.loads}
        common = (each for each in self.common.best_first() if each.view.name not in asked_apart)
        return sorted((*islice(common, count), *self.own.best_first()), key=lambda each: _RANK(each.score))[:count]

    def refused(self) -> tuple[tuple[str, tuple[Refusal, ...]], ...]:
        """Every host that says no, by name, with its reasons."""
        refusals = self.common.no | self.own.no
        return tuple((name, refusals[name]) for name in sorted(refusals) if name not in self.own.yes)


def answers_of(request: PlacementRequest, fleet: Fleet, *, policy: PlacementPolicy, memory: Memory | None = None) -> Answers:
    """Ask every host, as far as it is not known what it says."""
    if len(request.pinned_hosts) == 1:
        home = _asked((load for load in fleet.loads if load.name in request.pinned_hosts), request, fleet, policy)
        if home.yes:
            return Answers(Board(), home)  # every other host would say that the VM is pinned elsewhere
        memory = None  # hardly anybody else asks the same
    common = (memory or Memory()).board(_question(request, policy))
    _ask_changed(common, replace(request, owner=None, owner_uid=""), fleet, policy)
    return Answers(common, _asked(_apart(request, fleet), request, fleet, policy))


def _asked(loads: Iterable[HostLoad], request: PlacementRequest, fleet: Fleet, policy: PlacementPolicy) -> Board:
    board = Board(loads=tuple(loads))
    for load in board.loads:
        view = fleet.view(load, policy=policy, for_uid=request.owner_uid)
        board.note(load.name, _answer(request, view, policy))
    return board


def _ask_changed(board: Board, request: PlacementRequest, fleet: Fleet, policy: PlacementPolicy) -> None:
    """Loads are values: a host whose load is the very same would say the same again."""
    before, now = board.loads, fleet.loads
    if len(before) == len(now):
        changed = list(compress(range(len(now)), map(is_not, before, now)))
        gone, new = [before[index] for index in changed], [now[index] for index in changed]
    else:
        gone, new = list(before), list(now)
    for load in gone:
        board.forget(load.name)
    for load in new:
        board.note(load.name, _answer(request, load.view(policy=policy), policy))
    board.loads = now


def _answer(request: PlacementRequest, view: HostView, policy: PlacementPolicy) -> Yes | tuple[Refusal, ...]:
    answer = fits(request, view, policy=policy)
    return Yes(view, answer, score_of(answer, host=view, request=request)) if isinstance(answer, Fit) else answer


def _apart(request: PlacementRequest, fleet: Fleet) -> list[HostLoad]:
    """The hosts whose answer depends on who asks, or on other hosts."""
    uid = request.owner_uid
    if not request.external:
        return [load for load in fleet.loads if uid in load.uids]
    return [load for load in fleet.loads if uid in load.uids or load.host.spec.external_addresses]


def _question(request: PlacementRequest, policy: PlacementPolicy) -> Hashable:
    """Everything that is asked but who asks."""
    return (
        policy,
        request.vcpus,
        request.memory_mib,
        request.gpus,
        tuple(sorted(request.host_selector.items())),
        request.tenant_labels,
        request.pinned_hosts,
        request.storage_bytes,
        request.storage_pool,
        tuple(sorted(request.storage_by_class.items())),
        request.networks,
        request.external,
        request.firmware,
        request.image,
        request.has_vm_disks,
    )
