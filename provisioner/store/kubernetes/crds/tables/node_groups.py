"""Worker groups as users write them, below a Kubernetes or as a KubernetesNodes of their own."""

from __future__ import annotations

from provisioner.model.door.node_groups import MOST_WORKERS
from provisioner.model.door.sizes import MOST_CPUS, MOST_MEMORY
from provisioner.model.door.versions import KUBERNETES_VERSIONS
from provisioner.store.kubernetes.crds import shapes
from provisioner.store.kubernetes.crds.patches import RULES, Patch, below
from provisioner.store.kubernetes.crds.schema import Schema
from provisioner.store.kubernetes.crds.shapes import described, rule

_SIZE = shapes.size(least="1Gi", most="64Ti")
_VERSIONS = "|".join(version.removeprefix("v1.") for version in KUBERNETES_VERSIONS)
_GIVEN = " + ".join(f"(has(self.{each}) && string(self.{each}) != '' ? ['{each}'] : [])" for each in ("cpu", "memory"))


def version(description: str) -> Schema:
    """A Kubernetes version; a patch level is accepted and left out."""
    offered = f" is not offered; versions are {', '.join(KUBERNETES_VERSIONS)}"
    form = shapes.matching(rf"^v1\\.({_VERSIONS})(\\.[0-9]{{1,3}})?$", f": the Kubernetes version{offered}", longest=16)
    return described(description, form)


def images() -> Schema:
    """Container images by the name of their helper."""
    return described("Container images by the name of their helper.", maxProperties=100)


TALOS: dict[str, Patch] = {
    "talos.version": described("Talos version.", shapes.word()),
    "talos.schematicID": described("Of the image factory.", maxLength=128),
    "talos.imageFactoryURL": described(
        "Where its images come from.",
        shapes.matching("^https?://\\\\S+$", " is no URL that an image can be read from", longest=2048),
    ),
    "talos.installerRepository": described("Of the installer's container image.", maxLength=512),
    "talos.registryMirrors": described("As Talos has them."),
}

_KUBELET: dict[str, Patch] = {
    "systemReservedMemory": described("Memory kept for the system.", shapes.percentage_or_quantity()),
    "kubeReservedMemory": described("Memory kept for Kubernetes itself.", shapes.percentage_or_quantity()),
    "systemReservedCpu": described("CPU kept for the system.", shapes.quantity()),
    "kubeReservedCpu": described("CPU kept for Kubernetes itself.", shapes.quantity()),
    "evictionHardMemory": described("Free memory at which pods are killed.", shapes.percentage_or_quantity()),
    "evictionSoftMemory": described("Free memory at which pods are asked to go.", shapes.percentage_or_quantity()),
}

GROUP: dict[str, Patch] = {
    "minReplicas": described("The fewest workers there may be.", minimum=0, maximum=MOST_WORKERS),
    "maxReplicas": described("The most workers there may be.", minimum=0, maximum=MOST_WORKERS),
    "instanceType": described("Name of an instance type.", shapes.word()),
    "diskSize": described("The disk of each worker. 20Gi, where none is given.", _SIZE, default=None),
    "ephemeralStorage": shapes.text_or(
        {"size": {"description": "As diskSize.", shapes.INT_OR_STRING: True, "pattern": shapes.QUANTITY}},
        forms=[(), ("size",)],
        numbers_too=True,
        description="The older name of diskSize: a size, or {size}.",
    )
    | {"pattern": shapes.QUANTITY, "maxLength": 64},
    "storageClass": shapes.name(),
    "roles": described("Node roles: each is a label node-role.kubernetes.io/ROLE.", maxItems=50),
    "roles[]": shapes.name(),
    "resources.cpu": described("CPUs of a worker.", shapes.count(most=MOST_CPUS)),
    "resources.memory": described("Memory of a worker.", shapes.size(least="64Mi", most=MOST_MEMORY)),
    "resources": {
        RULES: [
            rule(
                f"({_GIVEN}).size() != 1",
                says="'cpu and memory are given together or not at all; only '"
                " + (has(self.cpu) && string(self.cpu) != '' ? 'cpu' : 'memory') + ' is here'",
            )
        ]
    },
    "podCpuLimit": described("CPU limit of the pod that a worker runs in. Empty: none.", shapes.quantity()),
    "podCpuRequest": described("CPU request of the pod that a worker runs in. Empty: none.", shapes.quantity()),
    **shapes.gpus("Whole GPUs of each worker: one entry for each."),
    **below("kubelet", _KUBELET),
    "logSerialConsole": described("Whether what a worker prints on its serial port is kept."),
    "maxUnhealthy": shapes.share(),
    "nodeStartupTimeout": shapes.duration(),
    "": {
        RULES: [
            rule(
                "self.minReplicas <= self.maxReplicas",
                "minReplicas is more than maxReplicas",
                at="minReplicas",
            )
        ]
    },
}

_NODES: dict[str, Patch] = {
    "cluster": described("The Kubernetes that these workers join.", shapes.name(), minLength=1),
    "version": version("Of Kubernetes. Empty: that of the cluster."),
    "maxUnhealthy": described("How many may be broken before none is replaced: a number or a percentage."),
    "nodeStartupTimeout": described("How long a worker may take to join."),
    "readyUnknownTimeout": described("How long nothing may be heard of a worker.", shapes.duration()),
    "readyFalseTimeout": described("How long a worker may say that it is not ready.", shapes.duration()),
    "maxNodeProvisionTime": described("How long the autoscaler waits for a worker.", shapes.duration()),
    "images": images(),
    "images{}": {"maxLength": 512},
}

_NAME: Patch = {
    RULES: [
        rule(
            "!has(self.spec) || self.metadata.name.startsWith(self.spec.cluster + '-')",
            "metadata.name must be <cluster>-<pool>",
            at="spec.cluster",
        )
    ]
}

KUBERNETES_NODES = (below("spec", GROUP), below("spec", TALOS), below("spec", _NODES), {"": _NAME})
