"""Who may evict a launcher pod: `virt-launcher-eviction-interceptor.kubevirt.io`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tests.kubernetes.kubevirt import conditions
from tests.kubernetes.kubevirt.fields import Document, at, items
from tests.kubernetes.kubevirt.instance_status import is_final
from tests.kubernetes.kubevirt.refusals import Denial

TOO_MANY_REQUESTS = 429
MIGRATES = frozenset({"LiveMigrate", "LiveMigrateIfPossible"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """The refusal, if there is one, and whether the instance is marked with the node that it is to leave."""

    denial: Denial | None = None
    is_marked: bool = False


def judge(instance: Document | None) -> Verdict:
    """Args: instance: of the pod; None for any other pod."""
    if instance is None or is_final(instance):
        return Verdict()
    strategy = at(instance, "spec", "evictionStrategy", default="None")
    held = items(instance, "status", "conditions")
    migrates = strategy in MIGRATES and conditions.has(held, "LiveMigratable", status=True)
    name, namespace = instance["metadata"]["name"], instance["metadata"]["namespace"]
    if strategy == "External" or migrates:
        return Verdict(_denial(f'Eviction triggered evacuation of VMI "{namespace}/{name}"'), is_marked=True)
    if strategy == "LiveMigrate":
        return Verdict(_denial(f"VMI {name} is configured with an eviction strategy but is not live-migratable"))
    return Verdict()


def _denial(message: str) -> Denial:
    """Without a reason: by the code alone it cannot be told from a PodDisruptionBudget's."""
    return Denial(message, code=TOO_MANY_REQUESTS, reason="")
