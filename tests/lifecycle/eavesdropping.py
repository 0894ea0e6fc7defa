"""Listens to all that the control plane says: to hypervisors, in its store, in its log. For tests of what it must not say."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from provisioner.drivers.hypervisor import Connector, Hypervisor
from provisioner.model.metadata import Resource
from provisioner.model.secret import Secret
from provisioner.store.memory import MemoryStore

LEAST = 16
"""Shorter pieces of a private value are no evidence."""
CARRIERS = frozenset({"upload"})
"""What is uploaded is the seed, whose purpose is to carry keys into the guest; it is deleted at hand-over."""


class ListeningStore(MemoryStore):
    """A store in memory that remembers every private value that it ever held."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.private: set[str] = set()

    def create(self, resource: Any, *, keeps_identity: bool = False) -> Any:
        self._listen(resource)
        return super().create(resource, keeps_identity=keeps_identity)

    def update(self, resource: Any) -> Any:
        self._listen(resource)
        return super().update(resource)

    def _listen(self, resource: Resource) -> None:
        if isinstance(resource, Secret):
            self.private |= {value for name, value in resource.spec.data.items() if "rivate" in name}

    def said(self) -> str:
        """Everything in it that may be shown: objects without the parts that are private by their nature, history, events."""
        shown = [_shown(resource) for resource in self.snapshot().objects]
        shown += [_shown(change.resource) for change in self.watch("0", timeout_s=0)]
        return "\n".join([*shown, *(repr(event) for event in self.events())])


class ListeningConnector:
    """Stands before a connector and writes down whatever is asked of its hypervisors."""

    def __init__(self, inner: Connector) -> None:
        self._inner = inner
        self.said: list[str] = []

    def connect(self, uri: str) -> Hypervisor:
        """As the connector inside."""
        self.said.append(uri)
        found: Any = _Listening(self._inner.connect(uri), self.said)
        return found


class _Listening:
    def __init__(self, inner: Any, said: list[str]) -> None:
        self._inner, self._said = inner, said

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value):
            return _Listening(value, self._said)

        def call(*args: Any, **kwargs: Any) -> Any:
            if name not in CARRIERS:
                self._said.append(f"{name} {args!r} {kwargs!r}")
            return value(*args, **kwargs)

        return call


def _shown(resource: Resource) -> str:
    data = resource.as_json()
    if resource.kind == "Secret":
        data["spec"]["data"] = sorted(data["spec"]["data"])
    data["spec"].pop("cloudInit", None)
    return json.dumps(data)


def pieces(value: str) -> Iterator[str]:
    """The ways in which a private value could turn up: line by line, and as base64 at any offset."""
    lines = [line for line in value.splitlines() if len(line) >= LEAST and not line.startswith("-----")]
    for line in [*lines, value.strip()]:
        yield line
        yield json.dumps(line)[1:-1]
        for shift in range(3):
            text = base64.b64encode(b"\0" * shift + line.encode()).decode()
            yield text[4:-4]


def leaks(said: str, private: set[str]) -> list[str]:
    """The pieces of private values that were said."""
    return sorted({piece for value in private for piece in pieces(value) if len(piece) >= LEAST and piece in said})
