"""Values of the wrong JSON type, found as KubeVirt's mutator finds them: by the schema, before the API server looks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.kubernetes.kubevirt.fields import Document
from tests.kubernetes.kubevirt.refusals import Cause

NAMES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


def mistyped(document: Document, schema: Document) -> list[Cause]:
    """One cause for each value of the spec that the schema has another type for."""
    spec = schema.get("properties", {}).get("spec", {})
    return list(_walk(document.get("spec"), spec, "spec"))


def _walk(value: Any, schema: Document, path: str) -> Iterator[Cause]:
    wanted = schema.get("type")
    if value is None or wanted is None:
        return
    found = next(name for kind, name in NAMES if isinstance(value, kind))
    if found != wanted and not (wanted == "number" and found == "integer"):
        yield Cause(f'{path} in body must be of type {wanted}: "{found}"', path, reason="FieldValueTypeInvalid")
    elif wanted == "object":
        properties = schema.get("properties") or {}
        for name, each in value.items():
            if name in properties:
                yield from _walk(each, properties[name], f"{path}.{name}")
    elif wanted == "array":
        for each in value:
            yield from _walk(each, schema.get("items") or {}, path)
