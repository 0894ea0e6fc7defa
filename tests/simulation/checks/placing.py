"""Where VMs are put: not onto a host that an operator has taken out of use."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.store.protocol import ChangeType
from tests.simulation.sight import Sight


class CordonedHostsTakeNobody:
    """No VM gets a GPU of a host that was cordoned, or was to be removed, before anybody could have chosen it."""

    name = "cordoned-hosts-take-nobody"
    watches = frozenset({GPUHost.KIND, GPUClaim.KIND})

    def __init__(self) -> None:
        self._closed_s: dict[str, float] = {}
        """By host: since when, by monotonic time."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            resource = change.resource
            if isinstance(resource, GPUHost):
                is_closed = resource.spec.cordoned or resource.is_being_deleted
                if is_closed and change.type is not ChangeType.DELETED:
                    self._closed_s.setdefault(resource.metadata.name, sight.now_s)
                else:
                    self._closed_s.pop(resource.metadata.name, None)
            elif isinstance(resource, GPUClaim) and change.type is ChangeType.ADDED and not resource.is_released:
                closed_s = self._closed_s.get(resource.spec.host, float("inf"))
                if closed_s < sight.pass_began_s and not self._has_others(resource, sight):
                    whose = f"{resource.spec.owner.key} was given {resource.spec.address} of {resource.spec.host}"
                    yield f"{whose}, which has been closed for {sight.now_s - closed_s:.0f} s"

    @staticmethod
    def _has_others(claim: GPUClaim, sight: Sight) -> bool:
        """A VM that has GPUs there already may change them."""
        return any(
            each.spec.host == claim.spec.host and each.key != claim.key and not each.is_released
            for each in sight.claims_of(claim.spec.owner.uid)
        )
