"""VirtualMachine and VMInstance as users write them: older names, texts for mappings, numbers for texts, and their rules."""

from __future__ import annotations

from provisioner.model.door.access import MOST_PORTS
from provisioner.model.door.cloud_init import FORMATS, LONGEST
from provisioner.model.door.sizes import MOST_CPUS, MOST_MEMORY
from provisioner.model.door.system_disk import MOST_STORAGE
from provisioner.model.names import LONGEST_VM_NAME
from provisioner.store.kubernetes.crds import shapes
from provisioner.store.kubernetes.crds.patches import RULES, Patch, below
from provisioner.store.kubernetes.crds.schema import Schema
from provisioner.store.kubernetes.crds.shapes import described, rule

_SIZED = ("size", "storage", "storageClass")
_DISK_SIZE = shapes.size(least="1Mi", most=MOST_STORAGE)
_FIRST_WORDS = tuple(word for word in FORMATS if word.startswith("#") and word != "#cloud-config")
_CLOUD_INIT = " || ".join(
    (
        *(f"self.cloudInit.startsWith('{word}')" for word in _FIRST_WORDS),
        r"self.cloudInit.matches('^(\\s*$|#cloud-config[ \\t\\r]*(\\n|$))')",
        r"self.cloudInit.matches('^(?i:mime-version|content-t(ype|ransfer-encoding))\\s*:')",
    )
)


def _size_is_said(*names: str) -> str:
    """By the instance type, or by all of these below `resources`."""
    said = (f"has(self.resources.{name}) && string(self.resources.{name}) != ''" for name in names)
    return f"!has(self.instanceType) || self.instanceType != '' || (has(self.resources) && {' && '.join(said)})"


def _names(description: str, *, forms: list[tuple[str, ...]], longest: int, most: int) -> Schema:
    """A list of names, each as a text or below `name`."""
    known: dict[str, Schema] = {
        "name": {"description": "Its name.", "type": "string", "minLength": 1, "maxLength": longest},
        "bus": described("Empty: the host's choice.", type="string", enum=["", "virtio", "sata", "scsi"]),
        "size": described("As of a systemDisk.", {shapes.INT_OR_STRING: True}, pattern=shapes.QUANTITY),
        "storage": described("As of a systemDisk.", {shapes.INT_OR_STRING: True}, pattern=shapes.QUANTITY),
        "storageClass": described("As of a systemDisk.", type="string", maxLength=63),
    }
    used = {key for form in forms for key in form}
    properties = {key: schema for key, schema in known.items() if key in used}
    return {
        "description": description,
        "type": "array",
        "maxItems": most,
        "items": shapes.text_or(properties, forms=forms, description="Its name, or a mapping with its name."),
    }


_SYSTEM_DISK: dict[str, Patch] = {
    "": described("The disk that it boots from: a copy of a golden image.", rules=[shapes.same("size", "storage")]),
    "image": described(
        "Name of an Image or of a built-in golden image. Empty: that of the instance profile.", shapes.name(), default=None
    ),
    "storage": described("Its size. 5Gi or what the image needs, where none is given.", _DISK_SIZE, default=None),
    "size": described("The older name of storage.", _DISK_SIZE),
    "storageClass": described("A storage pool, where the host maps it.", shapes.name()),
}

_ATTACHED: dict[str, Patch] = {
    "disks": _names(
        "VMDisks by name, in the order in which they are attached. A VMInstance boots from the first one. In the oldest"
        " documents the one with a size of its own is the systemDisk.",
        forms=[("name",), ("bus", "name"), *shapes.forms_with(_SIZED, among=("name", "bus", *_SIZED))],
        longest=LONGEST_VM_NAME,
        most=64,
    ),
    "networks": _names("Networks by the host's names for them. None: the host's own.", forms=[("name",)], longest=63, most=16),
    "subnets": _names("The older name of networks.", forms=[("name",)], longest=63, most=16),
}

