"""One GPU as data, for tables, text and `-o json`: what its host shows, what planning computes, and what operators did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cli.fleets import fleet_of
from cli.gpu_names import label_of
from cli.session import Session
from provisioner.model.gpu_host import GpuHealth, GpuState
from provisioner.model.pci import name_part
from provisioner.planning.policy import PlacementPolicy

if TYPE_CHECKING:
    from provisioner.model.gpu_host import GpuFacts, GPUHost
    from provisioner.planning.fleet import GpuView, HostView

RETIRED_ANNOTATION = "hikube.cloud/gpu-retired."
"""Followed by the address as part of a name; says why it was retired."""

Row = dict[str, Any]


def gpu_rows(session: Session, *, host: str = "") -> list[Row]:
    """Every GPU, by host and address; of one host if it is named."""
    views = fleet_of(session).views(policy=PlacementPolicy())
    return [row for view in views if host in ("", view.name) for row in _rows_of(session, view)]


def gpu_row(session: Session, host: str, address: str) -> Row:
    """One GPU, which must be known to the host."""
    return next(row for row in gpu_rows(session, host=host) if row["address"] == address)


def _rows_of(session: Session, view: HostView) -> Iterator[Row]:
    if view.host.spec.is_cluster:
        yield from _rows_of_cluster(session, view)
        return
    shown = {gpu.facts.address: gpu for gpu in view.gpus}
    gone = {entry.address for entry in view.host.status.quarantined} | set(view.host.spec.retired)
    for address in sorted(shown.keys() | gone):
        gpu = shown.get(address)
        facts = _facts(session, gpu.facts) if gpu is not None else _nothing_known()
        yield {
            "host": view.name,
            "address": address,
            **_standing(view.host, address, gpu),
            **facts,
            **_said(view.host, address),
        }


def _rows_of_cluster(session: Session, view: HostView) -> Iterator[Row]:
    """Those that a guest has reported: of the others only their number is known, which `hikube host list` shows."""
    from provisioner.lifecycle.fleet import snapshot

    claims = next(load.claims for load in snapshot(session.store, session.tables).loads if load.name == view.name)
    for claim in claims:
        yield {
            "host": view.name,
            "address": claim.spec.device,
            "state": (GpuState.CLEANING if claim.is_released else GpuState.CLAIMED).value,
            "owner": "" if claim.is_released else str(claim.spec.owner.key),
            "quarantine": None,
            "retired": False,
            "retiredReason": "",
            **_nothing_known(),
            "gpu": label_of(session.tables, claim.spec.gpu_name),
            "name": claim.spec.gpu_name,
            "health": GpuHealth.OK.value,
            "healthMessage": "",
            "node": claim.status.machine.node if claim.status.machine is not None else "",
            "serial": claim.status.guest.serial,
            "findings": [],
            "lastCheck": None,
        }


def _standing(host: GPUHost, address: str, gpu: GpuView | None) -> Row:
    """Who may have it, and who has."""
    entry = next((each for each in host.status.quarantined if each.address == address), None)
    is_retired = address in host.spec.retired
    unseen = GpuState.QUARANTINED if entry is not None else GpuState.RETIRED
    return {
        "state": (gpu.state if gpu is not None else unseen).value,
        "owner": str(gpu.owner) if gpu is not None and gpu.owner is not None else "",
        "quarantine": entry.as_json() if entry is not None else None,
        "retired": is_retired,
        "retiredReason": host.metadata.annotations.get(RETIRED_ANNOTATION + name_part(address), "") if is_retired else "",
    }


def _facts(session: Session, facts: GpuFacts) -> Row:
    return {
        "gpu": label_of(session.tables, facts.name),
        "name": facts.name,
        "health": facts.health.value,
        "healthMessage": facts.health_message,
        "driver": facts.function.driver,
        "iommuGroup": facts.iommu_group,
        "companions": [companion.as_json() for companion in facts.companions],
        "numaNode": facts.numa_node,
        "pcieParent": facts.pcie_parent,
        "linkSpeedGts": facts.link_speed_gts,
        "linkWidth": facts.link_width,
        "barBytes": list(facts.bar_bytes),
        "resetMethods": list(facts.reset_methods),
        "identity": facts.identity.as_json() if facts.identity is not None else None,
    }


def _nothing_known() -> Row:
    """Of a GPU that its host does not show."""
    return {
        "gpu": "",
        "name": "",
        "health": GpuHealth.MISSING.value,
        "healthMessage": "the host does not show it",
        "driver": "",
        "iommuGroup": None,
        "companions": [],
        "numaNode": None,
        "pcieParent": "",
        "linkSpeedGts": None,
        "linkWidth": None,
        "barBytes": [],
        "resetMethods": [],
        "identity": None,
    }


def _said(host: GPUHost, address: str) -> Row:
    """What the doctor and the last check found."""
    check = next((each for each in host.status.checks if each.address == address), None)
    return {
        "findings": [finding.as_json() for finding in host.status.findings if finding.subject == address],
        "lastCheck": check.as_json() if check is not None else None,
    }
