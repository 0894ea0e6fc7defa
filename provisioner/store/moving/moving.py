"""Moves every object from one store to another, so that whoever runs the control loop there goes on as if nothing had been.

    both control loops held ──> arriving: signpost of the new store ──┐
         ┌── compare all ──> write what differs ──> compare again <┘     in the order of ORDER
         └── equal ──> moved: signpost of the old store ──> compare again ──> the new store's signpost goes: it is the store now

Every write brings one object nearer to what it is in the old store, and is harmless to repeat, so a process that dies anywhere
is followed by the same command. What the new store has under the same name and another uid is in the way, and nothing is
written then. Where the new store is an old copy (its objects were moved to the other store once), what is not there any more is
removed.

Invariants: no control loop can begin on the new store before all is there, nor on the old one after that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from provisioner.model.errors import Conflict, NotFound
from provisioner.model.kinds import KINDS
from provisioner.model.metadata import Key, Resource
from provisioner.store.moving.comparing import differences, for_generation
from provisioner.store.moving.signposts import ARRIVING, MOVED, Signpost
from provisioner.store.protocol import Store

FIRST = ("GPUHost", "Image", "GPUHistory", "GPUClaim", "VMDisk")
LAST = ("VirtualMachine", "VMInstance", "Secret")
ORDER = (*FIRST, *(kind for kind in KINDS if kind not in FIRST + LAST), *LAST)
"""A reader who sees half of it finds GPUs taken rather than free; what is owned comes after its owner."""
ROUNDS_MAX = 5
SHOWN_MAX = 20

Progress = Callable[[int, int], None]
"""So many objects of so many."""
Objects = dict[Key, Resource]


class Side(Protocol):
    """One of the two stores, its control loop held by the caller."""

    name: str
    """For people."""
    id: str
    """Equal for equal stores, wherever it is asked from."""

    @property
    def store(self) -> Store:
        """Its objects; writes are not refused because of its signpost."""
        ...

    def signpost(self) -> Signpost | None:
        """The signpost that it bears."""
        ...

    def set_signpost(self, signpost: Signpost | None) -> None:
        """Let it bear that one, or none. Durable when it returns."""
        ...

    def prepare(self, namespaces: Sequence[str]) -> None:
        """Make room for objects of these namespaces."""
        ...


@dataclass(slots=True)
class Report:
    """What was done, or would be."""

    source: str
    target: str
    dry_run: bool
    objects: dict[str, int] = field(default_factory=dict)
    """How many there are of each kind."""
    created: int = 0
    changed: int = 0
    removed: int = 0
    was_done: bool = False
    """The move had been finished before."""

    def as_dict(self) -> dict[str, Any]:
        """For `-o json`."""
        counts = {"objects": self.objects, "created": self.created, "changed": self.changed, "removed": self.removed}
        return {"from": self.source, "to": self.target, "dryRun": self.dry_run, "alreadyMoved": self.was_done, **counts}


def move(source: Side, target: Side, *, now: str, progress: Progress, dry_run: bool = False) -> Report:
    """Move all. May be repeated, also after a crash; when it returns, the new store's controllers may begin.

    Raises:
        Conflict: other objects have the same names, the signposts speak of another move, or the old store is being changed.
        HikubeError: as the stores; run again.
    """
    report = Report(source.name, target.name, dry_run)
    if _is_finished(source, target):
        report.was_done = True
        return report
    replaces = _replaces(source, target)
    if dry_run:
        _round(source, target, report, replaces=replaces, progress=progress, dry_run=True)
        return report
    if not replaces:
        _raise_for_others(_objects(source.store), _objects(target.store), target)
    target.set_signpost(Signpost("arriving", source.id, source.name, now, replaces))
    for _ in range(ROUNDS_MAX):
        while written := _round(source, target, report, replaces=replaces, progress=progress):
            _bound(report, written)
        source.set_signpost(Signpost("moved", target.id, target.name, now))
        if not _round(source, target, report, replaces=replaces, progress=progress):
            target.set_signpost(None)
            return report
    raise Conflict(f"the objects of {source.name} go on being changed", hint="let nobody change them, and run it again")


def _bound(report: Report, written: Sequence[Key]) -> None:
    """Raises Conflict: more was written than any number of rounds that leads somewhere would."""
    if report.created + report.changed + report.removed > ROUNDS_MAX * max(1, sum(report.objects.values())):
        what = f"what was written to {report.target} does not stay so"
        raise Conflict(what, why=_shown(written), hint="let nobody change it, and run it again")


def _is_finished(source: Side, target: Side) -> bool:
    """Whether this move was done before. Raises Conflict: the objects went elsewhere."""
    gone, coming = source.signpost(), target.signpost()
    if gone is None:
        return False
    if gone.state == ARRIVING:
        raise Conflict(f"objects are on their way from {gone.other_name} to {source.name}", hint="finish that first")
    if gone.other_id != target.id:
        raise Conflict(f"the objects of {source.name} were moved to {gone.other_name}", hint="move them from there")
    return coming is None


def _replaces(source: Side, target: Side) -> bool:
    """Whether what the target has is an old copy. Raises Conflict: it belongs to another move."""
    known = target.signpost()
    if known is None:
        return False
    if known.other_id != source.id:
        word = "on their way from" if known.state == ARRIVING else "moved to"
        what = f"the objects of {target.name} are {word} {known.other_name}"
        raise Conflict(what, hint="finish that, or take its signpost away")
    return known.state == MOVED or known.replaces


def _round(
    source: Side, target: Side, report: Report, *, replaces: bool, progress: Progress, dry_run: bool = False
) -> list[Key]:
    """Bring the target nearer to the source; what was written, or would be."""
    wanted, found = _objects(source.store), _objects(target.store)
    report.objects = {kind: count for kind in ORDER if (count := sum(key.kind == kind for key in wanted))}
    if not replaces:
        _raise_for_others(wanted, found, target)
    stale = [known for key, known in found.items() if replaces and _is_stale(wanted.get(key), known)]
    gone = {known.key for known in stale}
    work = [each for key, each in wanted.items() if key not in found or key in gone or differences(each, found[key])]
    if not dry_run and work:
        target.prepare(sorted({key.namespace for key in wanted if key.namespace}))
    total = len(stale) + len(work)
    for done, write in enumerate(_writes(target.store, stale, work, found, report), start=1):
        if not dry_run:
            write()
        progress(done, total)
    return [each.key for each in (*stale, *work)]


def _writes(
    store: Store, stale: list[Resource], work: list[Resource], found: Objects, report: Report
) -> Iterator[Callable[[], None]]:
    """One for each object, in order."""
    for known in stale:
        report.removed += 1
        yield lambda known=known: _remove(store, known)  # type: ignore[misc]
    gone = {known.key for known in stale}
    for each in work:
        if each.key in found and each.key not in gone:
            report.changed += 1
            yield lambda each=each: _bring(store, each, found[each.key])  # type: ignore[misc]
        else:
            report.created += 1
            yield lambda each=each: _make(store, each)  # type: ignore[misc]


def _make(store: Store, wanted: Resource) -> None:
    made = store.create(for_generation(wanted, 1), keeps_identity=True)
    if wanted.is_being_deleted:
        store.delete(made.key, uid=made.metadata.uid)


def _bring(store: Store, wanted: Resource, known: Resource) -> None:
    """Spec and metadata, then the status, then whether it goes; what holds already costs nothing."""
    metadata = {name: getattr(wanted.metadata, name) for name in ("labels", "annotations", "finalizers", "owner_references")}
    if known.is_being_deleted and not wanted.is_being_deleted:
        raise Conflict(f"{known.key} is being deleted in the new store, and not in the old one", hint="wait until it is gone")
    known = store.update(known.with_metadata(**metadata).model_copy(update={"spec": wanted.spec}))
    if known.kind != "Secret" and "status" in differences(wanted, known):
        known = store.update_status(
            known.model_copy(update={"status": for_generation(wanted, known.metadata.generation).status})
        )
    if wanted.is_being_deleted and not known.is_being_deleted:
        store.delete(known.key, uid=known.metadata.uid)


def _remove(store: Store, known: Resource) -> None:
    with contextlib.suppress(NotFound):
        if known.metadata.finalizers:
            known = store.update(known.with_metadata(finalizers=()))
        store.delete(known.key, uid=known.metadata.uid)


def _is_stale(wanted: Resource | None, known: Resource) -> bool:
    return wanted is None or wanted.metadata.uid != known.metadata.uid


def _raise_for_others(wanted: Objects, found: Objects, target: Side) -> None:
    others = [key for key, each in wanted.items() if key in found and _is_stale(each, found[key])]
    if others:
        hint = "they are not copies of the objects that were to be moved; remove or rename them on one side"
        facts = {"objects": list(map(str, others))}
        raise Conflict(f"{target.name} has other objects of the same names", why=_shown(others), hint=hint, context=facts)


def _shown(keys: Sequence[Key]) -> str:
    words = ", ".join(map(str, keys[:SHOWN_MAX]))
    return f"{words} and {len(keys) - SHOWN_MAX} more" if len(keys) > SHOWN_MAX else words


def _objects(store: Store) -> Objects:
    return {each.key: each for kind in ORDER for each in store.list(KINDS[kind]).items}
