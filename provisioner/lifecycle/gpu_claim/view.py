"""A released claim during one pass: its host, its functions, and what its cleaning has come to so far."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.lifecycle.hypervisors import WatchedHypervisor
from provisioner.lifecycle.view import View
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_cleaning import Cleaning
from provisioner.model.gpu_host import GPUHost, ResetPolicy


class GPUClaimView(View[GPUClaim]):
    """What the steps of a claim see."""

    @cached_property
    def host(self) -> GPUHost:
        """The host that the GPU is on.

        Raises:
            NotFound: it was taken out of the store.
        """
        return self.ports.store.get(GPUHost, self.resource.spec.host)

    @cached_property
    def hypervisor(self) -> Hypervisor:
        """A connection to the host; one that notes when the host stops answering."""
        return WatchedHypervisor.over(self.ports.connections, self.host.spec.uri)

    @property
    def address(self) -> str:
        """Function 0."""
        return self.resource.spec.address

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every function that was recorded; function 0 alone if none was."""
        return tuple(function.address for function in self.resource.status.functions) or (self.address,)

    @property
    def cleaning(self) -> Cleaning:
        """What became of the GPU so far."""
        return self.resource.status.cleaning

    @property
    def must_be_shown(self) -> bool:
        """Whether what cannot be shown counts as not done."""
        return self.host.spec.reset_policy is ResetPolicy.REQUIRED

    def note(self, **changes: Any) -> None:
        """Write fields of `cleaning`. Raises as `write`."""
        self.write(cleaning=self.cleaning.model_copy(update=changes))
