"""Did you mean: the nearest known word to a misspelt one. Bounded: long words are never compared.

Case, and `-`, `_`, `.` and spaces, count for less than letters: `vmdisk` finds `VMDisk`, `run_strategy` finds `runStrategy`.
"""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST_WORD = 80
_SHORT_WORD = 4
_NEAR, _NEAR_FOR_SHORT = 0.72, 0.65
"""Share of letters in common; one slip in a word of three letters leaves two thirds."""
_SEPARATORS = str.maketrans("", "", "-_. ")


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` was probably meant to be, or None if none is near."""
    if not word or len(word) > _LONGEST_WORD:
        return None
    folded: dict[str, str] = {}
    for candidate in candidates:
        if candidate:
            folded.setdefault(_fold(candidate), candidate)
    wanted = _fold(word)
    if wanted in folded:
        return folded[wanted]
    from difflib import get_close_matches  # only a mistake pays for it

    close = get_close_matches(wanted, list(folded), n=1, cutoff=_NEAR if len(wanted) > _SHORT_WORD else _NEAR_FOR_SHORT)
    return folded[close[0]] if close else None


def _fold(word: str) -> str:
    return word.lower().translate(_SEPARATORS) or word
