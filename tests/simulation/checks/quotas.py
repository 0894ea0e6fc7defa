"""What a namespace may have: no VM is given GPUs that its namespace's quotas have no room for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import claim_name
from provisioner.model.gpu_quota import ALL_GPUS, GPUQuota
from provisioner.model.metadata import Key
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.protocol import ChangeType
from tests.simulation.checks.readiness import MACHINES, holds
from tests.simulation.sight import Sight


class NamespacesKeepToTheirQuotas:
    """When a VM is scheduled with claims that it did not have, its namespace has no more GPUs than every quota allows.

    What was claimed and not yet noted may still be given back, and does not count. Nobody could know a quota that was lowered
    after the pass began.
    """

    name = "namespaces-keep-to-their-quotas"
    watches = MACHINES | {GPUClaim.KIND, GPUQuota.KIND}

    def __init__(self) -> None:
        self._had: dict[Key, tuple[str, str]] = {}
        """By claim that a VM was scheduled with: namespace and model."""
        self._limits: defaultdict[Key, list[tuple[float, dict[str, int] | None]]] = defaultdict(list)
        """By quota: from when on it said what, by monotonic time; None: it was gone."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            resource = change.resource
            if isinstance(resource, GPUQuota):
                hard = None if change.type is ChangeType.DELETED else resource.spec.hard
                self._limits[resource.key].append((sight.now_s, hard))
            elif isinstance(resource, GPUClaim) and (change.type is ChangeType.DELETED or resource.is_released):
                self._had.pop(resource.key, None)
            elif isinstance(resource, VirtualMachine) and change.type is not ChangeType.DELETED:
                yield from self._too_much(resource, sight) if self._is_given(resource, sight) else ()

    def _is_given(self, vm: VirtualMachine, sight: Sight) -> bool:
        """Whether it is scheduled with a claim for the first time."""
        if not holds(vm, "Scheduled"):
            return False
        is_new = False
        for gpu in vm.status.gpus:
            claim = sight.find(Key(GPUClaim.KIND, "", claim_name(gpu.host, gpu.address)))
            if isinstance(claim, GPUClaim) and not claim.is_released and claim.spec.owner.uid == vm.metadata.uid:
                is_new = is_new or claim.key not in self._had
                self._had[claim.key] = (vm.metadata.namespace, claim.spec.gpu_name)
        return is_new

    def _too_much(self, vm: VirtualMachine, sight: Sight) -> Iterator[str]:
        namespace = vm.metadata.namespace
        used = Counter(model for where, model in self._had.values() if where == namespace)
        used[ALL_GPUS] = used.total()
        for key in sorted(self._limits):
            if key.namespace == namespace:
                for resource, hard in self._allowed(key, sight.pass_began_s).items():
                    if used[resource] > hard:
                        so = f"{namespace} has {used[resource]} of {hard} {resource} that {key} allows"
                        yield f"{vm.key} was given GPUs: {so}"

    def _allowed(self, key: Key, since_s: float) -> dict[str, int]:
        """The most that the quota allowed of anything that it limited all the time since then."""
        told = self._limits[key]
        before = [number for number, (at_s, _) in enumerate(told) if at_s < since_s]
        del told[: before[-1] if before else 0]
        if not before:
            return {}  # nobody had to know it
        said = [hard for _, hard in told]
        limits = [hard for hard in said if hard is not None]
        if len(limits) < len(said):
            return {}
        return {name: max(hard[name] for hard in limits) for name in limits[0] if all(name in hard for hard in limits)}
