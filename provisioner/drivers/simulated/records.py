"""Records of simulated domains."""

from __future__ import annotations

from provisioner.drivers.simulated.link import Link
from provisioner.model.errors import NotFound


class SimulatedRecords:
    """See drivers.records.Records."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def read(self, name: str) -> str:
        """See the protocol."""
        with self._link.call("records.read", subject=name) as state:
            known = state.domains.get(name)
            return known.config.record if known is not None and known.config.owner_uid else ""

    def write(self, name: str, text: str) -> None:
        """See the protocol."""
        with self._link.call("records.write", subject=name) as state:
            known = state.domains.get(name)
            if known is None or not known.config.owner_uid:
                raise NotFound(f"cannot write the record of domain {name}", why="there is no such domain of ours")
            for config in (known.live, known.config):
                if config is not None:
                    config.record = text
