"""The API server that the store is in, in the store's errors: what may be otherwise in a moment is StoreUnavailable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from provisioner.api_transport import (
    APPLY_PATCH,
    JSON,
    MERGE_PATCH,
    REQUEST_TIMEOUT_S,
    ApiTransport,
    Bounds,
    Document,
    configuration_of,
)
from provisioner.model.errors import HikubeError, StoreUnavailable
from provisioner.store.kubernetes.refusals import refusal

if TYPE_CHECKING:
    from pathlib import Path

    from provisioner.model.clock import Clock

__all__ = ["APPLY_PATCH", "JSON", "MERGE_PATCH", "REQUEST_TIMEOUT_S", "ApiServer", "Document"]


class ApiServer(ApiTransport):
    """Safe to use from several threads.

    Requests and streams raise:
        NotFound, AlreadyExists, Conflict, InvalidInput, NotAllowed: it refused, and said why.
        StoreUnavailable: it could not be asked, did not answer in time, or cannot serve now; it may have been done.
    """

    BOUNDS = Bounds(requests_per_s=300.0, burst=600, connections=32, answer_bytes=256 << 20)

    @classmethod
    def from_kubeconfig(
        cls, path: Path | None, *, clock: Clock, context: str = "", request_timeout_s: float = REQUEST_TIMEOUT_S
    ) -> Self:
        """The server that a kubeconfig file names; without a path, the usual one, or the cluster that this process runs in.

        Raises:
            InvalidInput: there is no such file or context, or it cannot be understood.
        """
        hint = "--kubeconfig names the file, KUBECONFIG too; inside a cluster a service account does"
        file = str(path) if path is not None else ""
        found = configuration_of(file, context=context, what="no Kubernetes cluster is configured", hint=hint)
        return cls(found, clock=clock, request_timeout_s=request_timeout_s)

    def refused(self, status: int, answer: bytes, *, what: str) -> HikubeError:
        """See ApiTransport."""
        return refusal(status, answer, what=what)

    def away(self, why: str, *, is_late: bool) -> HikubeError:
        """See ApiTransport."""
        return StoreUnavailable(f"the API server {self.url} does not answer", why=why, hint="it is tried again")

    def garbled(self, why: str) -> HikubeError:
        """See ApiTransport."""
        return StoreUnavailable("the API server's answer is no document", why=why)
