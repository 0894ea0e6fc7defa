"""Additions to a schema by path: `spec.gpus[].name`, `spec.nodeGroups{}.diskSize`, and the empty path for the whole object.

`[]` steps into the items of a list, `{}` into the values of a mapping. A patch replaces the keys that it has; None takes a key
away; rules (`x-kubernetes-validations`) are added to those that are there. A property that is not there yet is made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, TypeAlias

from provisioner.store.kubernetes.crds.schema import Schema

Patch: TypeAlias = Mapping[str, Any]
RULES = "x-kubernetes-validations"
_STEP = re.compile(r"[^.\[\]{}]+|\[\]|\{\}")
_FIRST = ("description", "type", "format", "enum", "default", "required")
_LAST = (RULES, "additionalProperties", "items", "properties")
_ORDER = (*_FIRST, "", *_LAST)
_INTO = {"[]": "items", "{}": "additionalProperties"}


def apply(schema: Schema, patches: Mapping[str, Patch]) -> None:
    """Change the schema in place, in the order of the patches."""
    for path, patch in patches.items():
        node = _node(schema, path)
        for key, value in patch.items():
            if value is None:
                node.pop(key, None)
            elif key == RULES:
                node[key] = [*node.get(key, ()), *deepcopy(value)]
            else:
                node[key] = deepcopy(value)


def below(prefix: str, patches: Mapping[str, Patch]) -> dict[str, Patch]:
    """The same patches for a part that stands at `prefix`; the empty path is the part itself."""
    return {
        f"{prefix}.{path}" if path and not path.startswith(("[", "{")) else prefix + path: patch
        for path, patch in patches.items()
    }


def ordered(schema: Schema) -> Schema:
    """The same with the keys of every place in the order in which one reads them: what it is first, what is below it last."""
    order = sorted(schema, key=lambda key: _ORDER.index(key) if key in _ORDER else len(_FIRST))
    return {key: _ordered_below(key, schema[key]) for key in order}


def _ordered_below(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: ordered(child) for name, child in value.items()}
    return ordered(value) if key in _INTO.values() else value


def _node(schema: Schema, path: str) -> Schema:
    for step in _STEP.findall(path):
        schema = schema[_INTO[step]] if step in _INTO else schema.setdefault("properties", {}).setdefault(step, {})
    return schema
