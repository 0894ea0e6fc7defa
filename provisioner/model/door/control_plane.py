"""Readers of a cluster's control plane, under its present name and as `kamajiControlPlane` of older documents."""

from __future__ import annotations

from typing import Any

from provisioner.model.door import scalars
from provisioner.model.door.free import free_mappings
from provisioner.model.door.node_groups import quantity
from provisioner.model.door.places import Place, fields_of, items_of
from provisioner.model.kubernetes import ApiServer, Component, ComponentResources, ControlPlane, Konnectivity

_SIZES = ("nano", "micro", "small", "medium", "large", "xlarge", "2xlarge")
PRESETS = (*_SIZES, *(f"{family}.{size}" for family in ("t1", "c1", "s1", "u1", "m1") for size in (*_SIZES, "4xlarge")), "none")
_PARTS = ("apiServer", "controllerManager", "scheduler", "konnectivity")
_SIZING = ("resources", "resourcesPreset")


def read_control_plane(place: Place | None, kamaji: Place | None) -> ControlPlane:
    """The control plane; what both shapes say must be said once."""
    fields = fields_of(place, ("replicas", *_PARTS))
    if kamaji is not None:
        kamaji.warn("kamajiControlPlane is the older name; write controlPlane")
        fields |= _kamaji(kamaji, fields)
    konnectivity = fields_of(fields.get("konnectivity"), ("server",))
    return ControlPlane(
        replicas=scalars.integer(fields.get("replicas"), 2, least=1, most=9),
        api_server=_api_server(fields.get("apiServer")),
        controller_manager=_component(fields.get("controllerManager")),
        scheduler=_component(fields.get("scheduler")),
        konnectivity=Konnectivity(server=_component(konnectivity.get("server"))),
    )


def _kamaji(place: Place, newer: dict[str, Place]) -> dict[str, Place]:
    """The older shape's parts; konnectivity stood below `addons` there."""
    fields = fields_of(place, ("replicas", *_PARTS, "addons"))
    addons = fields_of(fields.pop("addons", None), ("konnectivity",))
    older = {**addons, **fields}
    for name in older.keys() & newer.keys():
        older[name].mistake(f"{name} stands under controlPlane too; leave kamajiControlPlane out")
    return older


def _component(place: Place | None) -> Component:
    return Component.model_validate(_sizing(fields_of(place, _SIZING)))


def _api_server(place: Place | None) -> ApiServer:
    fields = fields_of(place, (*_SIZING, "extraArgs", "extraVolumes", "extraVolumeMounts"))
    values = _sizing(fields)
    values["extra_args"] = tuple(scalars.text(item) for item in items_of(fields.get("extraArgs"), of_what="flags", most=200))
    values["extra_volumes"] = free_mappings(fields.get("extraVolumes"))
    values["extra_volume_mounts"] = free_mappings(fields.get("extraVolumeMounts"))
    return ApiServer.model_validate(values)


def _sizing(fields: dict[str, Place]) -> dict[str, Any]:
    resources = fields_of(fields.get("resources"), ("cpu", "memory"))
    values: dict[str, Any] = {
        "resources": ComponentResources(cpu=quantity(resources.get("cpu")), memory=quantity(resources.get("memory")))
    }
    if "resourcesPreset" in fields:
        values["resources_preset"] = scalars.one_of(fields["resourcesPreset"], PRESETS, default="micro")
    return values
