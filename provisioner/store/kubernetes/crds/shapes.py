"""Shapes that several kinds share: names, words, quantities, and texts that may stand in place of mappings.

The sentences are those of `hikube validate`. Every text that a rule reads has a length, and every list and mapping a number of
members: the API server estimates what a rule could cost at most and refuses a definition whose rules could cost too much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from provisioner.model.door.gpus import MOST_GPUS
from provisioner.model.names import LONGEST_LABEL
from provisioner.store.kubernetes.crds.patches import RULES, Patch
from provisioner.store.kubernetes.crds.schema import PRESERVE, Schema

LABEL = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
NAME_SENTENCE = "a name has lower-case letters, digits and '-' only, and begins and ends with a letter or digit"
QUANTITY = r"^\+?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([EPTGMK]i|[numkMGTPE]|[eE][+-]?[0-9]{1,3})?$"
_WORD = "^[A-Za-z0-9][A-Za-z0-9+._-]{0,62}$"
_DURATION = r"^([0-9]{1,9}(\\.[0-9]{1,9})?(ms|s|m|h))+$"
_SHARE = "^([0-9]{1,6}|(100|[0-9]{1,2})%)$"
_UNITS = "Ki, Mi, Gi, Ti (powers of 1024) or k, M, G, T (powers of 1000)"
_SAID = "string(self).trim()"
_LONGEST_QUANTITY = 64
INT_OR_STRING = "x-kubernetes-int-or-string"


def rule(condition: str, message: str = "", *, says: str = "", at: str = "") -> dict[str, str]:
    """A rule in CEL with its message, or with an expression that says it; `at` is the field below that is to blame.

    The API server repeats the value of a field whose own rule does not hold: what may be secret is checked from above.
    """
    parts = {"rule": condition, "message": message, "messageExpression": says, "fieldPath": f".{at}" if at else ""}
    return {key: part for key, part in parts.items() if part}


def quoted(text: str) -> str:
    """A text of CEL that stands for exactly this one."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def matching(pattern: str, sentence: str, *, longest: int) -> Schema:
    """A text of a form of its own; empty is no value. The message repeats the text and says what it should be."""
    return {
        "maxLength": longest,
        RULES: [rule(f"self == '' || self.matches('{pattern}')", says=f"'\"' + self + '\"' + {quoted(sentence)}")],
    }


def name(*, longest: int = LONGEST_LABEL) -> Schema:
    """The name of an object."""
    return matching(LABEL, f": {NAME_SENTENCE}", longest=longest)


def word() -> Schema:
    """A short word without blanks."""
    return matching(_WORD, ": only letters, digits, '+', '.', '_' and '-', at most 63", longest=63)


def duration() -> Schema:
    """As Go writes it."""
    return matching(_DURATION, " is no duration such as 20m, 90s or 1h30m", longest=64)


def share() -> Schema:
    """A number or a percentage; a number may be written as one."""
    sentence = quoted(" is neither a number nor a percentage such as 50%")
    said = f"string(self) == '' || string(self).matches('{_SHARE}')"
    return _int_or_string([rule(said, says=f"'\"' + string(self) + '\"' + {sentence}")])


def percentage_or_quantity() -> Schema:
    """A quantity, or a part of the whole; empty is no value."""
    sentence = quoted(" is neither a quantity such as 200Mi nor a percentage such as 7%")
    said = f"{_SAID} == '' || isQuantity({_SAID}) || {_SAID}.matches('{_SHARE}')"
    return _int_or_string([rule(said, says=f"'\"' + {_SAID} + '\"' + {sentence}")])


def quantity() -> Schema:
    """A quantity of anything; empty is no value."""
    return _int_or_string([_is_quantity()])


def size(*, least: str, most: str) -> Schema:
    """A quantity of bytes within bounds; empty is no value."""
    bounded = f"{_SAID} == '' || !isQuantity({_SAID}) || quantity({_SAID}).compareTo(quantity('{{}}')) {{}} 0"
    return _int_or_string(
        [
            _is_quantity(),
            rule(bounded.format(least, ">="), says=f"{_SAID} + ' is less than {least}, the least that makes sense'"),
            rule(bounded.format(most, "<="), says=f"{_SAID} + ' is more than {most}, the most that is accepted'"),
        ]
    )


def count(*, most: int) -> Schema:
    """A number that may be written as a quantity; empty is no value."""
    whole = f"({_SAID}.matches('^[0-9]+(\\\\.0*|000m)?$') || isQuantity({_SAID}) && quantity({_SAID}).isInteger())"
    within = f"quantity({_SAID}).compareTo(quantity('1')) >= 0 && quantity({_SAID}).compareTo(quantity('{most}')) <= 0"
    says = f"'must be a whole number between 1 and {most}, not ' + {_SAID}"
    return _int_or_string([rule(f"{_SAID} == '' || ({whole} && {within})", says=says)])


