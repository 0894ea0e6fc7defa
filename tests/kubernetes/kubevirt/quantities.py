"""Quantities of Kubernetes, as far as virtual machines use them. Pure."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

MIB = 1024**2
_UNITS = {
    "Ki": 1024,
    "Mi": MIB,
    "Gi": 1024**3,
    "Ti": 1024**4,
    "Pi": 1024**5,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
}


def size_bytes(text: object) -> int:
    """Raises ValueError for what is no quantity."""
    return int(_value(str(text)))


def cpu_milli(text: object) -> int:
    """Thousandths of a processor; raises ValueError."""
    return int(_value(str(text)) * 1000)


def memory(size: int) -> str:
    """As KubeVirt writes it: whole MiB where it can be."""
    return f"{size // MIB}Mi" if size % MIB == 0 else str(size)


def _value(text: str) -> Decimal:
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return _number(text.removesuffix(unit)) * factor
    return _number(text.removesuffix("m")) / 1000 if text.endswith("m") else _number(text)


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is no quantity") from error
