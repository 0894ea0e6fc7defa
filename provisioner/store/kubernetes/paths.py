"""Where the API server has our kinds. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner.model.kinds import WORDS

if TYPE_CHECKING:
    from provisioner.model.metadata import Key


def collection_of(kind: str, namespace: str | None) -> str:
    """All objects of a kind, or those of a namespace."""
    words = WORDS[kind]
    root = f"/apis/{words.api_version}" if "/" in words.api_version else f"/api/{words.api_version}"
    return f"{root}/namespaces/{namespace}/{words.plural}" if namespace and words.is_namespaced else f"{root}/{words.plural}"


def path_of(key: Key) -> str:
    """One object."""
    return f"{collection_of(key.kind, key.namespace)}/{key.name}"
