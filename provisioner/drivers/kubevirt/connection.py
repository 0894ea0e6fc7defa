"""A connection to one cluster: its API and its feed of events. It never comes back to life.

open ──> alive ──nobody answers the watches for a while, or closed──> over: calls raise HostUnreachable
"""

from __future__ import annotations

from provisioner.drivers.kubevirt.api import Api
from provisioner.drivers.kubevirt.feed import Feed
from provisioner.model.errors import HostUnreachable


class Connection:
    """Safe to use from several threads."""

    def __init__(self, uri: str, api: Api, feed: Feed) -> None:
        self.uri = uri
        self.feed = feed
        self._api = api

    @property
    def is_alive(self) -> bool:
        """Whether new calls make sense. Asks nobody."""
        return not self.feed.end

    @property
    def api(self) -> Api:
        """What calls go through.

        Raises:
            HostUnreachable: the connection is over.
        """
        if self.feed.end:
            raise HostUnreachable(f"the connection to {self.uri} is over", why=self.feed.end, context={"uri": self.uri})
        return self._api

    def close(self) -> None:
        """Give it up. Calls that run go on to their end. Idempotent."""
        self.feed.stop()
        self._api.close()
