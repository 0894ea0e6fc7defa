"""What `virtualmachine-validator.kubevirt.io` refuses of a VM. Pure; the texts are KubeVirt's.

Only what was observed is here: a VM that passes may still be refused by KubeVirt, never the other way round.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tests.kubernetes.kubevirt.cloud_init_rules import cloud_init_causes
from tests.kubernetes.kubevirt.fields import Document, at, items
from tests.kubernetes.kubevirt.gpu_rules import gpu_causes
from tests.kubernetes.kubevirt.overhead import is_dedicated
from tests.kubernetes.kubevirt.quantities import size_bytes
from tests.kubernetes.kubevirt.refusals import SPEC, Cause

STRATEGIES = frozenset({"Always", "Halted", "Manual", "RerunOnFailure", "Once", "WaitAsReceiver"})
EVICTIONS = frozenset({"", "None", "LiveMigrate", "LiveMigrateIfPossible", "External"})
OF_INSTANCETYPE = (
    "cpu.cores",
    "cpu.sockets",
    "cpu.threads",
    "memory.guest",
    "resources.requests.cpu",
    "resources.requests.memory",
    "devices.gpus",
    "devices.hostDevices",
)


def machine_causes(machine: Document, gates: Collection[str]) -> list[Cause]:
    """Every mistake, in KubeVirt's order as far as it is known. Args: gates: the feature gates that are on."""
    spec = at(machine, "spec", "template", "spec", default={})
    return [
        *_run_strategy(machine["spec"]),
        *_instancetype(machine["spec"], spec),
        *_disks(spec),
        *cloud_init_causes(spec),
        *_eviction(spec),
        *_hugepages(spec),
        *_dedicated(spec),
        *gpu_causes(spec, gates),
    ]


def _run_strategy(spec: Document) -> Iterator[Cause]:
    running, strategy = spec.get("running"), spec.get("runStrategy")
    if running is not None and strategy is not None:
        text = "Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use RunStrategy instead"
        yield Cause(text, "spec.running")
    elif running is None and strategy is None:
        yield Cause("RunStrategy must be specified", "spec.runStrategy")
    elif strategy is not None and strategy not in STRATEGIES:
        yield Cause(f"Invalid RunStrategy ({strategy})", "spec.runStrategy")


def _instancetype(machine: Document, spec: Document) -> Iterator[Cause]:
    if not at(machine, "instancetype", "name"):
        return
    for path in OF_INSTANCETYPE:
        if at(spec, "domain", *path.split(".")):
            field = f"{SPEC}.domain.{path}"
            yield Cause(f"VM field(s) {field} conflicts with selected instance type", field)


def _disks(spec: Document) -> Iterator[Cause]:
    volumes = {each["name"] for each in items(spec, "volumes")}
    for number, disk in enumerate(items(spec, "domain", "devices", "disks")):
        if disk.get("name") not in volumes:
            field = f"{SPEC}.domain.devices.disks[{number}].Name"
            yield Cause(f"{field} '{disk.get('name')}' not found.", field)


def _eviction(spec: Document) -> Iterator[Cause]:
    strategy = spec.get("evictionStrategy") or ""
    if strategy not in EVICTIONS:
        field = f"{SPEC}.evictionStrategy"
        yield Cause(f"{field} is set with an unrecognized option: {strategy}", field)


def _hugepages(spec: Document) -> Iterator[Cause]:
    page = at(spec, "domain", "memory", "hugepages", "pageSize")
    if not page:
        return
    asked = at(spec, "domain", "resources", "requests", "memory")
    size = size_bytes(asked or at(spec, "domain", "memory", "guest", default=0))
    if size % size_bytes(page):
        field = f"{SPEC}.domain.resources.requests.memory"
        of = f"page size {SPEC}.domain.memory.hugepages.pageSize '{page}'"
        yield Cause(f"{field} '{asked or 0}' is not a multiple of the {of}", field)


def _dedicated(spec: Document) -> Iterator[Cause]:
    domain = at(spec, "domain", default={})
    if not is_dedicated(domain):
        return
    base = f"{SPEC}.domain"
    requests, limits = at(domain, "resources", "requests", default={}), at(domain, "resources", "limits", default={})
    if at(domain, "cpu", "cores") and (requests.get("cpu") or limits.get("cpu")):
        text = f"{base}.resources.requests.cpu or {base}.resources.limits.cpu must not be provided at the same time with "
        yield Cause(f"{text}{base}.cpu.cores when DedicatedCPUPlacement is true ", f"{base}.cpu.dedicatedCpuPlacement")
    both = requests.get("memory"), limits.get("memory")
    if all(both) and size_bytes(both[0]) != size_bytes(both[1]):
        text = f"{base}.resources.requests.memory must be equal to {base}.resources.limits.memory"
        yield Cause(text, f"{base}.resources.requests.memory")
