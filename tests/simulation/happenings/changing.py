"""How a user or an operator writes: on the object as it is at this moment; what the store refuses is left as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from provisioner.model.errors import Conflict, InvalidInput, NotFound
from provisioner.model.metadata import Key, Resource
from tests.simulation.universe import Universe

R = TypeVar("R", bound=Resource)


def done(act: Callable[[], object]) -> bool:
    """Do it; says whether it was taken. A name that is taken is a Conflict too."""
    try:
        act()
    except (Conflict, NotFound, InvalidInput):
        return False
    return True


def edit(universe: Universe, resource: Resource, **changes: Any) -> bool:
    """Change these fields of its spec."""
    spec = resource.spec.model_copy(update=changes)
    return done(lambda: universe.store.update(resource.model_copy(update={"spec": spec})))


def annotate(universe: Universe, resource: Resource, **annotations: str) -> bool:
    """Write these annotations beside those that it has."""
    changed = resource.with_metadata(annotations=resource.metadata.annotations | annotations)
    return done(lambda: universe.store.update(changed))


def on(universe: Universe, kind: type[R], key: Key, act: Callable[[R], object]) -> bool:
    """Act on the object of that name as it is now; False if it is gone or being deleted."""
    try:
        found = universe.store.get(kind, key.name, namespace=key.namespace)
    except NotFound:
        return False
    return not found.is_being_deleted and bool(act(found))
