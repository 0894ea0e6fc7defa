"""Kubernetes objects as they travel, in plain JSON: reading fields that may be absent, and who owns whom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name; the namespace of what is in none is empty."""


def at(document: Any, *path: str, default: Any = None) -> Any:
    """What stands at this path, or the default where a step is absent, null or no mapping."""
    for step in path:
        if not isinstance(document, dict) or document.get(step) is None:
            return default
        document = document[step]
    return document


def items(document: Any, *path: str) -> list[Any]:
    """The list at this path; an empty one where there is none."""
    found = at(document, *path, default=[])
    return found if isinstance(found, list) else []


def key_of(document: Document) -> Key:
    return (at(document, "metadata", "namespace", default=""), document["metadata"]["name"])


def uid_of(document: Document) -> str:
    return str(at(document, "metadata", "uid", default=""))


def is_deleting(document: Document | None) -> bool:
    return at(document, "metadata", "deletionTimestamp") is not None


def finalizers_of(document: Document) -> list[str]:
    return items(document, "metadata", "finalizers")


def controller_of(document: Document) -> Document | None:
    """The owner reference that says `controller: true`."""
    return next((owner for owner in items(document, "metadata", "ownerReferences") if owner.get("controller")), None)


def owner_reference(owner: Document) -> Document:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def stamp(moment: datetime | None = None) -> str:
    """A time of Kubernetes: UTC, whole seconds."""
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
