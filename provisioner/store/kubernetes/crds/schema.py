"""A structural schema from a class of the model: what its `as_json()` writes, with types, enums, defaults and descriptions.

An API server asks for a type at every place and refuses `additionalProperties: false`: a field that is not listed is unknown,
which is an error for clients that ask for strict validation, as kubectl does. Free data (Helm values) is the one exception.
"""

from __future__ import annotations

import enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo

from provisioner.model.metadata import Condition, Part
from provisioner.model.pci import PciAddress
from provisioner.store.kubernetes.crds.docstrings import class_docstring, field_docstrings

Schema: TypeAlias = dict[str, Any]

PRESERVE = "x-kubernetes-preserve-unknown-fields"
PCI_ADDRESS = r"^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$"
_SCALARS: dict[type, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "format": "int64"},
    float: {"type": "number", "format": "double"},
}


def schema_of(part: type[Part], *, with_defaults: bool) -> Schema:
    """The schema of a class.

    Args:
        part: The class.
        with_defaults: Whether the API server fills in what the class fills in: for specs, never for statuses.
    """
    hints = get_type_hints(part, include_extras=True)
    strings = field_docstrings(part)
    properties: Schema = {}
    required: list[str] = []
    for name, field in part.model_fields.items():
        title = field.alias or name
        schema = _described(_of(hints[name], with_defaults=with_defaults), strings.get(name, ""))
        default = _default(field) if with_defaults else None
        properties[title] = schema if default is None else schema | {"default": default}
        if field.is_required():
            required.append(title)
    schema = _described({"type": "object"}, class_docstring(part))
    schema |= {"required": required} if required else {}
    return schema | ({"properties": properties} if properties else {})


def _of(hint: Any, *, with_defaults: bool) -> Schema:
    """The schema of one annotation."""
    if hint == PciAddress:
        return {"type": "string", "pattern": PCI_ADDRESS}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _of(arguments[0], with_defaults=with_defaults)
    if origin in (Union, UnionType):
        [inner] = [each for each in arguments if each is not NoneType]  # a field that may be None is left out where it is
        return _of(inner, with_defaults=with_defaults)
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is tuple:
        return _array(arguments[0], with_defaults=with_defaults)
    if origin is dict:
        return _mapping(arguments[1], with_defaults=with_defaults)
    if hint is Any:
        return {PRESERVE: True}
    if issubclass(hint, enum.Enum):
        return _words(hint)
    return schema_of(hint, with_defaults=with_defaults) if issubclass(hint, Part) else dict(_SCALARS[hint])


def _array(hint: Any, *, with_defaults: bool) -> Schema:
    array: Schema = {"type": "array", "items": _of(hint, with_defaults=with_defaults)}
    if hint is Condition:
        array |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return array


def _mapping(hint: Any, *, with_defaults: bool) -> Schema:
    if hint is Any:
        return {"type": "object", PRESERVE: True}
    return {"type": "object", "additionalProperties": _of(hint, with_defaults=with_defaults)}


def _words(hint: type[enum.Enum]) -> Schema:
    """An enum, with what its class and its members say of themselves."""
    said = [f"{member.value}: {text}" for member in hint if (text := field_docstrings(hint).get(member.name))]
    return _described({"type": "string", "enum": [member.value for member in hint]}, " ".join([class_docstring(hint), *said]))


def _default(field: FieldInfo) -> Any:
    """The constant that the class fills in, in its JSON form; None for what is required, empty, or no constant."""
    value = None if field.is_required() else field.default
    if isinstance(value, tuple):
        return [item.as_json() if isinstance(item, Part) else item for item in value] or None
    if isinstance(value, enum.Enum):
        return value.value
    return value if isinstance(value, bool | int) or (isinstance(value, str) and value) else None


def _described(schema: Schema, description: str) -> Schema:
    return (
        {"description": description, **{key: value for key, value in schema.items() if key != "description"}}
        if description
        else schema
    )
