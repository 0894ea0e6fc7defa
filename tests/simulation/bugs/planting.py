"""How a bug is planted: one function or table of the production code is exchanged in this process, for a while.

    @planted_in(proving, "_was_proven", found_by=(...,))          what stands there is given to the bug as its first argument,
    def proof_outlives_its_boot(right, view): ...                 so that a bug is the right thing but for one mistake

The only place in all tests where production code is exchanged: the simulation is what is tested here, and the production code
is what it is tested with. What is to be exchanged must be there, with the parameters that the bug knows, or planting fails: a
bug that no longer fits is mended, not skipped. Afterwards all is exactly as it was, whatever happened meanwhile.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from provisioner.lifecycle.steps import Lifecycle

DENSE = "bugs"
"""The scenario in which most bugs are looked for."""


class DoesNotFit(Exception):
    """The production code is not as the bug takes it to be."""


class Place(Protocol):
    """Somewhere in the production code."""

    def look(self) -> Any:
        """What stands there. Raises DoesNotFit: nothing does."""
        ...

    def put(self, thing: Any) -> None:
        """Let that stand there."""
        ...


@dataclass(frozen=True, slots=True)
class Bug:
    """One mistake that somebody could make in a hurry."""

    name: str
    about: str
    """What is wrong, in one sentence."""
    found_by: tuple[str, ...]
    """Names of the checks that may find it."""
    scenario: str
    place: Place
    change: Callable[[Any], Any]
    """From what is right to what is wrong. Raises DoesNotFit."""


BUGS: dict[str, Bug] = {}
"""Every bug by its name; modules beside this one fill it."""


def planted_in(
    owner: object, member: str, *, found_by: tuple[str, ...], scenario: str = DENSE
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the function below known as a bug that takes the place of that function of a module, or method of a class.

    Where other modules import a function by its name, `owner` is the module that uses it.
    """
    return _known_as_bug(Member(owner, member), wrong_function, found_by=found_by, scenario=scenario)


def planted_in_step(
    table: Lifecycle[Any], step: str, *, part: str = "do", found_by: tuple[str, ...], scenario: str = DENSE
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """As `planted_in`, for what a step of a table does, or for its undo."""
    return _known_as_bug(StepPart(table, step, part), wrong_function, found_by=found_by, scenario=scenario)


def planted_as_value(
    owner: object, member: str, *, found_by: tuple[str, ...], scenario: str = DENSE
) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Make the function below known as a bug that makes a wrong value from the right one."""
    return _known_as_bug(Member(owner, member), lambda wrong: wrong, found_by=found_by, scenario=scenario)


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """The bug is in the production code of this process.

    Raises:
        DoesNotFit: it cannot be planted; nothing was changed.
    """
    right = bug.place.look()
    wrong = bug.change(right)
    bug.place.put(wrong)
    try:
        yield
        if bug.place.look() is not wrong:
            raise DoesNotFit(f"somebody else changed {bug.place} meanwhile")
    finally:
        bug.place.put(right)


@dataclass(frozen=True, slots=True)
class Member:
    """Of a module, a class or an object."""

    owner: Any
    name: str

    def look(self) -> Any:
        try:
            return vars(self.owner)[self.name]
        except KeyError:
            raise DoesNotFit(f"there is no {self}") from None

    def put(self, thing: Any) -> None:
        setattr(self.owner, self.name, thing)

    def __str__(self) -> str:
        return f"{getattr(self.owner, '__name__', type(self.owner).__name__)}.{self.name}"


@dataclass(frozen=True, slots=True)
class StepPart:
    """`do` or `undo` of a step."""

    table: Lifecycle[Any]
    step: str
    part: str

    def look(self) -> Any:
        if self.step not in self.table.by_name:
            raise DoesNotFit(f"the table has no step {self.step}")
        return getattr(self.table.by_name[self.step], self.part)

    def put(self, thing: Any) -> None:
        step = self.table.by_name[self.step]
        object.__setattr__(step, self.part, thing)


def _known_as_bug(
    place: Place, change_by: Callable[[Callable[..., Any]], Callable[[Any], Any]], *, found_by: tuple[str, ...], scenario: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def known(wrong: Callable[..., Any]) -> Callable[..., Any]:
        name, about = wrong.__name__.replace("_", "-"), inspect.getdoc(wrong) or ""
        assert name not in BUGS and about, name
        BUGS[name] = Bug(name, about, found_by, scenario, place, change_by(wrong))
        return wrong

    return known


def wrong_function(wrong: Callable[..., Any]) -> Callable[[Any], Any]:
    """What is right is its first argument; the others are those of what is right, by name."""

    def change(right: Any) -> Any:
        inner = right.__func__ if isinstance(right, staticmethod) else right
        if not inspect.isfunction(inner):
            raise DoesNotFit(f"{wrong.__name__} takes the place of a function, and there is {right!r}")
        expected, found = _parameters(wrong)[1:], _parameters(inner)
        if expected != found:
            raise DoesNotFit(f"{wrong.__name__} knows the parameters {expected} of {inner.__qualname__}, which are {found}")

        @functools.wraps(inner)
        def planted_function(*args: Any, **kwargs: Any) -> Any:
            return wrong(inner, *args, **kwargs)

        return staticmethod(planted_function) if isinstance(right, staticmethod) else planted_function

    return change


def _parameters(function: Callable[..., Any]) -> list[tuple[str, str]]:
    return [(each.name, str(each.kind)) for each in inspect.signature(function).parameters.values()]