_ACCESS: dict[str, Patch] = {
    "external": described("Whether it is to be reached from outside."),
    "externalMethod": described("PortList: only externalPorts. WholeIP: everything."),
    "externalPorts": described(
        "TCP ports that are open to the outside.",
        maxItems=MOST_PORTS,
        rules=[rule("self.all(port, self.exists_one(other, other == port))", "a port is listed twice")],
    ),
    "externalPorts[]": {"minimum": 1, "maximum": 65535},
    "externalAllowICMP": described("Whether it answers to ping from outside. Of no meaning with WholeIP."),
    "sshKeys": described(
        "Public keys that may log in, a line each.",
        maxItems=100,
        rules=[
            rule(
                "!self.exists(key, key.contains('PRIVATE KEY'))",
                "this is a private key; only the public one (the .pub file) belongs here, and this one should be replaced",
            )
        ],
    ),
    "sshKeys[]": {"maxLength": 16 * 1024},
    "cloudInit": {"maxLength": LONGEST},
    "cloudInitSeed": {"type": None, shapes.INT_OR_STRING: True, "maxLength": 256},
}

_SPEC: dict[str, Patch] = {
    "runStrategy": described(
        "When the VM shall run. Always, where neither this nor running is given.", default=None, maxLength=16
    ),
    "running": described("The older way to say runStrategy: true is Always, false is Halted.", type="boolean"),
    "instanceType": described('Name of an instance type. "": none, so resources say it all.', shapes.word()),
    "instanceProfile": described(
        'What guest it is: chooses image and hardware. "": none. ubuntu, where it is not given.', shapes.word(), default=None
    ),
    "guestOS": described("The older name of instanceProfile.", shapes.word(), type="string"),
    "resources": described("Explicit size, over the instance type, field by field."),
    "resources.cpu": described("vCPUs per socket.", shapes.count(most=MOST_CPUS)),
    "resources.sockets": described("Sockets. Alone, they share the vCPUs of the instance type.", shapes.count(most=16)),
    "resources.memory": described("Memory of the guest.", shapes.size(least="64Mi", most=MOST_MEMORY)),
    "cpuModel": described("A CPU model of libvirt. Empty: as near to the host's as can be.", shapes.word()),
    **shapes.gpus("Whole GPUs: one entry for each."),
    **below("systemDisk", _SYSTEM_DISK),
    **_ATTACHED,
    **_ACCESS,
    "hostSelector": {"maxProperties": 64},
    "hostSelector{}": {"maxLength": 63},
    "": {
        RULES: [
            rule(
                f"!has(self.cloudInit) || {_CLOUD_INIT}",
                "the first line must name a format that cloud-init knows, such as #cloud-config",
                at="cloudInit",
            ),
            rule(
                "!has(self.running) || !has(self.runStrategy) || self.runStrategy == 'Manual'"
                " || self.running != (self.runStrategy == 'Halted')",
                says="'running: ' + (self.running ? 'true' : 'false') + ' contradicts runStrategy: ' + self.runStrategy"
                " + '; leave running out'",
                at="running",
            ),
            rule(
                "!has(self.guestOS) || !has(self.instanceProfile)",
                "guestOS and instanceProfile say the same; leave guestOS out",
                at="guestOS",
            ),
        ]
    },
}

_GROWS: dict[str, Patch] = {
    "": {
        RULES: [
            shapes.grows(
                parent="{}.spec.systemDisk",
                where="has(self.spec) && has(oldSelf.spec) && has(self.spec.systemDisk) && has(oldSelf.spec.systemDisk)"
                " && has(oldSelf.status) && has(oldSelf.status.systemVolume) && oldSelf.status.systemVolume != ''",
            )
        ]
    }
}

_SIZE: Patch = {
    RULES: [
        rule(
            _size_is_said("cpu", "memory"),
            "the size of the VM is not said: without an instanceType, resources.cpu and .memory must be given",
        )
    ]
}
_SIZE_OF_INSTANCE: Patch = {
    RULES: [
        rule(
            _size_is_said("cpu", "sockets", "memory"),
            "without an instanceType a VMInstance needs resources.cpu, .sockets and .memory",
        )
    ]
}

VIRTUAL_MACHINE = (below("spec", _SPEC), {"spec": _SIZE}, _GROWS)
VM_INSTANCE = (below("spec", _SPEC), {"spec": _SIZE_OF_INSTANCE}, _GROWS)
