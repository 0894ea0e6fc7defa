"""How two documents differ, as sentences: `spec.gpus[0].name: A -> B`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

VALUE_LENGTH_MAX = 80
PRIVATE = frozenset({"cloudInit"})
"""Fields whose text may hold passwords: that they differ is said, not how."""
_ABSENT = object()


def differences(old: Any, new: Any, *, path: str = "") -> Iterator[str]:
    """Every leaf that differs, in the order of the documents."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in [*old, *(name for name in new if name not in old)]:
            below = f"{path}.{name}" if path else str(name)
            yield from differences(old.get(name, _ABSENT), new.get(name, _ABSENT), path=below)
    elif _is_list(old) and _is_list(new) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from differences(left, right, path=f"{path}[{index}]")
    elif old != new:
        shown = _measured if path.rpartition(".")[2] in PRIVATE else _shown
        yield f"{path}: {shown(old)} -> {shown(new)}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _measured(value: Any) -> str:
    return f"({len(value):,} characters)" if isinstance(value, str) and value else "(unset)"


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "(unset)"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_LENGTH_MAX else text[:VALUE_LENGTH_MAX] + "…"
