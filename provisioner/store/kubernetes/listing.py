"""Long lists, page by page, as one: every page is of the version of the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provisioner.model.errors import HikubeError, StoreUnavailable
from provisioner.store.kubernetes.refusals import is_expired

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provisioner.store.kubernetes.api_server import ApiServer

PAGE = 500
PAGES_MAX = 2_000
ATTEMPTS_MAX = 3
"""A list that takes longer than its version is kept begins anew."""


@dataclass(frozen=True, slots=True)
class Pages:
    """A whole list."""

    items: list[dict[str, Any]]
    version: str


def pages(server: ApiServer, path: str, *, query: Mapping[str, str]) -> Pages:
    """All items of a collection, in the server's order. Raises as ApiServer.request."""
    for _ in range(ATTEMPTS_MAX):
        try:
            return _pages(server, path, query)
        except HikubeError as error:
            if not is_expired(error):
                raise
    raise StoreUnavailable(f"{path} is too long to be listed before its version is forgotten")


def _pages(server: ApiServer, path: str, query: Mapping[str, str]) -> Pages:
    items: list[dict[str, Any]] = []
    goes_on: dict[str, str] = {}
    for _ in range(PAGES_MAX):
        answer = server.request("GET", path, query={**query, **goes_on, "limit": str(PAGE)})
        items.extend(answer.get("items") or ())
        metadata = answer["metadata"]
        if not metadata.get("continue"):
            return Pages(items, str(metadata["resourceVersion"]))
        goes_on = {"continue": str(metadata["continue"])}
    raise StoreUnavailable(f"{path} has more than {PAGES_MAX * PAGE:,} items")
