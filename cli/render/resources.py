"""Columns of every kind, over objects in their JSON form. NAME comes first and AGE last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cli.render.age import age
from cli.render.conditions import in_order
from cli.render.table import NONE, Column, Item


def at(item: Item, path: str, default: Any = "") -> Any:
    """`status.kvm.works` of the object; `default` where anything on the way is absent."""
    value: Any = item
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
        if value is None:
            return default
    return value


def field(title: str, path: str, *, wide: bool = False) -> Column:
    """A column that shows one field."""
    return Column(title, lambda item, _: str(at(item, path)), wide)


def gpu_counts(names: Iterable[str]) -> str:
    """`2xAD102GL_L40S`: canonical names without their vendor, counted."""
    counted = Counter(name.rsplit("/", 1)[-1] for name in names)
    return ",".join(f"{count}x{name}" for name, count in counted.items())


def machine_status(item: Item) -> str:
    """The phase, or Deleting as soon as deletion was asked for; of a Ready VM, what is wrong since.

    HostAway: its host does not answer, so nobody knows whether it runs. GPULost: a GPU died under it, and it runs on.
    """
    if at(item, "metadata.deletionTimestamp"):
        return "Deleting"
    phase = str(at(item, "status.phase", "Pending"))
    if phase == "Ready":
        unmet = {each["type"] for each in at(item, "status.conditions", ()) if each["status"] == "False"}
        phase += "".join(word for condition, word in _WRONG_SINCE.items() if condition in unmet)
    return phase


_WRONG_SINCE = {"HostReachable": ",HostAway", "GPUHealthy": ",GPULost"}
"""Conditions that no step sets, and what their False adds to the phase."""


def external_words(item: Item) -> str:
    """`203.0.113.17:22,8888`: where it is reached from outside and on which ports; empty for a VM that does not ask for it."""
    if not at(item, "spec.external", False):
        return ""
    found: Item = next((each for each in at(item, "status.conditions", ()) if each["type"] == "Published"), {})
    if found.get("status") != "True":
        return "NotPublished"
    is_whole = at(item, "spec.externalMethod") == "WholeIP"
    ports = "all" if is_whole else ",".join(map(str, sorted(at(item, "spec.externalPorts", ()))))
    return f"{at(item, 'status.externalAddress') or at(item, 'status.address')}:{ports}"


def machine_reason(item: Item) -> str:
    """Why the VM is not ready: the reason of its first condition that does not hold."""
    for condition in in_order(at(item, "status.conditions", ())):
        if condition["status"] == "False":
            return str(condition["reason"])
    return ""


def host_status(item: Item) -> str:
    """Ready, Unreachable, Refused (it answers, and not to us) or Unknown (nobody has tried), and whether it is cordoned."""
    if at(item, "status.reachable", False):
        word = "Ready"
    elif _trouble(item).get("reason") == "Refused":
        word = "Refused"
    else:
        word = "Unreachable" if _trouble(item) or at(item, "status.lastSeen") else "Unknown"
    return f"{word},Cordoned" if at(item, "spec.cordoned", False) else word


def host_trouble(item: Item) -> str:
    """Why a host is not reached; empty where it is, and where nobody has tried."""
    return "" if at(item, "status.reachable", False) else " ".join(str(_trouble(item).get("message", "")).split())


def _trouble(item: Item) -> Mapping[str, Any]:
    conditions = (each for each in at(item, "status.conditions", ()) if each["type"] == "Ready")
    return next((each for each in conditions if each["status"] == "False"), {})


def kvm_word(item: Item) -> str:
    """Whether KVM runs guests there; of a KubeVirt cluster that is no question."""
    if str(at(item, "spec.uri")).startswith("kubevirt:"):
        return NONE
    return {True: "works", False: "broken"}.get(at(item, "status.kvm.works", None), "unproven")


def claim_state(item: Item) -> str:
    """Reserved, Bound to its VM, or Cleaning once that has let go of it."""
    if at(item, "status.releasedAt"):
        return "Cleaning"
    return "Bound" if at(item, "status.bound", False) else "Reserved"


def _last_entry(item: Item) -> Item:
    """Of a card's history; empty if it has none."""
    entries = at(item, "status.entries", ())
    return entries[-1] if entries else {}


def disk_reason(item: Item) -> str:
    """Why the disk is not ready; empty where it is."""
    conditions = {each["type"]: each for each in at(item, "status.conditions", ())}
    ready = conditions.get("Ready", {})
    return str(ready.get("reason", "")) if ready.get("status") == "False" else ""


def quota_use(item: Item) -> str:
    """`AD102GL_L40S:2/2,gpus:3/4`: used and allowed, of everything that the quota limits; `?` while nobody has counted."""
    used = at(item, "status.used", {})
    words = ((name.rsplit("/", 1)[-1], used.get(name, "?"), hard) for name, hard in at(item, "spec.hard", {}).items())
    return ",".join(f"{name}:{count}/{hard}" for name, count, hard in words)


def hosts_in_words(labels: Mapping[str, str]) -> str:
    """`zone=geneva,rack=r1`: the labels of hosts that may be used; `any` where none is asked for."""
    return ",".join(f"{name}={value}" for name, value in labels.items()) or "any"


