"""How this program speaks to Kubernetes API servers: requests with a time limit and at a bounded rate, streams of watch events.

The only module that imports the client library, from which it takes what is tedious to get right: kubeconfig files, service
accounts, certificates, tokens that are renewed. Everything else is raw JSON. No exception of the library or of its transport
leaves this module; what errors mean is said by the room that asks (the store, the KubeVirt driver), in its own. A request is
made once: whether it is to be made again is the caller's question.
"""

from __future__ import annotations

import contextlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import urllib3
from kubernetes import client, config

from provisioner.model.errors import HikubeError, InvalidInput, NotAllowed
from provisioner.rate import Rate

if TYPE_CHECKING:
    from provisioner.model.clock import Clock

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
USER_AGENT = "hikube"
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one server may be asked for, and how much it may answer."""

    requests_per_s: float
    burst: int
    connections: int
    answer_bytes: int


def configuration_of(file: str, *, context: str, what: str, hint: str) -> client.Configuration:
    """How to reach the server that a kubeconfig names; without both, the usual one, or the cluster that this process runs in.

    Raises:
        InvalidInput: there is no such file or context, or it cannot be understood; `what` and `hint` are its words.
    """
    configuration = client.Configuration()
    try:
        if not file and not context and _is_in_a_pod():
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            config.load_kube_config(file or None, context or None, configuration)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, ValueError, TypeError) as error:
        raise InvalidInput(what, why=str(error), hint=hint) from error
    return configuration


class ApiTransport(ABC):
    """One server. Safe to use from several threads."""

    ACCEPT = JSON
    BOUNDS: Bounds

    def __init__(
        self, configuration: client.Configuration, *, clock: Clock, request_timeout_s: float = REQUEST_TIMEOUT_S
    ) -> None:
        configuration.retries = False
        configuration.connection_pool_maxsize = self.BOUNDS.connections
        self._client = client.ApiClient(configuration)
        self._client.user_agent = USER_AGENT
        self._request_timeout_s = request_timeout_s
        self._rate = Rate(clock, per_s=self.BOUNDS.requests_per_s, burst=self.BOUNDS.burst)
        self.url: str = configuration.host

    @abstractmethod
    def refused(self, status: int, answer: bytes, *, what: str) -> HikubeError:
        """The error for an answer of 400 or above to `what` (`GET /path`)."""

    @abstractmethod
    def away(self, why: str, *, is_late: bool) -> HikubeError:
        """The error for no answer; `is_late`: it was asked, and may have done it."""

    @abstractmethod
    def garbled(self, why: str) -> HikubeError:
        """The error for an answer that is no document."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Document | None = None,
        content_type: str = JSON,
    ) -> Document:
        """The document that it answers with, or an empty one. Raises NotAllowed, and what the three above make."""
        self._rate.take()
        response = self._send(method, path, query or {}, body, content_type, self._request_timeout_s)
        try:
            answer = response.read(self.BOUNDS.answer_bytes)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._away(error) from error
        finally:
            response.release_conn()
        if response.status >= 400:
            raise self.refused(response.status, answer, what=f"{method} {path}")
        return self._parsed(answer) if answer.strip() else {}

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
                raise self.refused(response.status, response.read(self.BOUNDS.answer_bytes), what=f"watch {path}")
            opened(partial(_shut, response))
            for line in response:
                yield self._parsed(line)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._away(error) from error
        finally:
            response.close()

    def _send(
        self, method: str, path: str, query: Mapping[str, str], body: Document | None, content_type: str, timeout_s: float
    ) -> urllib3.HTTPResponse:
        headers = {"Accept": self.ACCEPT} | ({"Content-Type": content_type} if body is not None else {})
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

    def _away(self, error: Exception) -> HikubeError:
        return self.away(str(error), is_late=isinstance(error, urllib3.exceptions.ReadTimeoutError))

    def _parsed(self, text: bytes) -> Document:
        try:
            document = json.loads(text)
        except ValueError as error:
            raise self.garbled(str(error)) from error
        if not isinstance(document, dict):
            raise self.garbled(f"it is a {type(document).__name__}")
        return document

    def close(self) -> None:
        """Let go of idle connections."""
        self._client.rest_client.pool_manager.clear()


def _is_in_a_pod() -> bool:
    """Whether a cluster runs this process, and no kubeconfig names another one. The library would say so on stdout."""
    is_named = bool(os.environ.get("KUBECONFIG")) or os.path.exists(os.path.expanduser("~/.kube/config"))
    return "KUBERNETES_SERVICE_HOST" in os.environ and not is_named


def _shut(response: urllib3.HTTPResponse) -> None:
    with contextlib.suppress(ValueError, OSError):  # it has ended already
        response.shutdown()
