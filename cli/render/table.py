"""Tables as kubectl writes them: titles in capitals, three spaces between columns, no spaces inside a cell, nothing cut off.

Only a last column that holds sentences may have spaces: nothing stands behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Item = Mapping[str, Any]
NONE = "<none>"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title, and the cell's text from an object and the present time in seconds."""

    title: str
    cell: Callable[[Item, float], str]
    wide: bool = False
    """Shown with `-o wide` only."""


def table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, with_titles: bool = True, ends_in_sentences: bool = False
) -> str:
    """Lines of aligned columns; the last column is not padded."""
    cells = [[_cell(text) for text in row] for row in rows]
    if ends_in_sentences:
        cells = [[*line[:-1], _sentence(row[-1])] for line, row in zip(cells, rows, strict=True)]
    lines = [list(titles), *cells] if with_titles else cells
    widths = [max(map(len, column)) for column in zip(*[list(titles), *cells], strict=True)]
    return "".join(
        "   ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )


def columns_table(
    columns: Sequence[Column], items: Sequence[Item], *, now_s: float, wide: bool, with_titles: bool = True
) -> str:
    """A table of objects."""
    shown = [column for column in columns if wide or not column.wide]
    rows = [[column.cell(item, now_s) for column in shown] for item in items]
    return table([column.title for column in shown], rows, with_titles=with_titles)


def _cell(text: str) -> str:
    return "_".join(_printable(text).split()) or NONE


def _sentence(text: str) -> str:
    return _printable(" ".join(text.split())) or NONE


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
