"""Whether a fleet is at rest: for a while nothing has changed but what changes all the time, such as when a host was last seen.

At rest everybody may sleep until something happens. How long that takes is drawn anew after each change, so that some seeds see
what comes only after minutes of quiet.
"""

from __future__ import annotations

from random import Random

from provisioner.clocks import ManualClock
from provisioner.lifecycle.examining import EXAMINED
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Key, Resource
from provisioner.store.memory import MemoryStore

QUIET_S = (8.0, 15.0, 15.0, 15.0, 60.0, 300.0)


class Rest:
    """Looks at what was written."""

    def __init__(self, store: MemoryStore, clock: ManualClock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._version = store.version
        self._hosts: dict[Key, object] = {}
        self._since_s = 0.0
        self._quiet_s = QUIET_S[0]

    def disturb(self) -> None:
        """Something happened that the store does not know of."""
        self._since_s = self._clock.monotonic_s()
        self._quiet_s = self._random.choice(QUIET_S)

    @property
    def is_quiet(self) -> bool:
        """Whether the last change was long enough ago."""
        if self._store.version != self._version:
            changes = self._store.watch(self._version, timeout_s=0.0)
            self._version = changes[-1].version
            if any([self._is_news(change.resource) for change in changes]):
                self.disturb()
        return self._clock.monotonic_s() - self._since_s > self._quiet_s

    def _is_news(self, resource: Resource) -> bool:
        if not isinstance(resource, GPUHost):
            return True
        conditions = tuple((each.type, each.status) for each in resource.status.conditions if each.type != EXAMINED)
        told = (resource.spec, conditions, resource.status.quarantined, resource.metadata.deletion_timestamp)
        before, self._hosts[resource.key] = self._hosts.get(resource.key), told
        return before != told
