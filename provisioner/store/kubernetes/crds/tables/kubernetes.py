"""Kubernetes as users write it: the node groups, both names of the control plane, addons and `plugins`, their older name."""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.model.door.addons import ADDONS, PLUGINS
from provisioner.model.door.control_plane import PRESETS
from provisioner.model.door.kubernetes import MOST_GROUPS
from provisioner.model.kubernetes import Component, ControlPlane
from provisioner.model.names import LONGEST_WORKER_STEM
from provisioner.store.kubernetes.crds import shapes
from provisioner.store.kubernetes.crds.patches import RULES, Patch, below
from provisioner.store.kubernetes.crds.schema import PRESERVE, Schema, schema_of
from provisioner.store.kubernetes.crds.shapes import described, rule
from provisioner.store.kubernetes.crds.tables.node_groups import GROUP, TALOS, images, version

_PARTS = ("apiServer", "controllerManager", "scheduler", "konnectivity")
_ADDON: dict[str, Patch] = {
    "enabled": described("Whether it is installed.", type="boolean"),
    "valuesOverride": described("Values of its Helm chart, over the platform's.", {PRESERVE: True}, type="object"),
    "exposeMethod": described("How it is reached from outside.", type="string", enum=["Proxied", "LoadBalancer"]),
    "hosts": described("Host names that lead to it.", type="array", maxItems=1000, items={"type": "string", "maxLength": 253}),
}
_COMPONENT: dict[str, Patch] = {
    "resources.cpu": described("CPU of each replica.", shapes.quantity()),
    "resources.memory": described("Memory of each replica.", shapes.quantity()),
    "resourcesPreset": described("A size by name, used where resources is empty.", enum=list(PRESETS), default=None),
}


def _components(prefix: str, konnectivity: str) -> dict[str, Patch]:
    """Patches of every component of a control plane."""
    patches: dict[str, Patch] = {}
    for path in (f"{prefix}.apiServer", f"{prefix}.controllerManager", f"{prefix}.scheduler", konnectivity):
        patches |= below(path, _COMPONENT)
    return patches | {
        f"{prefix}.replicas": described("Of every component.", minimum=1, maximum=9),
        f"{prefix}.apiServer.extraArgs": described("More flags of the API server.", maxItems=200),
        f"{prefix}.apiServer.extraVolumes": described("More volumes of its pods, as a Pod has them.", maxItems=100),
        f"{prefix}.apiServer.extraVolumeMounts": described("Where those volumes are mounted.", maxItems=100),
    }


def _kamaji() -> Schema:
    """The control plane under its older name; konnectivity stood below `addons` there."""
    schema = schema_of(ControlPlane, with_defaults=False)
    schema["properties"]["addons"] = {
        "description": "Has konnectivity.",
        "type": "object",
        "properties": {"konnectivity": _konnectivity()},
    }
    return {**schema, "description": "The older name of controlPlane."}


def _konnectivity() -> Schema:
    server = schema_of(Component, with_defaults=False)
    return {"description": "The tunnel to the workers.", "type": "object", "properties": {"server": server}}


def _plugin(addon: str) -> Schema:
    fields = {name: dict(_ADDON[name]) for name in ADDONS[addon]}
    return {"description": f"The older name of addons.{addon}.", "type": "object", "properties": fields}


def _addons() -> dict[str, Patch]:
    return {path: patch for addon, fields in ADDONS.items() for path, patch in _addon(addon, fields).items()}


def _addon(addon: str, fields: Iterable[str]) -> dict[str, Patch]:
    patches: dict[str, Patch] = {f"addons.{addon}.{name}": described(str(_ADDON[name]["description"])) for name in fields}
    if "hosts" in fields:
        patches[f"addons.{addon}.hosts"] = _ADDON["hosts"]
    return patches


def _both(older: str, newer: str) -> str:
    """That two fields below different parents are not both given."""
    given = [f"has(self.{path.split('.')[0]}) && has(self.{path})" for path in (older, newer)]
    return f"!({' && '.join(given)})"


_OLDER_NAMES: Patch = {
    RULES: [
        *(
            rule(
                _both(f"kamajiControlPlane.{part}", f"controlPlane.{part}"),
                f"{part} stands under controlPlane too; leave kamajiControlPlane out",
                at=f"kamajiControlPlane.{part}",
            )
            for part in ("replicas", *_PARTS)
        ),
        *(
            rule(
                _both(f"plugins.{plugin.replace('-', '__dash__')}", f"addons.{addon}"),
                f"addons.{addon} says the same; leave plugins.{plugin} out",
                at="plugins",
            )
            for plugin, addon in PLUGINS.items()
        ),
    ]
}
_GROUP_NAMES: Patch = {
    "maxProperties": MOST_GROUPS,
    RULES: [rule(f"self.all(name, name.matches('{shapes.LABEL}'))", f"a group has no such name: {shapes.NAME_SENTENCE}")],
}
_ROOM_FOR_WORKERS: Patch = {
    RULES: [
        rule(
            "!has(self.spec) || !has(self.spec.nodeGroups)"
            f" || self.spec.nodeGroups.all(name, self.metadata.name.size() + name.size() <= {LONGEST_WORKER_STEM})",
            f"the names of cluster and group have at most {LONGEST_WORKER_STEM} characters together",
            at="spec.nodeGroups",
        )
    ]
}

_SPEC: dict[str, Patch] = {
    "version": version("Of Kubernetes."),
    "host": described("Name under which its API server is reached. Empty: the platform's choice.", maxLength=253),
    "storageClass": described("Of the workers' disks.", shapes.name()),
    "nodeGroups": described("Worker groups by name. None: one group md0."),
    **_components("controlPlane", "controlPlane.konnectivity.server"),
    "controlPlane.replicas": described("Of every component. 2, where none is given.", minimum=1, maximum=9, default=None),
    **_addons(),
    "nodeHealthCheck.maxUnhealthy": described("How many may be broken: a number or a percentage.", shapes.share()),
    "nodeHealthCheck.nodeStartupTimeout": described("How long a worker may take to join.", shapes.duration()),
    "nodeHealthCheck.readyUnknownTimeout": described("How long nothing may be heard of a worker.", shapes.duration()),
    "nodeHealthCheck.readyFalseTimeout": described("How long it may say that it is not ready.", shapes.duration()),
    "maxNodeProvisionTime": described("How long the autoscaler waits for a worker.", shapes.duration()),
    **TALOS,
    "images": images(),
    "images{}": {"maxLength": 512},
    "oidc.mode": described("None, the platform's own (System), or customConfig."),
    "oidc.customConfig": described("An AuthenticationConfiguration of Kubernetes."),
    "oidc.users": described("Who may log in.", maxItems=1000),
    "oidc.users[].email": described(
        "Of the user.", maxLength=320, rules=[rule("self.contains('@')", "a user needs an email address")]
    ),
    "oidc.users[].role": described("What the user may do."),
}
_OLDER: dict[str, Patch] = {
    "kamajiControlPlane": _kamaji(),
    "plugins": described(
        "The older name of addons.", type="object", properties={plugin: _plugin(addon) for plugin, addon in PLUGINS.items()}
    ),
    **_components("kamajiControlPlane", "kamajiControlPlane.konnectivity.server"),
    **below("kamajiControlPlane.addons.konnectivity.server", _COMPONENT),
}

KUBERNETES = (
    below("spec", _SPEC),
    below("spec.nodeGroups{}", GROUP),
    below("spec", _OLDER),
    {"spec": _OLDER_NAMES, "spec.nodeGroups": _GROUP_NAMES, "": _ROOM_FOR_WORKERS},
)
