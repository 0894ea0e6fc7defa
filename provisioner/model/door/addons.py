"""Readers of a cluster's addons, and of `plugins`, the name of the first documents for the same."""

from __future__ import annotations

from typing import Any

from provisioner.model.door import scalars
from provisioner.model.door.free import free_mapping
from provisioner.model.door.nodes import shown
from provisioner.model.door.places import Place, fields_of, items_of, members_of
from provisioner.model.kubernetes import Addons
from provisioner.model.suggestions import nearest

_SWITCH, _VALUES = ("enabled",), ("valuesOverride",)
_BOTH = (*_SWITCH, *_VALUES)
ADDONS: dict[str, tuple[str, ...]] = {
    "certManager": _BOTH,
    "cilium": _VALUES,
    "coredns": _VALUES,
    "fluxcd": _BOTH,
    "gatewayAPI": _SWITCH,
    "gpuOperator": _BOTH,
    "hami": _BOTH,
    "ingressNginx": (*_BOTH, "exposeMethod", "hosts"),
    "monitoringAgents": _BOTH,
    "ouroboros": _BOTH,
    "velero": _BOTH,
    "verticalPodAutoscaler": _VALUES,
}
PLUGINS = {
    "gpu-operator": "gpuOperator",
    "cert-manager": "certManager",
    "ingress-nginx": "ingressNginx",
    "monitoring-agents": "monitoringAgents",
    "fluxcd": "fluxcd",
    "flux": "fluxcd",
}


def read_addons(place: Place | None, plugins: Place | None) -> Addons:
    """All addons; those of `plugins` count where `addons` says nothing of them."""
    fields = fields_of(place, tuple(ADDONS))
    for name, member in members_of(plugins):
        known = PLUGINS.get(name)
        if known is None:
            member.mistake(f"unknown plugin {shown(name)}", allowed=PLUGINS, did_you_mean=nearest(name, PLUGINS))
        elif known in fields:
            member.mistake(f"addons.{known} says the same; leave the plugin out")
        else:
            member.warn(f"plugins.{name} is the older name; write addons.{known}")
            fields[known] = member
    return Addons.model_validate({name: _addon(name, member) for name, member in fields.items()})


def _addon(name: str, place: Place) -> dict[str, Any]:
    always_on = {"enabled": "it is always on; only valuesOverride can be set"} if "enabled" not in ADDONS[name] else {}
    fields = fields_of(place, ADDONS[name], hints=always_on)
    values: dict[str, Any] = {}
    if "enabled" in fields:
        values["enabled"] = scalars.boolean(fields["enabled"])
    if "valuesOverride" in fields:
        values["valuesOverride"] = free_mapping(fields["valuesOverride"])
    if "exposeMethod" in fields:
        values["exposeMethod"] = scalars.one_of(fields["exposeMethod"], ("Proxied", "LoadBalancer"), default="Proxied")
    if "hosts" in fields:
        values["hosts"] = tuple(scalars.text(item, longest=253) for item in items_of(fields["hosts"], of_what="host names"))
    return values
