"""What an adoption found and means to do: values, made before anything is written. A dry run is the run without its end."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.drivers.hypervisor import Domain
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Key, Resource

NEVER_RECOVERED = (
    "quarantines and histories of GPUs, and events: `hikube host doctor` before a GPU goes to its next tenant",
    "VMDisks that no VM used, and VMs that had not been Ready yet",
)


class Verdict(enum.StrEnum):
    """What becomes of one domain."""

    ADOPTED = "adopted"
    """Its objects are made (or would be, in a dry run)."""
    COMPLETED = "completed"
    """The store has the VM already, and not all that belongs to it: what is missing is made."""
    UNCHANGED = "unchanged"
    """The store has all of it."""
    REFUSED = "refused"
    """Something of the same name is in the way; nothing is made."""
    UNRECORDED = "unrecorded"
    """It bears no record that can be read: an older version made it."""


@dataclass(frozen=True, slots=True)
class Adoptee:
    """One domain with our mark."""

    domain: Domain
    verdict: Verdict
    key: Key | None = None
    """The VM; None where the domain does not say."""
    reason: str = ""
    makes: tuple[Resource, ...] = ()
    """What is missing in the store, in the order in which it is made; the VM comes last."""
    lost: tuple[str, ...] = ()
    """What of the VM cannot be recovered."""

    @property
    def is_ours(self) -> bool:
        """Whether the store has its VM afterwards."""
        return self.verdict in (Verdict.ADOPTED, Verdict.COMPLETED, Verdict.UNCHANGED)

    def as_dict(self) -> dict[str, Any]:
        """As data, for `-o json`."""
        return {
            "domain": self.domain.name,
            "state": self.domain.state.value,
            "machine": None if self.key is None else dict(zip(("kind", "namespace", "name"), _parts(self.key), strict=True)),
            "verdict": self.verdict.value,
            "reason": self.reason,
            "makes": [_words(resource) for resource in self.makes],
            "lost": list(self.lost),
        }


@dataclass(frozen=True, slots=True)
class Adoption:
    """Everything that bears our mark on one host."""

    host: GPUHost
    is_new_host: bool
    adoptees: tuple[Adoptee, ...]
    left: tuple[str, ...] = ()
    """Volumes of ours that belong to none of them; nothing is done about them."""

    @property
    def troubles(self) -> tuple[Adoptee, ...]:
        """Domains that stay without a VM in the store."""
        return tuple(each for each in self.adoptees if not each.is_ours)

    def as_dict(self) -> Mapping[str, Any]:
        """As data, for `-o json`."""
        return {
            "host": self.host.metadata.name,
            "uri": self.host.spec.uri,
            "isNewHost": self.is_new_host,
            "domains": [each.as_dict() for each in self.adoptees],
            "left": list(self.left),
            "neverRecovered": list(NEVER_RECOVERED),
        }


def _parts(key: Key) -> tuple[str, str, str]:
    return key.kind, key.namespace, key.name


def _words(resource: Resource) -> str:
    return f"{resource.kind.lower()}/{resource.metadata.name}"
