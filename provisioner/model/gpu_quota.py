"""GPUQuota: what the VMs of one namespace may have: so many GPUs, and only hosts with certain labels.

A namespace is a tenant. Every quota of it holds, so the strictest wins; a namespace without one is not limited. A quota is
asked when a VM is placed and never later: one that is lowered stops nothing that runs, and says so in its condition. Tenants
may read it, and whoever gives them rights keeps them from writing it, as with Kubernetes' own ResourceQuota.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from provisioner.model.metadata import HIKUBE, Part, Resource, Status

ALL_GPUS = "gpus"
"""In `hard` and `used`: GPUs of all models together."""
WITHIN_QUOTA = "WithinQuota"
"""Its condition: False while more is used than it allows."""


class GPUQuotaSpec(Part):
    """What is allowed. At least one of the two says something."""

    hard: dict[str, int] = Field(default_factory=dict)
    """The most GPUs by model (canonical resource name), and by `gpus` of all models together; others are not limited."""
    host_selector: dict[str, str] = Field(default_factory=dict)
    """Labels that a GPUHost must have for VMs of the namespace; empty: any host will do."""


class GPUQuotaStatus(Status):
    """What is allowed and used, side by side."""

    hard: dict[str, int] = Field(default_factory=dict)
    """As in the spec that `used` was counted for."""
    used: dict[str, int] = Field(default_factory=dict)
    """GPUs that VMs of the namespace have: claimed, or promised to them. A stopped VM has none."""


class GPUQuota(Resource):
    """What the VMs of one namespace may have."""

    KIND: ClassVar[str] = "GPUQuota"
    API_VERSION: ClassVar[str] = HIKUBE
    PLURAL: ClassVar[str] = "gpuquotas"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("quota", "quotas", "gq")

    api_version: str = HIKUBE
    kind: str = "GPUQuota"
    spec: GPUQuotaSpec
    status: GPUQuotaStatus = Field(default_factory=GPUQuotaStatus)
