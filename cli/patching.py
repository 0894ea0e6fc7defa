"""Changing some fields of a stored object, again and again until nobody is in the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cli.session import Session, no_such
from provisioner.model.errors import Conflict
from provisioner.model.metadata import Key, Resource

ATTEMPTS = 10


def patch(session: Session, key: Key, change: Callable[[Resource], Resource]) -> bool:
    """Store what `change` makes of the object; False if that is what it was.

    Raises:
        NotFound: it does not exist.
        Conflict: it is being deleted, or others keep changing it.
    """
    for attempt in range(ATTEMPTS):
        stored = session.find(key)
        if stored is None:
            known = [item["metadata"]["name"] for item in session.raw(key.kind, namespace=key.namespace)]
            raise no_such(key.kind, key.name, namespace=key.namespace, known=known)
        if stored.is_being_deleted:
            raise Conflict(f"{key} is being deleted")
        changed = change(stored)
        if changed == stored:
            return False
        try:
            session.store.update(changed)
            return True
        except Conflict:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("every attempt returns or raises")


def patch_spec(session: Session, key: Key, **fields: Any) -> bool:
    """Set fields of the spec. Returns and raises as `patch`."""
    return patch(session, key, lambda stored: stored.model_copy(update={"spec": stored.spec.model_copy(update=fields)}))
