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
    """Events of all objects."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._pages: dict[Key, dict[tuple[str, str], _Entry]] = {}
        self._sequence = 0
        for event in events:
            self._put(event)

    def all(self) -> tuple[Event, ...]:
        """Every event, the latest last."""
        return tuple(entry.event for entry in sorted(self._entries(self._pages), key=lambda entry: entry.place))

    def record(self, event: Event, *, now: str) -> None:
        """Count an event."""
        known = self._pages.get(event.about, {}).get((event.reason, event.message))
        first, count = (known.event.first_timestamp, known.event.count + 1) if known else (now, 1)
        self._put(replace(event, count=count, first_timestamp=first, last_timestamp=now))
        page = self._pages[event.about]
        if len(page) > EVENTS_PER_OBJECT:
            self._drop(min(page.values(), key=lambda entry: entry.place))

    def forget_removed(self, present: Container[Key]) -> None:
        """Of the events whose object is not present, keep the newest."""
        orphans = sorted(self._entries(key for key in self._pages if key not in present), key=lambda entry: entry.place)
        for entry in orphans[:-EVENTS_OF_REMOVED]:
            self._drop(entry)

    def _put(self, event: Event) -> None:
        self._sequence += 1
        self._pages.setdefault(event.about, {})[event.reason, event.message] = _Entry(event, self._sequence)

    def _drop(self, entry: _Entry) -> None:
        page = self._pages[entry.event.about]
        del page[entry.event.reason, entry.event.message]
        if not page:
            del self._pages[entry.event.about]

    def _entries(self, keys: Iterable[Key]) -> list[_Entry]:
        return [entry for key in keys for entry in self._pages[key].values()]
