"""Kubernetes quantities: `200Gi`, `1.5G`, `2e3`, `500m`; the only place that turns them into numbers and back.

Arithmetic is exact (fractions of integers, never floats). Input is bounded in length and exponent, so that no text can make a
number of a million digits.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

KIB, MIB, GIB = 1024, 1024**2, 1024**3
MAXIMUM_BYTES = 2**63 - 1

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_QUANTITY = re.compile(
    r"(?P<number>[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?P<suffix>[EPTGMK]i|[numkMGTPE]|[eE][+-]?[0-9]{1,3}|)",
    re.ASCII,
)
_SUFFIXES = "Ki, Mi, Gi, Ti (powers of 1024) or k, M, G, T (powers of 1000)"


@lru_cache(maxsize=1024)
def amount_of(text: str) -> Fraction:
    """The exact number that a quantity says.

    Raises:
        ValueError: with a sentence that says what is wrong with the text.
    """
    text = text.strip()
    if len(text) > 64:
        raise ValueError("a quantity has at most 64 characters, such as 200Gi")
    if text.startswith("-"):
        raise ValueError(f"{text!r} is negative")
    matched = _QUANTITY.fullmatch(text.removeprefix("+"))
    if matched is None:
        raise ValueError(_what_is_wrong(text))
    return Fraction(matched["number"].rstrip(".")) * _factor(matched["suffix"])


def bytes_of(text: str) -> int:
    """Whole bytes, rounded up as Kubernetes does.

    Raises:
        ValueError: no quantity, negative, or more than 2^63 - 1.
    """
    exact = amount_of(text)
    whole = -(-exact.numerator // exact.denominator)
    if whole > MAXIMUM_BYTES:
        raise ValueError(f"{text.strip()!r} is more than 8Ei, the largest size there is")
    return whole


def mib_of(text: str) -> int:
    """Whole MiB, rounded up. Raises as `bytes_of`."""
    return -(-bytes_of(text) // MIB)


def whole_number_of(text: str) -> int:
    """A quantity that counts things, such as CPUs: `4`, `4000m`, `4.0`.

    Raises:
        ValueError: no quantity, or not whole.
    """
    exact = amount_of(text)
    if exact.denominator != 1:
        raise ValueError(f"{text.strip()!r} is no whole number")
    return exact.numerator


def format_bytes(size_bytes: int) -> str:
    """The shortest exact binary form up to Ti: `200Gi`, `1536Mi`, `1000` (bytes)."""
    for suffix in ("Ti", "Gi", "Mi", "Ki"):
        if size_bytes and size_bytes % _BINARY[suffix] == 0:
            return f"{size_bytes // _BINARY[suffix]}{suffix}"
    return str(size_bytes)


def _factor(suffix: str) -> Fraction:
    if suffix in _BINARY:
        return Fraction(_BINARY[suffix])
    exponent = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    return Fraction(10) ** exponent


def _what_is_wrong(text: str) -> str:
    """A sentence for a text that is no quantity; the usual slips are named with what to write instead."""
    spelled = re.fullmatch(r"([0-9.]{1,30})\s*([A-Za-z]{1,4})", text, re.ASCII)
    if spelled is None:
        return f"{text!r} is no quantity; write a number and a unit, such as 200Gi: {_SUFFIXES}"
    number, unit = spelled.groups()
    letter = unit[0].upper()
    meant = f"{number}{letter}i" if f"{letter}i" in _BINARY and not number.startswith(".") else "200Gi"
    return f"{text!r} has no unit that Kubernetes knows; write {meant}: {_SUFFIXES}"