def _condition(item: Item, condition_type: str) -> Item:
    """Of that type; empty if there is none."""
    return next((each for each in at(item, "status.conditions", ()) if each["type"] == condition_type), {})


def source_of_disk(item: Item) -> str:
    """`image/ubuntu`, `http`, `upload`, or `blank`."""
    for name, value in at(item, "spec.source", {}).items():
        return f"{name}/{value['name']}" if value.get("name") else str(name)
    return "blank"


NAME = field("NAME", "metadata.name")
NAMESPACE = field("NAMESPACE", "metadata.namespace")
AGE = Column("AGE", lambda item, now_s: age(at(item, "metadata.creationTimestamp"), now_s))

_MACHINE = (
    Column("STATUS", lambda item, _: machine_status(item)),
    Column("GPUS", lambda item, _: gpu_counts(gpu["name"] for gpu in at(item, "spec.gpus", ()))),
    field("HOST", "status.host"),
    field("ADDRESS", "status.address"),
    Column("EXTERNAL", lambda item, _: external_words(item), wide=True),
    Column("PCI", lambda item, _: ",".join(gpu["address"] for gpu in at(item, "status.gpus", ())), wide=True),
    field("TYPE", "spec.instanceType", wide=True),
    field("IMAGE", "spec.systemDisk.image", wide=True),
    field("RUN", "spec.runStrategy", wide=True),
    Column("REASON", lambda item, _: machine_reason(item), wide=True),
)

_BY_KIND: dict[str, tuple[Column, ...]] = {
    "VirtualMachine": _MACHINE,
    "VMInstance": _MACHINE,
    "VMDisk": (
        field("STATUS", "status.phase"),
        Column("SOURCE", lambda item, _: source_of_disk(item)),
        field("SIZE", "spec.storage"),
        field("HOST", "status.host"),
        field("USED-BY", "status.usedBy"),
        field("CLASS", "spec.storageClass", wide=True),
        field("POOL", "status.pool", wide=True),
        field("VOLUME", "status.volume", wide=True),
        Column("REASON", lambda item, _: disk_reason(item), wide=True),
    ),
    "GPUHost": (
        Column("STATUS", lambda item, _: host_status(item)),
        Column("GPUS", lambda item, _: gpu_counts(gpu["name"] for gpu in at(item, "status.gpus", ()))),
        Column("KVM", lambda item, _: kvm_word(item)),
        field("CPUS", "status.cpus"),
        Column("MEMORY", lambda item, _: f"{at(item, 'status.memoryMib', 0)}Mi"),
        field("URI", "spec.uri", wide=True),
        field("LIBVIRT", "status.capabilities.libvirtVersion", wide=True),
    ),
    "GPUClaim": (
        field("GPU", "spec.gpuName"),
        Column("OWNER", lambda item, _: f"{at(item, 'spec.owner.namespace')}/{at(item, 'spec.owner.name')}"),
        Column("STATE", lambda item, _: claim_state(item)),
    ),
    "GPUHistory": (
        field("HOST", "status.host"),
        field("ADDRESS", "status.address"),
        Column("TENANTS", lambda item, _: str(len(at(item, "status.entries", ())))),
        Column("LAST", lambda item, _: str(at(_last_entry(item), "owner.name"))),
        Column("OUTCOME", lambda item, _: str(at(_last_entry(item), "outcome"))),
        Column("RESET", lambda item, _: str(at(_last_entry(item), "cleaning.resetMethod")), wide=True),
        Column("SINCE", lambda item, _: str(at(_last_entry(item), "ended")), wide=True),
    ),
    "GPUQuota": (
        Column("USED", lambda item, _: quota_use(item)),
        Column("HOSTS", lambda item, _: hosts_in_words(at(item, "spec.hostSelector", {}))),
        Column("WITHIN", lambda item, _: _condition(item, "WithinQuota").get("status", "Unknown")),
        Column("REASON", lambda item, _: str(_condition(item, "WithinQuota").get("reason", "")), wide=True),
    ),
    "Image": (
        field("DISTRIBUTION", "spec.distribution"),
        field("FORMAT", "spec.format"),
        field("MIN-STORAGE", "spec.minStorage"),
        field("DRIVER", "spec.nvidiaDriver"),
        field("URL", "spec.url", wide=True),
        field("SHA256", "spec.sha256", wide=True),
    ),
    "Secret": (Column("KEYS", lambda item, _: ",".join(at(item, "spec.data", {}))),),
}


def columns_of(kind: str, *, all_namespaces: bool = False) -> Sequence[Column]:
    """The columns of a kind; with all namespaces, NAMESPACE follows NAME."""
    middle = _BY_KIND.get(kind, ())
    return (NAME, *((NAMESPACE,) if all_namespaces else ()), *middle, AGE)


def without_secrets(item: Item) -> Item:
    """The object as it may be printed: a Secret's values are replaced."""
    if item["kind"] != "Secret":
        return item
    hidden = dict.fromkeys(at(item, "spec.data", {}), "<hidden>")
    return {**item, "spec": {**item["spec"], "data": hidden}}


def short_name(item: Item) -> str:
    """`virtualmachine/demo`, as `-o name` prints it."""
    return f"{item['kind'].lower()}/{at(item, 'metadata.name')}"
