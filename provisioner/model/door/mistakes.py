"""Mistakes and warnings: what is wrong, where, what is allowed, and what was probably meant.

A `Findings` collects them for one file. It never raises; whoever owns the file asks at the end. The number kept is bounded, so
that a hostile file cannot make its own report its weapon.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from provisioner.model.door.nodes import Position, shown
from provisioner.model.errors import InvalidDocuments

MOST_MISTAKES = 1_000
_MOST_ALLOWED = 12


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to correct, or, among the warnings, one to know."""

    file: str
    position: Position
    document: int
    """Counts from 1; 0: the file as a whole."""
    path: str
    """`spec.gpus[0].name`; empty: the document as a whole."""
    message: str
    allowed: tuple[str, ...] = ()
    did_you_mean: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The mistake as data; `allowed` and `did_you_mean` only where there are any."""
        data: dict[str, Any] = {
            "file": self.file,
            "line": self.position.line,
            "column": self.position.column,
            "document": self.document,
            "path": self.path,
            "message": self.message,
        }
        if self.allowed:
            data["allowed"] = _some(self.allowed)
        if self.did_you_mean:
            data["did_you_mean"] = self.did_you_mean
        return data


@dataclass(slots=True)
class Findings:
    """Collects what is found in one file."""

    file: str
    lines: tuple[str, ...] = ()
    """The file's lines, to map a line inside a block to one of the file."""
    shift: tuple[int, int] = (0, 0)
    """Lines and columns that stand before the text read, where it is a block of a larger file."""
    mistakes: list[Mistake] = field(default_factory=list)
    warnings: list[Mistake] = field(default_factory=list)
    noted: int = 0
    """How often a mistake was noted, repetitions included."""
    left_out: int = 0
    """Mistakes beyond the limit: counted, not kept."""

    def note(self, mistake: Mistake, *, warning: bool = False) -> None:
        """Keep a mistake (or warning) unless there are too many already."""
        kept = self.warnings if warning else self.mistakes
        self.noted += not warning
        if len(kept) < MOST_MISTAKES:
            if mistake not in kept[-50:]:  # what an alias repeats is said once
                kept.append(mistake)
        elif not warning:
            self.left_out += 1

    def position(self, line: int, column: int) -> Position:
        """Where a line and column of the text read (from 1) are in the file."""
        return Position(line + self.shift[0], column + self.shift[1])

    def at(self, position: Position, message: str, *, document: int = 0, path: str = "") -> None:
        """Keep a mistake of the file or of a whole document."""
        self.note(Mistake(self.file, position, document, path, message))

    def raise_if_any(self) -> None:
        """Raise what was found.

        Raises:
            InvalidDocuments: there is at least one mistake.
        """
        if self.mistakes:
            raise self.as_error()

    def ordered_warnings(self) -> tuple[Mistake, ...]:
        """The warnings, in the order of the file."""
        return tuple(_ordered(self.warnings))

    def as_error(self) -> InvalidDocuments:
        """Every mistake in one error, in the order of the file."""
        ordered = _ordered(self.mistakes)
        count = len(ordered) + self.left_out
        return InvalidDocuments(
            f"{count} mistake{'s' if count != 1 else ''} in {self.file}",
            why=f"line {ordered[0].position.line}: {ordered[0].message}" if count == 1 else "",
            hint=f"the first {MOST_MISTAKES} are shown" if self.left_out else "",
            context={"mistakes": [mistake.as_dict() for mistake in ordered]},
        )


def _ordered(mistakes: list[Mistake]) -> list[Mistake]:
    return sorted(mistakes, key=lambda mistake: (mistake.position.line, mistake.position.column))


def invalid(file: str, message: str, *, position: Position = Position(1, 1)) -> InvalidDocuments:
    """The error of a file that cannot even be read as documents."""
    findings = Findings(file)
    findings.at(position, message)
    return findings.as_error()


def listing(words: Iterable[str]) -> str:
    """Words for a sentence: at most twelve, then how many more."""
    return ", ".join(_some(tuple(words)))


def quoted(word: str) -> str:
    """A word from outside in a sentence."""
    return shown(word)


def _some(words: tuple[str, ...]) -> list[str]:
    if len(words) <= _MOST_ALLOWED:
        return list(words)
    return [*words[:_MOST_ALLOWED], f"… and {len(words) - _MOST_ALLOWED} more"]
