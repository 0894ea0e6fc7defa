"""The way in: from a URI to a cluster, with one shared connection per URI.

Clusters handed out are light. Closing the last one of a URI leaves its connection open for a while: its watches are what makes
changes heard, and reconcilers come and go. Opening one asks the server for its KubeVirt, so that a wrong URI is told at once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from provisioner.drivers.kubevirt.api import REQUEST_TIMEOUT_S, Api
from provisioner.drivers.kubevirt.cluster import KubeVirtCluster
from provisioner.drivers.kubevirt.connection import Connection
from provisioner.drivers.kubevirt.feed import LOST_AFTER_S, Feed
from provisioner.drivers.kubevirt.permitted import kubevirt_of
from provisioner.drivers.kubevirt.uri import parse
from provisioner.model.clock import Clock

IDLE_S = 60.0


@dataclass(slots=True)
class _Site:
    """What is open to one URI."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while opening, so that many callers share one attempt."""
    connection: Connection | None = None
    users: int = 0
    idle_since_s: float = 0.0


class KubeVirtConnector:
    """Opens clusters. Safe to use from several threads; one per process is enough."""

    def __init__(
        self, *, clock: Clock, request_timeout_s: float = REQUEST_TIMEOUT_S, lost_after_s: float = LOST_AFTER_S
    ) -> None:
        self._clock = clock
        self._request_timeout_s = request_timeout_s
        self._lost_after_s = lost_after_s
        self._lock = threading.Lock()
        self._sites: dict[str, _Site] = {}

    def connect(self, uri: str) -> KubeVirtCluster:
        """An open connection to that cluster, shared with earlier callers while it is alive.

        Raises:
            InvalidInput: the URI cannot be understood, or names no kubeconfig or context that there is.
            HostUnreachable: nobody answers; HostTimeout: not in time.
            NotAllowed: the cluster refuses our credentials.
            Unsupported: it has no KubeVirt.
        """
        address = parse(uri)
        with self._lock:
            self._close_idle()
            site = self._sites.setdefault(uri, _Site())
        with site.lock:
            connection = site.connection
            if connection is None or not connection.is_alive:
                api = Api.at(address, clock=self._clock, request_timeout_s=self._request_timeout_s)
                kubevirt_of(api)
                feed = Feed(api, clock=self._clock, lost_after_s=self._lost_after_s)
                connection = site.connection = Connection(uri, api, feed)
            site.users += 1
        return KubeVirtCluster(connection, on_close=lambda: self._release(site))

    def close(self) -> None:
        """Give up every connection. Clusters that were handed out are of no more use."""
        with self._lock:
            sites, self._sites = list(self._sites.values()), {}
        for site in sites:
            if site.connection is not None:
                site.connection.close()

    def _release(self, site: _Site) -> None:
        with site.lock:
            site.users -= 1
            site.idle_since_s = self._clock.monotonic_s()

    def _close_idle(self) -> None:
        for site in self._sites.values():
            is_idle = site.users == 0 and self._clock.monotonic_s() - site.idle_since_s > IDLE_S
            if is_idle and site.connection is not None and site.lock.acquire(blocking=False):
                connection, site.connection = site.connection, None
                site.lock.release()
                connection.close()
