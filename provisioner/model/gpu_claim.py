"""GPUClaim: one GPU owned by one VM. Its name is the device, so creating it is the lock.

`status.functions` is written before the first driver is touched and says what must be restored; it is the only record that a
crashed controller leaves of a half-done bind.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from provisioner.model.metadata import HIKUBE, Key, Part, Resource, Status
from provisioner.model.pci import PciAddress


class ClaimOwner(Part):
    """The VM that owns the GPU."""

    kind: str
    namespace: str
    name: str
    uid: str

    @property
    def key(self) -> Key:
        """The owner's name in the store."""
        return Key(self.kind, self.namespace, self.name)


class GPUClaimSpec(Part):
    """Who owns what; never changed after creation."""

    host: str
    address: PciAddress
    gpu_name: str
    owner: ClaimOwner


class ClaimedFunction(Part):
    """One function of the GPU's group and how it was before we touched it."""

    address: PciAddress
    vendor: str
    device: str
    previous_driver: str = ""
    """Empty: it had none."""


class GPUClaimStatus(Status):
    """What must be restored."""

    functions: tuple[ClaimedFunction, ...] = ()
    """Empty until the first bind is about to begin."""
    bound: bool = False


class GPUClaim(Resource):
    """One GPU owned by one VM."""

    KIND: ClassVar[str] = "GPUClaim"
    API_VERSION: ClassVar[str] = HIKUBE
    NAMESPACED: ClassVar[bool] = False
    PLURAL: ClassVar[str] = "gpuclaims"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("claim", "claims", "gc")

    api_version: str = HIKUBE
    kind: str = "GPUClaim"
    spec: GPUClaimSpec
    status: GPUClaimStatus = Field(default_factory=GPUClaimStatus)
