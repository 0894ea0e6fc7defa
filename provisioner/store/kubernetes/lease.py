"""A Lease of coordination.k8s.io as it was read, and what to write to hold it, renew it or give it back. Pure.

What others have put into it (labels, fields that are unknown here) stays. Its times are for people: whether it has run out is
never decided by them, since they are of another machine's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from provisioner.store.moving.signposts import Signpost

API_VERSION = "coordination.k8s.io/v1"
COMMAND = "hikube.cloud/command"
"""Annotation: what its holder runs, for whoever is told to wait."""
COMMAND_LETTERS = 120
SIGNPOST = "hikube.cloud/moved"
"""Annotation: the objects of this cluster are on their way, or have left (see store/moving/signposts.py)."""

Document = dict[str, Any]


def collection(namespace: str) -> str:
    """Where the Leases of a namespace are."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/leases"


@dataclass(frozen=True, slots=True)
class Lease:
    """One state of it."""

    document: Document

    @classmethod
    def unheld(cls, *, namespace: str, name: str) -> Lease:
        """One that is still to be made."""
        return cls({"apiVersion": API_VERSION, "kind": "Lease", "metadata": {"namespace": namespace, "name": name}})

    @property
    def holder(self) -> str:
        """Identity of whoever has it; empty: nobody."""
        return str(self._spec.get("holderIdentity") or "")

    @property
    def command(self) -> str:
        """What its holder runs; empty if he does not say."""
        return str((self._metadata.get("annotations") or {}).get(COMMAND) or "")

    @property
    def name(self) -> str:
        """In its namespace."""
        return str(self._metadata.get("name") or "")

    @property
    def signpost(self) -> Signpost | None:
        """That the objects are on their way, or have left; None: they are here."""
        text = str((self._metadata.get("annotations") or {}).get(SIGNPOST) or "")
        return Signpost.from_text(text) if text else None

    @property
    def since(self) -> str:
        """When its holder took it, by his clock."""
        return str(self._spec.get("acquireTime") or "")

    @property
    def duration_s(self) -> float:
        """For how long it must not have changed before somebody else may take it."""
        return float(self._spec.get("leaseDurationSeconds") or 0)

    @property
    def transitions(self) -> int:
        """How often it went to another holder."""
        return int(self._spec.get("leaseTransitions") or 0)

    @property
    def version(self) -> str:
        """Changes with every write of it."""
        return str(self._metadata.get("resourceVersion") or "")

    def taken(self, identity: str, *, command: str, duration_s: int, now: str) -> Document:
        """To write in order to hold it from now on."""
        annotations = {**(self._metadata.get("annotations") or {}), COMMAND: command[:COMMAND_LETTERS]}
        is_handed_on = bool(self.version) and self.holder != identity
        spec = {
            "holderIdentity": identity,
            "leaseDurationSeconds": duration_s,
            "acquireTime": now,
            "leaseTransitions": self.transitions + int(is_handed_on),
        }
        head = {**self.document, "metadata": {**self._metadata, "annotations": annotations}}
        return {**head, "spec": {**self._spec, **spec, "renewTime": now}}

    def renewed(self, *, now: str) -> Document:
        """To write in order to go on holding it."""
        return {**self.document, "spec": {**self._spec, "renewTime": now}}

    def given_back(self, *, now: str) -> Document:
        """To write in order to hold it no more; how often it was handed on stays."""
        spec = {name: value for name, value in self._spec.items() if name not in ("holderIdentity", "acquireTime")}
        return {**self.document, "spec": {**spec, "renewTime": now}}

    @property
    def _metadata(self) -> Document:
        return self.document.get("metadata") or {}

    @property
    def _spec(self) -> Document:
        return self.document.get("spec") or {}
