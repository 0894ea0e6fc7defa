"""What a write to the store changed, in words: one line for each thing that a reader of a trace may want to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.model.metadata import Condition, Key, Part, Resource

UNTOLD = frozenset({"conditions", "steps", "phase", "observed_generation", "last_seen", "examined"})
"""Fields of a status that say nothing of themselves, or are told in another way."""
UNDER_WAY = frozenset({"Examining", "Proving"})
"""Reasons of a condition that comes back every hour and says only that a look is being made."""
TEXT_MAX = 160
LINE_MAX = 320
NAMED_MAX = 8
"""Of the parts of a field."""
NAMES = ("address", "name", "code", "id")
"""Fields by which parts are told apart; the first that a part has."""


class Writings:
    """Remembers every object and what was told of it, so that it can tell what is new."""

    def __init__(self) -> None:
        self._known: dict[Key, Resource] = {}
        self._told: dict[tuple[Key, str], tuple[str, str]] = {}
        """Status and reason of each condition as they were told last."""

    def lines(self, resource: Resource, *, is_gone: bool) -> tuple[str, ...]:
        """What is new; empty if it is nothing to speak of."""
        old = self._known.pop(resource.key, None)
        if is_gone:
            self._told = {place: told for place, told in self._told.items() if place[0] != resource.key}
            return (f"{resource.key} is gone",)
        self._known[resource.key] = resource
        if old is None:
            return (f"{resource.key} is made",)
        return tuple(f"{resource.key} {what}" for what in self._differences(old, resource))

    def _differences(self, old: Resource, new: Resource) -> Iterator[str]:
        if new.is_being_deleted and not old.is_being_deleted:
            yield "is to be deleted"
        if told := _fields(old.spec, new.spec):
            yield f"spec: {cut(told, LINE_MAX)}"
        if new.metadata.annotations != old.metadata.annotations:
            yield f"annotations: {cut(str(dict(sorted(new.metadata.annotations.items()))))}"
        phases = [str(getattr(each.status, "phase", "")) for each in (old, new)]
        if phases[0] != phases[1]:
            yield f"phase {phases[0] or '-'} -> {phases[1]}"
        for condition in getattr(new.status, "conditions", ()):
            place, now = (new.key, condition.type), (condition.status, condition.reason)
            if condition.reason not in UNDER_WAY and self._told.get(place) != now:
                self._told[place] = now
                yield told_condition(condition)
        if told := _fields(old.status, new.status):
            yield f"status: {cut(told, LINE_MAX)}"


def told_condition(condition: Condition) -> str:
    """In one line."""
    message = f": {cut(condition.message)}" if condition.message else ""
    return f"{condition.type} {condition.status} {condition.reason}{message}"


def cut(text: str, most: int = TEXT_MAX) -> str:
    """On one line, and short enough for it."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[:most]}…"


def _fields(old: Any, new: Any) -> str:
    """Fields that differ, with the new value."""
    names = [name for name in type(new).model_fields if name not in UNTOLD] if isinstance(new, Part) else []
    changed = [(name, getattr(old, name, None), getattr(new, name)) for name in names]
    return ", ".join(f"{name}={_told(was, now)}" for name, was, now in changed if was != now)


def _told(was: Any, now: Any) -> str:
    """A plain value as it is; of something bigger what differs; of many things which of them."""
    if isinstance(now, Part):
        return f"({_fields(was, now)})"
    if isinstance(now, Mapping):
        return f"[{', '.join(sorted(now))}]"
    if isinstance(now, tuple):
        known = {_name(each): each for each in was or ()}
        told = [_name(each) + _within(known.get(_name(each)), each) for each in now if known.get(_name(each)) != each]
        more = [f"and {len(told) - NAMED_MAX} more"] if len(told) > NAMED_MAX else []
        gone = [f"without {name}" for name in known if name not in {_name(each) for each in now}]
        return f"[{', '.join(told[:NAMED_MAX] + more + gone[:NAMED_MAX])}]"
    return cut(str(now)) or "-"


def _name(part: Any) -> str:
    known = (str(value) for field in NAMES if (value := getattr(part, field, None)) not in (None, ""))
    return next(known, "") or cut(str(part))


def _within(was: Any, now: Any) -> str:
    return f"({_fields(was, now)})" if isinstance(was, Part) else ""
