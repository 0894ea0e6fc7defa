"""Bringing one wanted resource into the store: created, configured or unchanged."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cli.render.differences import differences
from provisioner.model.errors import AlreadyExists, Conflict, NotFound, Unsupported
from provisioner.model.metadata import Metadata, Resource
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.model.vm_disk import VMDisk, forbidden_change, forbidden_size
from provisioner.store.protocol import Store

ATTEMPTS = 5
OURS = "hikube.cloud/"
"""Prefix of annotations that hikube itself keeps; applying a file does not remove them."""
ORDER = ("GPUHost", "GPUQuota", "Image", "VMDisk", "VMInstance", "VirtualMachine")
NODE_GROUPS = ("Kubernetes", "KubernetesNodes")


class Verb(enum.StrEnum):
    """What was done."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Applied:
    """A resource as it is stored now, and what was done."""

    resource: Resource
    verb: Verb
    changes: tuple[str, ...] = ()
    """The fields that differ, old and new, for CONFIGURED."""


def refuse_unreconciled(resources: tuple[Resource, ...]) -> None:
    """Refuse kinds that are understood and that nothing acts on.

    Raises:
        Unsupported: naming them.
    """
    groups = [resource for resource in resources if resource.kind in NODE_GROUPS]
    if groups:
        names = ", ".join(f"{each.kind} {each.metadata.name}" for each in groups)
        raise Unsupported(
            f"nothing reconciles node groups yet: {names}",
            why="the document is valid, but storing it would promise what nobody does",
            hint="`hikube validate` checks such files; `apply` takes every other kind",
        )


def in_order(resources: tuple[Resource, ...]) -> tuple[Resource, ...]:
    """What others need first: hosts, quotas, images, disks, VMs."""
    return tuple(sorted(resources, key=lambda resource: ORDER.index(resource.kind) if resource.kind in ORDER else len(ORDER)))


def put_resource(store: Store, wanted: Resource) -> Applied:
    """Create it, or change the stored one to it. Labels become those given; so do annotations, except hikube's own.

    Raises:
        Unsupported: what is there can never become it, as a disk that would shrink.
        Conflict: it is being deleted, or others keep changing it.
    """
    for attempt in range(ATTEMPTS):
        stored = _stored(store, wanted)
        try:
            if stored is None:
                return Applied(store.create(wanted), Verb.CREATED)
            changed = _changed(stored, wanted)
            _refuse_forbidden(stored, changed)
            if _same(stored, changed):
                return Applied(stored, Verb.UNCHANGED)
            return Applied(store.update(changed), Verb.CONFIGURED, changes_of(stored, changed))
        except Conflict:  # somebody was faster: look again
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("every attempt returns or raises")


def create_resource(store: Store, wanted: Resource) -> Applied:
    """Create it, or find that the same is there already.

    Raises:
        AlreadyExists: one of that name is there with another spec; the facts are in `why`.
    """
    try:
        return Applied(store.create(wanted), Verb.CREATED)
    except AlreadyExists as error:
        stored = _stored(store, wanted)
        if stored is None:
            raise
        asked = stored.model_copy(update={"spec": wanted.spec}).with_metadata(labels=wanted.metadata.labels)
        changes = changes_of(stored, asked)
        if not changes:
            return Applied(stored, Verb.UNCHANGED)
        raise AlreadyExists(
            f"{wanted.key} exists with another spec",
            why="\n".join(changes),
            hint=f"`hikube apply -f` changes it, `hikube delete {wanted.kind.lower()}/{wanted.metadata.name}` removes it; "
            "another name makes another one",
        ) from error


def changes_of(old: Resource, new: Resource) -> tuple[str, ...]:
    """The fields of spec and labels that differ, one sentence each."""
    before = {"spec": old.spec.as_json(), "labels": old.metadata.labels}
    after = {"spec": new.spec.as_json(), "labels": new.metadata.labels}
    return tuple(differences(before, after))


def _stored(store: Store, wanted: Resource) -> Resource | None:
    try:
        stored = store.get(type(wanted), wanted.metadata.name, namespace=wanted.metadata.namespace)
    except NotFound:
        return None
    if stored.is_being_deleted:
        raise Conflict(
            f"{wanted.key} is being deleted",
            hint=f"`hikube wait {wanted.kind}/{wanted.metadata.name} --for=delete`, then again",
        )
    return stored


def _changed(stored: Resource, wanted: Resource) -> Resource:
    own = {name: value for name, value in stored.metadata.annotations.items() if name.startswith(OURS)}
    metadata: Metadata = stored.metadata.model_copy(
        update={"labels": wanted.metadata.labels, "annotations": own | wanted.metadata.annotations}
    )
    return stored.model_copy(update={"metadata": metadata, "spec": wanted.spec})


def _refuse_forbidden(stored: Resource, changed: Resource) -> None:
    why = ""
    if isinstance(stored, VMDisk) and isinstance(changed, VMDisk):
        why = forbidden_change(stored.spec, changed.spec)
    elif isinstance(stored, VirtualMachine) and isinstance(changed, VirtualMachine) and stored.status.system_volume:
        before, after = stored.spec.system_disk, changed.spec.system_disk
        why = forbidden_size(before.storage, after.storage) if before is not None and after is not None else ""
    if why:
        hint = "another disk can be had as it should be; `hikube disk clone` copies one" if stored.kind == VMDisk.KIND else ""
        raise Unsupported(f"{stored.kind} {stored.metadata.name} cannot be changed so", why=why, hint=hint)


def _same(stored: Resource, changed: Resource) -> bool:
    return bool(stored.spec == changed.spec and stored.metadata == changed.metadata)
