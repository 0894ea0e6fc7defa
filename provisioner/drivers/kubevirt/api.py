"""The API server of one cluster, spoken to in JSON: requests with a time limit and at a bounded rate, and streams of watches.

The only module of the driver that imports the client library, from which it takes what is tedious to get right: kubeconfig
files, service accounts, certificates, tokens that are renewed. No exception of the library or of its transport leaves it. A
request is made once: whether it is to be made again is the caller's question.

KubeVirt's own subresources answer 406 to `Accept: application/json` alone, and a success there has no body.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import urllib3
from kubernetes import client, config

from provisioner.drivers.kubevirt.refusals import is_expired, refusal
from provisioner.model.errors import (
    HikubeError,
    HostTimeout,
    HostUnreachable,
    HypervisorError,
    InvalidInput,
    NotAllowed,
    NotFound,
)
from provisioner.rate import Rate

if TYPE_CHECKING:
    from provisioner.drivers.kubevirt.uri import ClusterAddress
    from provisioner.model.clock import Clock

JSON = "application/json"
APPLY_PATCH = "application/apply-patch+yaml"
ACCEPT = "application/json, */*"
FIELD_MANAGER = "hikube"
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
REQUESTS_PER_S = 50.0
BURST = 100
CONNECTIONS_MAX = 16
ANSWER_MAX_BYTES = 64 << 20
PAGE = 500
PAGES_MAX = 400
LIST_ATTEMPTS_MAX = 3

Document = dict[str, Any]


class Api:
    """Safe to use from several threads."""

    def __init__(
        self, configuration: client.Configuration, *, clock: Clock, request_timeout_s: float = REQUEST_TIMEOUT_S
    ) -> None:
        configuration.retries = False
        configuration.connection_pool_maxsize = CONNECTIONS_MAX
        self._client = client.ApiClient(configuration)
        self._client.user_agent = FIELD_MANAGER
        self._request_timeout_s = request_timeout_s
        self._rate = Rate(clock, per_s=REQUESTS_PER_S, burst=BURST)
        self.url: str = configuration.host

    @classmethod
    def at(cls, address: ClusterAddress, *, clock: Clock, request_timeout_s: float = REQUEST_TIMEOUT_S) -> Api:
        """The server that an address names.

        Raises:
            InvalidInput: there is no such kubeconfig or context, or it cannot be understood.
        """
        configuration = client.Configuration()
        try:
            if not address.kubeconfig and not address.context and _is_in_a_pod():
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                file, context = address.kubeconfig or None, address.context or None
                config.load_kube_config(file, context, configuration)  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError, ValueError, TypeError) as error:
            hint = "kubevirt://CONTEXT?kubeconfig=PATH names both; KUBECONFIG names the file too"
            raise InvalidInput(f"the cluster {address.uri} is not configured", why=str(error), hint=hint) from error
        return cls(configuration, clock=clock, request_timeout_s=request_timeout_s)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Document | None = None,
        content_type: str = JSON,
    ) -> Document:
        """The document that it answers with; empty if the answer has no body.

        Raises:
            NotFound, Conflict, InvalidInput, NotAllowed, QuotaExceeded, HypervisorError: it refused, and said why.
            HostUnreachable: it could not be asked. HostTimeout: it did not answer in time; it may have been done.
        """
        self._rate.take()
        response = self._send(method, path, query or {}, body, content_type, self._request_timeout_s)
        try:
            answer = response.read(ANSWER_MAX_BYTES)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._away(error) from error
        finally:
            response.release_conn()
        if response.status >= 400:
            raise refusal(response.status, answer, what=f"{method} {path} was refused")
        return _parsed(answer) if answer.strip() else {}

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

    def stream(
        self, path: str, *, query: Mapping[str, str], silence_s: float, opened: Callable[[Callable[[], None]], None]
    ) -> Iterator[Document]:
        """The events of a watch until the server ends it.

        Args:
            path: of the collection.
            query: selects what is watched, and from where.
            silence_s: a server that says nothing for so long is away.
            opened: is handed a function that ends the stream from another thread.

        Raises: as `request`.
        """
        response = self._send("GET", path, query, None, JSON, silence_s)
        try:
            if response.status >= 400:
                raise refusal(response.status, response.read(ANSWER_MAX_BYTES), what=f"watching {path} was refused")
            opened(partial(_shut, response))
            for line in response:
                yield _parsed(line)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._away(error) from error
        finally:
            response.close()

    def close(self) -> None:
        """Let go of idle connections."""
        self._client.rest_client.pool_manager.clear()

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

    def _send(
        self, method: str, path: str, query: Mapping[str, str], body: Document | None, content_type: str, timeout_s: float
    ) -> urllib3.HTTPResponse:
        headers = {"Accept": ACCEPT} | ({"Content-Type": content_type} if body is not None else {})
        _, url, headers, _, _ = self._client.param_serialize(
            method, path, query_params=list(query.items()), header_params=headers, auth_settings=["BearerToken"]
        )
        sent: Any = json.dumps(body) if content_type == APPLY_PATCH else body
        try:
            answer = self._client.rest_client.request(  # type: ignore[no-untyped-call]
                method, url, headers=headers, body=sent, _request_timeout=(CONNECT_TIMEOUT_S, timeout_s)
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._away(error) from error
        except client.ApiException as error:  # its word for a certificate that does not fit
            raise NotAllowed(f"{self.url} cannot be trusted", why=str(error.reason), hint="see the certificates") from error
        response: urllib3.HTTPResponse = answer.response
        return response

    def _away(self, error: Exception) -> HostUnreachable:
        is_late = isinstance(error, urllib3.exceptions.ReadTimeoutError)
        return (HostTimeout if is_late else HostUnreachable)(f"the API server {self.url} does not answer", why=str(error))


def _is_in_a_pod() -> bool:
    """Whether a cluster runs this process, and no kubeconfig names another one. The library would say so on stdout."""
    is_named = bool(os.environ.get("KUBECONFIG")) or os.path.exists(os.path.expanduser("~/.kube/config"))
    return "KUBERNETES_SERVICE_HOST" in os.environ and not is_named


def _shut(response: urllib3.HTTPResponse) -> None:
    with contextlib.suppress(ValueError, OSError):  # it has ended already
        response.shutdown()


def _parsed(text: bytes) -> Document:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise HypervisorError("the API server's answer is no JSON", why=str(error)) from error
    if not isinstance(document, dict):
        raise HypervisorError("the API server's answer is no document")
    return document
