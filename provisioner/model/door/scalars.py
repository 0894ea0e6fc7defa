"""Readers of single values: text, booleans, whole numbers, quantities, one of a few words.

A field's type decides, never the look of the value. A text field takes what is written, so `1234:1111` and `5` stay text. A
boolean is `true` or `false` and nothing else: `yes`, `no`, `on` and `off` are booleans for YAML 1.1 and text for YAML 1.2, so
two tools would read one file differently. A number is decimal for the same reason: `022`, `0x16`, `22:22`, `1e3` are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from provisioner.model import quantities
from provisioner.model.door.nodes import ScalarNode, describe, shown
from provisioner.model.door.placeholders import is_placeholder
from provisioner.model.door.places import Place
from provisioner.model.suggestions import nearest

_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_MEANT_TRUE = frozenset({"yes", "y", "on", "1", "enabled", "true"})
_MEANT_FALSE = frozenset({"no", "n", "off", "0", "disabled", "false"})
_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})", re.ASCII)
_LONGEST_TEXT = 4096


def text(place: Place | None, default: str = "", *, longest: int = _LONGEST_TEXT) -> str:
    """The text as written; a placeholder is a mistake."""
    found = verbatim(place, default, longest=longest)
    if place is not None and is_placeholder(found):
        place.mistake(f"{shown(found)} is a placeholder from a document; put the real value here")
        return default
    return found


def verbatim(place: Place | None, default: str = "", *, longest: int = _LONGEST_TEXT) -> str:
    """The text as written, whatever it says."""
    if place is None:
        return default
    if not isinstance(place.node, ScalarNode):
        place.mistake(f"must be text, not {describe(place.node)}")
        return default
    if len(place.node.text) > longest:
        place.mistake(f"at most {longest:,} characters, not {len(place.node.text):,}")
        return default
    return place.node.text


def boolean(place: Place | None, default: bool = False) -> bool:  # noqa: FBT001 (the default is the value, not a switch)
    """`true` or `false`."""
    if place is None:
        return default
    node = place.node
    if isinstance(node, ScalarNode) and not node.is_text and node.text in _BOOLEANS and node.tag in {"", "bool"}:
        return _BOOLEANS[node.text]
    meant = node.text.lower() if isinstance(node, ScalarNode) else ""
    suggestion = "true" if meant in _MEANT_TRUE else "false" if meant in _MEANT_FALSE else None
    without = ", without quotes" if meant in {"true", "false"} else ""
    place.mistake(f"must be true or false{without}, not {describe(node)}", allowed=("true", "false"), did_you_mean=suggestion)
    return default


def integer(place: Place | None, default: int, *, least: int = 0, most: int = 2**31 - 1) -> int:
    """A whole decimal number within bounds."""
    if place is None:
        return default
    node = place.node
    if not isinstance(node, ScalarNode) or node.is_text or not _INTEGER.fullmatch(node.text):
        place.mistake(*_no_integer(place))
        return default
    value = int(node.text)
    if not least <= value <= most:
        place.mistake(f"must be between {least} and {most}, not {value}")
        return default
    return value


def one_of(place: Place | None, allowed: Collection[str], *, default: str) -> str:
    """One of a few words, in their spelling."""
    if place is None:
        return default
    value = verbatim(place, default)
    if value in allowed:
        return value
    if isinstance(place.node, ScalarNode):
        place.mistake(f"{shown(value)} is not allowed here", allowed=allowed, did_you_mean=nearest(value, allowed))
    return default


def size(place: Place | None, default: str, *, least: str = "1Mi", most: str = "1Pi") -> str:
    """A quantity of bytes, as written; a number without a unit counts bytes, so nearly always the unit was forgotten."""
    if place is None:
        return default
    written = text(place, default)
    value = _converted(place, written, quantities.bytes_of)
    if value is None:
        return default
    if value < quantities.bytes_of(least):
        guess = f"{written.strip()}Gi" if written.strip().isdigit() else None
        place.mistake(
            f"{written.strip()} is {value:,} bytes, less than {least}, the least that makes sense", did_you_mean=guess
        )
        return default
    if value > quantities.bytes_of(most):
        place.mistake(f"{written.strip()} is more than {most}, the most that is accepted")
        return default
    return written.strip()


def whole_quantity(place: Place | None, *, least: int = 1, most: int = 1024) -> int | None:
    """A count that may be written as a quantity (`4`, `"4"`, `4000m`); an empty text is no value."""
    if place is None or (isinstance(place.node, ScalarNode) and place.node.text == ""):
        return None
    written = text(place)
    value = _converted(place, written, quantities.whole_number_of)
    if value is not None and not least <= value <= most:
        place.mistake(f"must be between {least} and {most}, not {written.strip()}")
        return None
    return value


def _converted(place: Place, written: str, convert: Callable[[str], int]) -> int | None:
    if not isinstance(place.node, ScalarNode) or is_placeholder(written):
        return None  # noted already
    try:
        return convert(written)
    except ValueError as error:
        place.mistake(str(error).replace("'", '"'))
        return None


def _no_integer(place: Place) -> tuple[str]:
    """Why a value is no decimal number, with what to write."""
    node = place.node
    if not isinstance(node, ScalarNode):
        return (f"must be a whole number, not {describe(node)}",)
    if node.is_text and _INTEGER.fullmatch(node.text):
        return (f"must be a whole number, not the text {shown(node.text)}; write it without quotes",)
    if re.fullmatch(r"[0-9]+(:[0-9]+)+", node.text, re.ASCII) and len(node.text) < 40:
        return (f"{node.text} is a base-60 number in YAML 1.1 and text in YAML 1.2; one whole number is expected",)
    if re.fullmatch(r"0[0-7]+|0o[0-7]+", node.text, re.ASCII) and len(node.text) < 20:
        return (
            f"{node.text} is octal in one version of YAML and not in the other; write {int(node.text.lstrip('0o') or '0')}",
        )
    return (f"must be a whole decimal number, not {describe(node)}",)
