"""GPUClaim: one GPU owned by one VM. Its name is the device, so creating it is the lock.

    made ──> bound ──> given to a guest ──> released ──> cleaned (lifecycle/gpu_claim) ──> deleted: the GPU is free

On a KubeVirt cluster there is no claim before the guest said which GPU it got: it is made by the GPU's UUID when the VM is
proven, and goes when the machine's instance is gone.

`status.functions` is written before the first driver is touched and says what must be restored; it is the only record that a
crashed controller leaves of a half-done bind. A released claim is owned by nobody and still locks the GPU until it is clean.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from provisioner.model.cluster import ClaimedInstance
from provisioner.model.examination import AerCounts, GpuIdentity
from provisioner.model.gpu_cleaning import Cleaning, GuestEvidence
from provisioner.model.metadata import HIKUBE, Key, Part, Resource, Status
from provisioner.model.pci import PciAddress, PciAddressOrNone


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
    address: PciAddressOrNone = ""
    """On a KubeVirt cluster empty, unless the cluster told it."""
    gpu_name: str
    owner: ClaimOwner
    uuid: str | None = None
    """As the guest's driver reports it, where the claim is named by it: on a KubeVirt cluster."""

    @property
    def device(self) -> str:
        """By which the GPU is known on its host: its UUID where the claim is named by it, else its address."""
        return self.uuid or self.address


class ClaimedFunction(Part):
    """One function of the GPU's group and how it was before we touched it."""

    address: PciAddress
    vendor: str
    device: str
    previous_driver: str = ""
    """Empty: it had none."""
    previous_override: str = ""
    """Its driver_override; empty: unset, or the host could not be asked."""
    aer: AerCounts | None = None
    """Totals when it was bound; None where they could not be read."""


class GPUClaimStatus(Status):
    """What must be restored, whose hands it went through, and how far it is on its way home."""

    functions: tuple[ClaimedFunction, ...] = ()
    """Function 0 first; empty until the first bind is about to begin."""
    identity: GpuIdentity | None = None
    """Of function 0, recorded with `functions`: every later start must find the same card."""
    iommu_group: int | None = None
    """Its number then; another one after a boot of the host means nothing."""
    group_members: tuple[PciAddress, ...] = ()
    """The members of the group that are no bridges, recorded with `functions`."""
    host_boot_id: str = ""
    """Of the host when the GPU was last bound; empty where it could not be asked."""
    bound: bool = False
    bound_at: str = ""
    """When all functions were first on vfio-pci."""
    given_at: str = ""
    """When a domain was first about to start with it; empty: no guest has had it under this claim."""
    released_at: str = ""
    """When its owner let go of it, or was found gone."""
    machine: ClaimedInstance | None = None
    """Who has the GPU on a KubeVirt cluster."""
    guest: GuestEvidence = Field(default_factory=GuestEvidence)
    cleaning: Cleaning = Field(default_factory=Cleaning)


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

    @property
    def is_released(self) -> bool:
        """Whether nobody owns the GPU any more; it is not free before it is clean."""
        return bool(self.status.released_at)

    @property
    def was_given(self) -> bool:
        """Whether a guest may have had the GPU; a claim of a version that did not record it counts from its bind."""
        return bool(self.status.given_at) or (self.status.bound and not self.status.bound_at)
