"""Events in memory: equal ones are counted, each object keeps its newest, and those of removed objects fade.

The order is that of the last time, and of recording where times are equal. Not safe for threads by itself.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace

from provisioner.model.metadata import Key
from provisioner.store.protocol import Event
from provisioner.store.semantics import EVENTS_OF_REMOVED, EVENTS_PER_OBJECT


@dataclass(frozen=True, slots=True)
class _Entry:
    """An event and its place in the order."""

    event: Event
    sequence: int

    @property
    def place(self) -> tuple[str, int]:
        return self.event.last_timestamp, self.sequence


class EventBook:
    """Events of all objects.

    Args:
        events: Those that it begins with.
        present: The keys of the objects that there are, as it stands at each moment.
    """

    def __init__(self, events: Iterable[Event] = (), *, present: Container[Key]) -> None:
        self._present = present
        self._pages: dict[Key, dict[tuple[str, str], _Entry]] = {}
        self._trim_at = 2 * EVENTS_OF_REMOVED
        self._sequence = 0
        self._count = 0
        for event in events:
            self._put(event)

    def all(self) -> tuple[Event, ...]:
        """Every event, the latest last."""
        self._forget_removed()
        return tuple(entry.event for entry in sorted(self._entries(self._pages), key=lambda entry: entry.place))

    def record(self, event: Event, *, now: str) -> None:
        """Count an event."""
        known = self._pages.get(event.about, {}).get((event.reason, event.message))
        first, count = (known.event.first_timestamp, known.event.count + 1) if known else (now, 1)
        self._put(replace(event, count=count, first_timestamp=first, last_timestamp=now))
        page = self._pages[event.about]
        if len(page) > EVENTS_PER_OBJECT:
            self._drop(min(page.values(), key=lambda entry: entry.place))
        if self._count > self._trim_at:
            self._forget_removed()
            self._trim_at = 2 * max(self._count, EVENTS_OF_REMOVED)

    def _forget_removed(self) -> None:
        """Of the events whose object is not present, keep the newest. Done when somebody reads, or they have doubled."""
        orphans = sorted(self._entries(key for key in self._pages if key not in self._present), key=lambda entry: entry.place)
        for entry in orphans[:-EVENTS_OF_REMOVED]:
            self._drop(entry)

    def _put(self, event: Event) -> None:
        self._sequence += 1
        page = self._pages.setdefault(event.about, {})
        self._count += (event.reason, event.message) not in page
        page[event.reason, event.message] = _Entry(event, self._sequence)

    def _drop(self, entry: _Entry) -> None:
        page = self._pages[entry.event.about]
        del page[entry.event.reason, entry.event.message]
        self._count -= 1
        if not page:
            del self._pages[entry.event.about]

    def _entries(self, keys: Iterable[Key]) -> list[_Entry]:
        return [entry for key in keys for entry in self._pages[key].values()]
