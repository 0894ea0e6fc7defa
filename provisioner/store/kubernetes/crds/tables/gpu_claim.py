"""GPUClaim and GPUHistory: hikube writes them, nobody else. What makes a claim a lock is checked by the API server as well."""

from __future__ import annotations

from provisioner.store.kubernetes.crds.patches import RULES, Patch, below
from provisioner.store.kubernetes.crds.shapes import described, rule

_CLAIM: dict[str, Patch] = {
    "": {RULES: [rule("self == oldSelf", "a claim is never changed: who owns what is decided when it is made")]},
    "host": described("The GPUHost that has it.", maxLength=63, minLength=1),
    "address": described("PCI address of function 0. Empty on a KubeVirt cluster that does not tell it."),
    "uuid": described("As the guest's driver reports it; on a KubeVirt cluster the claim is named by it.", maxLength=64),
    "gpuName": described("Resource name of the model.", maxLength=253),
    "owner.kind": described("VirtualMachine or VMInstance.", maxLength=63),
    "owner.namespace": described("Of the owner.", maxLength=63),
    "owner.name": described("Of the owner.", maxLength=63),
    "owner.uid": described("Of the owner: another VM of the same name is not the owner.", maxLength=128),
}
_NAME_IS_THE_DEVICE: Patch = {
    RULES: [
        rule(
            "self.metadata.name == self.spec.host + '.' + (has(self.spec.uuid) ? self.spec.uuid.lowerAscii()"
            " : self.spec.address.replace(':', '-'))",
            "the name of a claim is its device, HOST.ADDRESS with '-' for ':', so that there can be one only;"
            " on a KubeVirt cluster HOST.UUID",
            at="metadata.name",
        )
    ]
}
_HISTORY: dict[str, Patch] = {
    "": {RULES: [rule("self == oldSelf", "a history is of one card and is never changed to another one")]},
    **{
        f"identity.{part}": described(description, maxLength=253)
        for part, description in {
            "vendor": "PCI vendor, four hexadecimal digits.",
            "device": "PCI device, four hexadecimal digits.",
            "subsystemVendor": "PCI subsystem vendor, four hexadecimal digits.",
            "subsystemDevice": "PCI subsystem device, four hexadecimal digits.",
            "revision": "Two hexadecimal digits.",
            "serial": "Device Serial Number. Empty: the card has none that can be read.",
        }.items()
    },
}

GPU_CLAIM = (below("spec", _CLAIM), {"": _NAME_IS_THE_DEVICE})
GPU_HISTORY = (below("spec", _HISTORY),)
