"""What a look at a host through libvirt shows, and what of the earlier status outlasts it.

A survey knows nothing of quarantine, of what was seen from inside, or of which card was here before; all of that is carried
over. A GPU that is gone is kept in the list where somebody must still see it: a VM owns it, or an operator took it out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.lifecycle.kubevirt.surveying import survey_cluster
from provisioner.lifecycle.ports import Ports
from provisioner.model.catalogue import GpuCatalogue
from provisioner.model.gpu_host import GpuFacts, GpuHealth, GPUHost, GPUHostStatus
from provisioner.planning.doctor.diagnosis import is_judged

KEPT = frozenset(
    {"conditions", "steps", "observed_generation", "quarantined", "retired", "checks", "kvm"}
    | {"boot_id", "examined", "iommu_address_width_bits", "hugepages", "findings"}
)
"""Fields of the status that a survey does not know."""


def surveyed(host: GPUHost, hypervisor: Hypervisor, catalogue: GpuCatalogue) -> GPUHostStatus:
    """A look at the host, with its GPUs under the names of the catalogue."""
    found = hypervisor.inventory.survey(host.spec.gpu_rules)
    gpus = tuple(gpu.model_copy(update={"name": catalogue.name_for_id(gpu.function.id)}) for gpu in found.gpus)
    return found.model_copy(update={"gpus": gpus, "reachable": True})


def survey_host(host: GPUHost, ports: Ports) -> GPUHost:
    """The host with a fresh survey in its status, not stored: an immediate answer for whoever adds it, or asks the doctor.

    Raises: HostUnreachable, NotAllowed, InvalidInput and whatever the hypervisor says.
    """
    if host.spec.is_cluster:
        fresh = survey_cluster(host, ports.clusters.connect(host.spec.uri), ports.tables.gpus)
        return fresh.with_status(last_seen=ports.now())
    hypervisor = ports.connector.connect(host.spec.uri)
    found = surveyed(host, hypervisor, ports.tables.gpus)
    return with_survey(host, found, claimed=claimed_on(host.metadata.name, ports)).with_status(last_seen=ports.now())


def claimed_on(host: str, ports: Ports) -> frozenset[str]:
    """Addresses of the host's GPUs that a claim holds, whatever has become of its owner."""
    return frozenset(claim.spec.address for claim in ports.snapshots.claims_on(host, ports.store, ports.tables))


def with_survey(host: GPUHost, found: GPUHostStatus, *, claimed: Collection[str]) -> GPUHost:
    """The host with what a survey found; `claimed` are addresses of GPUs that somebody owns."""
    shown = {*claimed, *host.spec.retired, *(entry.address for entry in host.status.quarantined)}
    gpus = (*carried(host.status.gpus, found.gpus), *_missing(host.status.gpus, found.gpus, shown))
    changes = {name: getattr(found, name) for name in type(found).model_fields if name not in KEPT}
    return host.with_status(**changes | {"gpus": gpus, "reachable": True})


def carried(before: Iterable[GpuFacts], now: Iterable[GpuFacts]) -> tuple[GpuFacts, ...]:
    """The GPUs of a survey with what only an examination knows, from before; it holds until the next examination."""
    known = {gpu.address: gpu for gpu in before}
    return tuple(_carried(known[gpu.address], gpu) if gpu.address in known else gpu for gpu in now)


def _carried(before: GpuFacts, now: GpuFacts) -> GpuFacts:
    changes: dict[str, object] = {"identity": before.identity, "at_home_boot_id": before.at_home_boot_id}
    changes |= {name: getattr(now, name) or getattr(before, name) for name in ("bar_bytes", "reset_methods")}
    if is_judged(before) and now.health is GpuHealth.OK:
        changes |= {"health": before.health, "health_message": before.health_message}
    return now.model_copy(update=changes)


def _missing(before: Iterable[GpuFacts], now: Iterable[GpuFacts], shown: set[str]) -> tuple[GpuFacts, ...]:
    """GPUs that are not there any more and of which somebody must be able to see that."""
    seen = {gpu.address for gpu in now}
    changes = {"health": GpuHealth.MISSING, "health_message": "the host does not show it any more"}
    lost = (gpu for gpu in before if gpu.address not in seen and gpu.address in shown)
    return tuple(gpu.model_copy(update=changes) for gpu in lost)
