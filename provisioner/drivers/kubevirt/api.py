"""The API server of a KubeVirt cluster, in the driver's errors, with what the driver asks of it again and again.

KubeVirt's own subresources answer 406 to `Accept: application/json` alone, and a success there has no body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from provisioner.api_transport import APPLY_PATCH, REQUEST_TIMEOUT_S, ApiTransport, Bounds, Document, configuration_of
from provisioner.drivers.kubevirt.refusals import is_expired, refusal
from provisioner.model.errors import HikubeError, HostTimeout, HostUnreachable, HypervisorError, NotFound

if TYPE_CHECKING:
    from provisioner.drivers.kubevirt.uri import ClusterAddress
    from provisioner.model.clock import Clock

__all__ = ["APPLY_PATCH", "REQUEST_TIMEOUT_S", "Api", "Document"]

FIELD_MANAGER = "hikube"
PAGE = 500
PAGES_MAX = 400
LIST_ATTEMPTS_MAX = 3


class Api(ApiTransport):
    """Safe to use from several threads.

    Requests and streams raise:
        NotFound, Conflict, InvalidInput, NotAllowed, QuotaExceeded, HypervisorError: it refused, and said why.
        HostUnreachable: it could not be asked. HostTimeout: it did not answer in time; it may have been done.
    """

    ACCEPT = "application/json, */*"
    BOUNDS = Bounds(requests_per_s=50.0, burst=100, connections=16, answer_bytes=64 << 20)

    @classmethod
    def at(cls, address: ClusterAddress, *, clock: Clock, request_timeout_s: float = REQUEST_TIMEOUT_S) -> Api:
        """The server that an address names.

        Raises:
            InvalidInput: there is no such kubeconfig or context, or it cannot be understood.
        """
        what, hint = (
            f"the cluster {address.uri} is not configured",
            "kubevirt://CONTEXT?kubeconfig=PATH names both; KUBECONFIG names the file too",
        )
        found = configuration_of(address.kubeconfig, context=address.context, what=what, hint=hint)
        return cls(found, clock=clock, request_timeout_s=request_timeout_s)

    def refused(self, status: int, answer: bytes, *, what: str) -> HikubeError:
        """See ApiTransport."""
        return refusal(status, answer, what=f"{what} was refused")

    def away(self, why: str, *, is_late: bool) -> HikubeError:
        """See ApiTransport."""
        return (HostTimeout if is_late else HostUnreachable)(f"the API server {self.url} does not answer", why=why)

    def garbled(self, why: str) -> HikubeError:
        """See ApiTransport."""
        return HypervisorError("the API server's answer is no document", why=why)

    def find(self, path: str) -> Document | None:
        """An object; None if there is none of that name. Raises as `request`."""
        try:
            return self.request("GET", path)
        except NotFound:
            return None

    def apply(self, path: str, body: Document, *, force: bool) -> Document:
        """Let the fields of an object be as the body says, ours from now on; whatever the schema does not know is refused.

        Args:
            path: of the object.
            body: the fields.
            force: take over fields that somebody else has set; else that is a Conflict.

        Raises: as `request`.
        """
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", "force": "true" if force else "false"}
        return self.request("PATCH", path, query=query, body=body, content_type=APPLY_PATCH)

    def items(self, path: str, *, query: Mapping[str, str] | None = None) -> tuple[list[Document], str]:
        """All items of a collection, and the version that they are of. Raises as `request`."""
        for _ in range(LIST_ATTEMPTS_MAX):
            try:
                return self._pages(path, query or {})
            except HikubeError as error:
                if not is_expired(error):
                    raise
        raise HypervisorError(f"{path} is too long to be listed before its version is forgotten")

    def _pages(self, path: str, query: Mapping[str, str]) -> tuple[list[Document], str]:
        found: list[Document] = []
        goes_on: dict[str, str] = {}
        for _ in range(PAGES_MAX):
            answer = self.request("GET", path, query={**query, **goes_on, "limit": str(PAGE)})
            found.extend(answer.get("items") or ())
            metadata = answer.get("metadata") or {}
            if not metadata.get("continue"):
                return found, str(metadata.get("resourceVersion", ""))
            goes_on = {"continue": str(metadata["continue"])}
        raise HypervisorError(f"{path} has more than {PAGES_MAX * PAGE:,} items")
