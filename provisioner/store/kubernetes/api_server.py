"""One Kubernetes API server, spoken to in JSON: requests with a time limit and at a bounded rate, and streams of watch events.

The only module of the store that imports the client library, from which it takes what is tedious to get right: kubeconfig
files, service accounts, certificates, tokens that are renewed. Everything else is raw JSON. No exception of the library or of
its transport leaves this module. A request is made once: whether it is to be made again is the caller's question.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import urllib3
from kubernetes import client, config

from provisioner.model.errors import InvalidInput, NotAllowed, StoreUnavailable
from provisioner.rate import Rate
from provisioner.store.kubernetes.refusals import refusal

if TYPE_CHECKING:
    from pathlib import Path

    from provisioner.model.clock import Clock

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
USER_AGENT = "hikube"
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
REQUESTS_PER_S = 300.0
BURST = 600
CONNECTIONS_MAX = 32
ANSWER_MAX_BYTES = 256 << 20

Document = dict[str, Any]


class ApiServer:
    """Safe to use from several threads."""

    def __init__(
        self, configuration: client.Configuration, *, clock: Clock, request_timeout_s: float = REQUEST_TIMEOUT_S
    ) -> None:
        configuration.retries = False
        configuration.connection_pool_maxsize = CONNECTIONS_MAX
        self._client = client.ApiClient(configuration)
        self._client.user_agent = USER_AGENT
        self._request_timeout_s = request_timeout_s
        self._rate = Rate(clock, per_s=REQUESTS_PER_S, burst=BURST)
        self.url: str = configuration.host

    @classmethod
    def from_kubeconfig(
        cls, path: Path | None, *, clock: Clock, context: str = "", request_timeout_s: float = REQUEST_TIMEOUT_S
    ) -> Self:
        """The server that a kubeconfig file names; without a path, the usual one, or the cluster that this process runs in.

        Raises:
            InvalidInput: there is no such file or context, or it cannot be understood.
        """
        configuration = client.Configuration()
        try:
            if path is None and not context and _is_in_a_pod():
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                file = str(path) if path is not None else None
                config.load_kube_config(file, context or None, configuration)  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError, ValueError) as error:
            hint = "--kubeconfig names the file, KUBECONFIG too; inside a cluster a service account does"
            raise InvalidInput("no Kubernetes cluster is configured", why=str(error), hint=hint) from error
        return cls(configuration, clock=clock, request_timeout_s=request_timeout_s)

    def close(self) -> None:
        """Let connections that nobody uses go. Idempotent; another request opens one again."""
        self._client.rest_client.pool_manager.clear()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Document | None = None,
        content_type: str = JSON,
    ) -> Document:
        """The document that it answers with.

        Raises:
            NotFound, AlreadyExists, Conflict, InvalidInput, NotAllowed: it refused, and said why.
            StoreUnavailable: it could not be asked, did not answer in time, or cannot serve now; it may have been done.
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
            raise refusal(response.status, answer, what=f"{method} {path}")
        return _parsed(answer)

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
                raise refusal(response.status, response.read(ANSWER_MAX_BYTES), what=f"watch {path}")
            opened(partial(_shut, response))
            for line in response:
                yield _parsed(line)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._away(error) from error
        finally:
            response.close()

    def _send(
        self, method: str, path: str, query: Mapping[str, str], body: Document | None, content_type: str, timeout_s: float
    ) -> urllib3.HTTPResponse:
        headers = {"Accept": JSON} | ({"Content-Type": content_type} if body is not None else {})
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

    def _away(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(f"the API server {self.url} does not answer", why=str(error), hint="it is tried again")


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
        raise StoreUnavailable("the API server's answer is no JSON", why=str(error)) from error
    if not isinstance(document, dict):
        raise StoreUnavailable("the API server's answer is no document")
    return document