def text_or(
    properties: Mapping[str, Schema], *, forms: Iterable[Iterable[str]], numbers_too: bool = False, description: str
) -> Schema:
    """A text, or a mapping whose keys are exactly one of `forms`.

    A structural schema has one type at every place, and no type only where unknown fields are kept; no rule in CEL sees such
    a place. So its value is pinned down from outside: what is no mapping has no properties, and a mapping with as many
    properties as it is required to have has no others. Lists, booleans and numbers are made impossible.
    """
    return {
        "description": description,
        PRESERVE: True,
        "properties": dict(properties),
        "not": {"enum": [True, False]},
        "minItems": 1,
        "maxItems": 0,
        **({} if numbers_too else {"minimum": 1, "maximum": 0}),
        "anyOf": [_exactly(form) for form in forms],
    }


def forms_with(one_of: Iterable[str], *, among: Iterable[str]) -> list[tuple[str, ...]]:
    """Every set of keys that has at least one of these, and otherwise only what is among those."""
    keys, wanted = tuple(among), frozenset(one_of)
    chosen = (form for number in range(1, len(keys) + 1) for form in combinations(keys, number))
    return [form for form in chosen if wanted & frozenset(form)]


def digest() -> Schema:
    """A SHA-256; may be empty."""
    sentence = " is no SHA-256, which has 64 hexadecimal digits"
    return matching("^(sha256:)?[0-9a-fA-F]{64}$", sentence, longest=128)


def same(older: str, newer: str) -> dict[str, str]:
    """That an older name of a field does not say something else than the newer one."""
    both = f"!has(self.{older}) || !has(self.{newer}) || string(self.{older}) == string(self.{newer})"
    return rule(both, f"{older} and {newer} say the same with different values; leave {older} out", at=older)


def grows(*, parent: str, where: str = "true") -> dict[str, str]:
    """That a size below `parent` (an expression with `{}` for the object), under either name, never gets less."""
    new, old = parent.format("self"), parent.format("oldSelf")
    given = " && ".join(f"(has({each}.storage) || has({each}.size))" for each in (new, old))
    storage = "(has({0}.storage) ? string({0}.storage) : string({0}.size))"
    now, before = storage.format(new), storage.format(old)
    known = f"{given} && isQuantity({now}) && isQuantity({before})"
    return rule(
        f"!({where} && {known}) || quantity({now}).compareTo(quantity({before})) >= 0",
        says=f"'a disk can only grow: storage is ' + {before} + ', not ' + {now}",
    )


def gpus(description: str) -> dict[str, Patch]:
    """Patches of a list of GPUs, in every spelling that the catalogue knows or an operator may add."""
    generic = "['gpu', 'nvidia', 'any']"
    bare = "self.lowerAscii().replace('nvidia.com/', '')"
    no_model = quoted(" names no model of GPU; say which")
    return {
        "gpus": {"description": description, "maxItems": MOST_GPUS},
        "gpus[].name": {
            "description": "The model: a resource name (nvidia.com/AD102GL_L40S), a short name (L40S), or vendor:device.",
            "minLength": 1,
            "maxLength": 253,
            RULES: [rule(f"!({bare} in {generic})", says=f"'\"' + self + '\"' + {no_model}")],
        },
    }


def described(
    description: str, shape: Mapping[str, Any] | None = None, *, rules: Iterable[Mapping[str, str]] = (), **more: Any
) -> Schema:
    """A patch with a description, a shape, rules, and keys of its own."""
    made = {"description": description, **(shape or {}), **more}
    return made | ({RULES: list(rules)} if rules else {})


def _is_quantity() -> dict[str, str]:
    said = f"{_SAID} == '' || (isQuantity({_SAID}) && !{_SAID}.startsWith('-'))"
    sentence = quoted(f" is no quantity; write a number and a unit, such as 200Gi: {_UNITS}")
    return rule(said, says=f"'\"' + {_SAID} + '\"' + {sentence}")


def _int_or_string(rules: list[dict[str, str]]) -> Schema:
    return {"type": None, "format": None, INT_OR_STRING: True, "maxLength": _LONGEST_QUANTITY, RULES: rules}


def _exactly(form: Iterable[str]) -> Schema:
    keys = sorted(form)
    return {"required": keys, "maxProperties": len(keys)} if keys else {"maxProperties": 0}
