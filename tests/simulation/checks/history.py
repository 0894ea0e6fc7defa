"""The history of a card tells of every hand-over: who had it, when, and how it was cleaned; once, in order, never changed."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.model.clock import seconds
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_history import ENTRIES_KEPT, GPUHistory, GPUHistoryEntry
from provisioner.store.protocol import ChangeType
from tests.simulation.sight import Sight


class HistoryTellsOfEveryHandOver:
    """When a claim ends whose GPU a guest had, the history of the card says so."""

    name = "history-tells-of-every-hand-over"
    watches = frozenset({GPUHistory.KIND, GPUClaim.KIND})

    def __init__(self) -> None:
        self._told: set[str] = set()
        """The uids of claims that have an entry."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check. An entry is written before its claim ends."""
        for change in sight.changes:
            resource = change.resource
            if isinstance(resource, GPUHistory):
                self._told.update(entry.claim_uid for entry in resource.status.entries[-2:])
            elif isinstance(resource, GPUClaim) and change.type is ChangeType.DELETED and resource.was_given:
                if resource.status.functions and resource.metadata.uid not in self._told:
                    whose = f"{resource.spec.owner.key} had {resource.spec.address} of {resource.spec.host}"
                    yield f"{resource.key} has ended: {whose}, and no history tells of it"
                self._told.discard(resource.metadata.uid)


class HistoryIsWrittenOnce:
    """Entries are only added; no claim has two, and no two tenants had a card at one time."""

    name = "history-is-written-once"
    watches = frozenset({GPUHistory.KIND})

    def __init__(self) -> None:
        self._known: dict[str, tuple[GPUHistoryEntry, ...]] = {}
        """By the name of the card's history."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            history = change.resource
            if not isinstance(history, GPUHistory):
                continue
            if change.type is ChangeType.DELETED:
                self._known.pop(history.metadata.name, None)
                continue
            before = self._known.get(history.metadata.name, ())
            entries = self._known[history.metadata.name] = history.status.entries
            if entries == before:
                continue
            yield from self._changed(history, before)
            if len(entries) > len(before) and sight.clocks_agree:
                yield from _out_of_order(history, entries[-2:])

    @staticmethod
    def _changed(history: GPUHistory, before: tuple[GPUHistoryEntry, ...]) -> Iterator[str]:
        entries = history.status.entries
        kept = before if len(entries) < ENTRIES_KEPT else before[-(len(entries) - 1) :]
        if entries[: len(kept)] != kept:
            yield f"{history.key}: what was written there was changed or is gone"
        uids = [entry.claim_uid for entry in entries]
        if len(set(uids)) != len(uids):
            yield f"{history.key} tells of one claim twice: {uids}"


def _out_of_order(history: GPUHistory, last: tuple[GPUHistoryEntry, ...]) -> Iterator[str]:
    entry = last[-1]
    times = [seconds(time) for time in (entry.since, entry.given, entry.until, entry.ended) if time]
    if times != sorted(times):
        yield f"{history.key}: the times of {entry.owner.key} are not in order: {entry}"
    before = last[-2] if len(last) > 1 else None
    if before is not None and entry.given and before.given and seconds(entry.given) < seconds(before.until or before.ended):
        yield f"{history.key}: {entry.owner.key} had the card from {entry.given}, and {before.owner.key} until {before.until}"
