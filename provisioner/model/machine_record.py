"""What a domain bears about the VM that it is for: enough to rebuild a lost store from the host, and no secret.

Written when the domain is defined, when the VM is handed over, and when it is stopped. Objects are kept as JSON as documents
write it, so that a field which another part of the model gains is in the record too. Left out, on purpose: `cloudInit`, whose
text may hold passwords; the private halves of keys; name, password and query of URLs; conditions and the progress of steps,
which are observed anew. What was left out although it had a value is named in `withheld`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, ValidationError

from provisioner.model.errors import InvalidInput, Unsupported
from provisioner.model.metadata import Key, Part, Resource

VERSION = 1
OURS = "hikube.cloud/"
LONGEST = 1 << 20
"""Of a record as text; more is none of ours."""
_OBSERVED = frozenset(
    {"conditions", "steps", "phase", "observedGeneration", "consecutiveFailures", "retryAfter", "lastFailure"}
    | {"stoppingSince", "unwinding", "bootId", "recordedGeneration"}
)
"""Fields of statuses that belong to the store which is lost."""


class RecordedHost(Part):
    """The GPUHost as its operator set it up; how it is reached is given anew."""

    name: str
    labels: dict[str, str] = Field(default_factory=dict)
    spec: dict[str, Any] = Field(default_factory=dict)


class RecordedObject(Part):
    """An object that the VM needs: a GPUClaim, a VMDisk, an Image."""

    name: str
    uid: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    """Those of hikube's own, which are wishes that no field expresses."""
    created: str = ""
    spec: dict[str, Any]
    status: dict[str, Any] = Field(default_factory=dict)


class MachineRecord(Part):
    """One VM, and what it has on its host."""

    version: int = VERSION
    kind: str
    namespace: str
    machine: RecordedObject
    is_handed_over: bool = False
    """Whether the guest has been the tenant's since its last start."""
    is_parked: bool = False
    """Whether the VM was stopped: its domain has no devices, and its claims are those that it is letting go of."""
    host: RecordedHost
    claims: tuple[RecordedObject, ...] = ()
    disks: tuple[RecordedObject, ...] = ()
    image: RecordedObject | None = None
    host_public_key: str = ""
    """The guest's SSH host key, the public half, which is pinned."""
    instance_id: str = ""
    """What the guest's cloud-init takes for its identity."""
    withheld: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """The VM's name in a store."""
        return Key(self.kind, self.namespace, self.machine.name)

    @property
    def was_ready(self) -> bool:
        """Whether the VM has been its tenant's at any time: its disks hold data then."""
        return bool(self.machine.status.get("firstReady"))

    def as_text(self) -> str:
        """The record as it is written on a domain: one line of ASCII, the same for the same record."""
        return json.dumps(self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"version": self.version})

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The record that a domain bears.

        Raises:
            Unsupported: a newer hikube wrote it.
            InvalidInput: it is damaged.
        """
        try:
            data = json.loads(text) if len(text) <= LONGEST else None
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise InvalidInput("the record cannot be read", why="it is damaged")
        version = data.get("version")
        if isinstance(version, int) and version > VERSION:
            what = f"the record is of version {version}, this hikube knows {VERSION}"
            raise Unsupported(what, hint="use the newer hikube that wrote it")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InvalidInput("the record cannot be read", why=str(error)) from error


def recorded(resource: Resource) -> RecordedObject:
    """The object as a record has it, with its whole spec."""
    metadata = resource.metadata
    return RecordedObject(
        name=metadata.name,
        uid=metadata.uid,
        labels=metadata.labels,
        annotations={name: value for name, value in metadata.annotations.items() if name.startswith(OURS)},
        created=metadata.creation_timestamp,
        spec=resource.spec.as_json(),
        status=lasting(resource.status.as_json()),
    )


def lasting(status: Mapping[str, Any]) -> dict[str, Any]:
    """A status as JSON without what is observed anew."""
    return {name: value for name, value in status.items() if name not in _OBSERVED}


def without_credentials(url: str) -> str:
    """The URL without name, password, query and fragment, any of which may let its reader in somewhere."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, parts.path, "", ""))
