"""One VM as text: where it is, its GPUs on the host and in the guest, and what does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.render.age import age
from cli.render.conditions import conditions_lines
from cli.render.resources import at, external_words, gpu_counts, machine_status
from cli.render.table import NONE, table

GPU_TITLES = ("GPU", "HOST-ADDRESS", "GUEST-ADDRESS", "COMPANIONS", "UUID")


def machine_text(item: Mapping[str, Any], *, now_s: float) -> str:
    """The whole text."""
    lines = [
        ("Name", at(item, "metadata.name")),
        ("Namespace", at(item, "metadata.namespace")),
        ("Status", machine_status(item)),
        ("Failure", at(item, "status.lastFailure") if machine_status(item) != "Ready" else ""),
        ("Host", at(item, "status.host")),
        ("Address", at(item, "status.address")),
        ("External", external_words(item)),
        ("GPUs", gpu_counts(gpu["name"] for gpu in at(item, "spec.gpus", ()))),
        ("Driver", at(item, "status.driverVersion")),
        ("Size", _size(item)),
        ("Disk", _disk(item)),
        ("Run", at(item, "spec.runStrategy")),
        ("Domain", at(item, "status.domain")),
        ("Machine", _machine(item)),
        ("Age", age(at(item, "metadata.creationTimestamp"), now_s)),
    ]
    text = "".join(_field(title, str(value)) for title, value in lines if value)
    gpus = at(item, "status.gpus", ())
    if gpus:
        text += "\n" + table(GPU_TITLES, [_gpu_row(gpu) for gpu in gpus])
    return text + "\n" + "".join(f"{line}\n" for line in conditions_lines(at(item, "status.conditions", ()), now_s))


def _field(title: str, value: str) -> str:
    first, *rest = value.splitlines() or [""]
    return f"{title + ':':<11} {first}\n" + "".join(f"{'':<11} {line}\n" for line in rest)


def _size(item: Mapping[str, Any]) -> str:
    """The instance type with what overrides it; what it really runs with, once it does."""
    running = at(item, "status.runningSpec", {})
    if running:
        return f"{running['vcpus']} vCPUs, {running['memoryMib']} MiB"
    given = at(item, "spec.resources", {})
    parts = [at(item, "spec.instanceType"), *(f"{name}={value}" for name, value in given.items() if value)]
    return " ".join(part for part in parts if part)


def _disk(item: Mapping[str, Any]) -> str:
    image = at(item, "spec.systemDisk.image")
    disks = [disk["name"] for disk in at(item, "spec.disks", ())]
    system = f"{at(item, 'spec.systemDisk.storage')} from image {image}" if image else ""
    return ", ".join(part for part in (system, *disks) if part)


def _machine(item: Mapping[str, Any]) -> str:
    """On a KubeVirt cluster: what to ask the cluster for, and on which node it is."""
    machine = at(item, "status.machine", None)
    if not machine:
        return ""
    where = f" on node {machine['node']}" if machine.get("node") else ""
    return f"{machine['namespace']}/{machine['name']}{where}"


def _gpu_row(gpu: Mapping[str, Any]) -> list[str]:
    return [
        gpu["name"],
        gpu["address"] or NONE,
        gpu.get("guestAddress") or NONE,
        ",".join(gpu.get("companions", ())) or NONE,
        gpu.get("uuid") or NONE,
    ]
