"""GPUHost as users write it: hexadecimal in any case, short PCI addresses, and rules that need more than one field."""

from __future__ import annotations

from provisioner.model.door.names import HOST_URI_FORMS
from provisioner.store.kubernetes.crds import shapes
from provisioner.store.kubernetes.crds.patches import RULES, Patch, below
from provisioner.store.kubernetes.crds.shapes import described, rule

_URI = (
    r"^(qemu:///(system|session)|qemu\\+unix:///system(\\?\\S*)?"
    r"|qemu\\+(ssh|libssh|libssh2|tls|tcp)://([A-Za-z0-9._-]+@)?[A-Za-z0-9._:\\[\\]-]+(:[0-9]{1,5})?/system(\\?\\S*)?"
    r"|test:///default|test:///\\S+\\.xml|simulated://[A-Za-z0-9.-]+([/?]\\S*)?"
    r"|kubevirt:(//[^\\s?]+)?(\\?kubeconfig=\\S+)?)$"
)
_ADDRESS = "^([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[01][0-9a-fA-F]\\\\.[0-7]$"
_INTERFACE = "^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$"
_WAYS = ("network", "bridge", "direct")
_GIVEN = " + ".join(f"(has(self.{way}) && self.{way} != '' ? ['{way}'] : [])" for way in _WAYS)
_CIDR = "cidr({0}.contains('/') ? {0} : {0} + '/32')"
_IPV4 = "(isIP({0}) && ip({0}).family() == 4 || isCIDR({0}) && cidr({0}) == cidr({0}).masked() && cidr({0}).ip().family() == 4)"
_OVERLAP = f"{_CIDR.format('each')}.containsCIDR({_CIDR.format('other')})"


def _interface(description: str) -> Patch:
    sentence = " is no name of a network interface such as br0 or enp65s0f0, at most 15 characters"
    return described(description, shapes.matching(_INTERFACE, sentence, longest=63))


def _pci_address() -> Patch:
    form = shapes.matching(_ADDRESS, " is no PCI address such as 0000:41:00.0", longest=12)
    return described("A PCI address, 0000:41:00.0 or 41:00.0 for short.", form, pattern=None, minLength=1)


def _hexadecimal(pattern: str, sentence: str) -> Patch:
    return shapes.matching(f"^(0x)?{pattern}$", f" is not {sentence}", longest=16)


_GPU_RULES: dict[str, Patch] = {
    "": described("Which PCI functions are GPUs: all that a rule says must match, one rule is enough.", maxItems=100),
    "[]": {
        RULES: [
            rule(
                "has(self.vendor) && self.vendor != '' || has(self.class) && self.class != ''"
                " || has(self.ids) && self.ids.size() > 0 || has(self.addresses) && self.addresses.size() > 0",
                "an empty rule would make every device of the host a GPU; say vendor, class, ids or addresses",
            )
        ]
    },
    "[].vendor": described(
        "PCI vendor, four hexadecimal digits in quotes.", _hexadecimal("[0-9a-fA-F]{4}", "a PCI vendor such as 10de")
    ),
    "[].class": _hexadecimal("[0-9a-fA-F]{2}([0-9a-fA-F]{2}){0,2}", "the beginning of a PCI class such as 03 or 0302"),
    "[].ids": {"maxItems": 100},
    "[].ids[]": _hexadecimal("[0-9a-fA-F]{4}:[0-9a-fA-F]{4}", "a PCI vendor:device such as 10de:26b9"),
    "[].addresses": described("PCI addresses on this host.", maxItems=100),
    "[].addresses[]": _pci_address(),
}

_NETWORKS: dict[str, Patch] = {
    "networks": {
        "maxProperties": 100,
        RULES: [
            rule(
                "self.all(name, name.matches('^[A-Za-z0-9][A-Za-z0-9+._-]{0,62}$'))",
                "a network has a name of letters, digits, '+', '.', '_' and '-' only, at most 63",
            )
        ],
    },
    "networks{}": {
        RULES: [
            rule(
                f"({_GIVEN}).size() == 1",
                "a network is one of network, bridge and direct",
            )
        ]
    },
    "networks{}.network": described("A libvirt network by another name.", shapes.word()),
    "networks{}.bridge": _interface("A bridge of the host, which guests become ports of."),
    "networks{}.direct": _interface(
        "An interface of the host, which guests share (macvtap). The host itself cannot reach them there."
    ),
    "externalInterface": _interface(
        "Has each external address as its own while that is published, for addresses on the wire. Empty: they are routed here."
    ),
    "externalAddresses": {
        "maxItems": 100,
        RULES: [
            rule(
                "self.all(each, !(isIP(each) || isCIDR(each)) || self.exists_one(other, (isIP(other) || isCIDR(other)) &&"
                f" ({_OVERLAP} || {_CIDR.format('other')}.containsCIDR({_CIDR.format('each')}))))",
                "external addresses overlap; name each address once",
            )
        ],
    },
    "externalAddresses[]": {
        "maxLength": 18,
        RULES: [
            rule(_IPV4.format("self"), says="'\"' + self + '\" is no IPv4 address or network such as 203.0.113.16/28'"),
            rule(
                f"!isCIDR(self) || {_CIDR.format('self')}.prefixLength() >= 16",
                says="'\"' + self + '\" is larger than a /16; name the part that leads to this host'",
            ),
        ],
    },
}

_SAYS_SOMETHING = {
    "storagePool": "self.storagePool != 'default'",
    "network": "self.network != 'default'",
    "reservedMemoryMib": "self.reservedMemoryMib != 1024",
    "scrubCommand": "self.scrubCommand != ''",
    "externalInterface": "self.externalInterface != ''",
    "retired": "self.retired.size() > 0",
    "externalAddresses": "self.externalAddresses.size() > 0",
    "networks": "self.networks.size() > 0",
    "allowEmulation": "self.allowEmulation",
    "keepOnVfio": "self.keepOnVfio",
}
"""Fields that mean nothing on a KubeVirt cluster, and when they say something: the API server has filled in their defaults."""
_CLUSTER_RULES = [
    rule(
        "!has(self.kubevirt) || self.uri.startsWith('kubevirt:')",
        "only a host whose uri begins with kubevirt: is a KubeVirt cluster",
        at="kubevirt",
    ),
    *(
        rule(
            f"!self.uri.startsWith('kubevirt:') || !has(self.{name}) || !({says_something})",
            "this is about one machine and its libvirt; a KubeVirt cluster has no use for it",
            at=name,
        )
        for name, says_something in _SAYS_SOMETHING.items()
    ),
]
_CLUSTER: dict[str, Patch] = {
    "": described("How a KubeVirt cluster is used; only with a uri that begins with kubevirt:."),
    "namespace": described("Of all machines. Empty: each machine is in the namespace of its VM.", shapes.name()),
    "gpuResources": {"maxProperties": 100},
    "gpuResources{}": {"maxLength": 317, "minLength": 1},
    "claimTemplates": {"maxProperties": 100},
    "claimTemplates{}": {"maxLength": 253, "minLength": 1},
    "containerDisks": {"maxProperties": 100},
    "containerDisks{}": {"maxLength": 1024, "minLength": 1},
    "nodeLostAfterS": {"minimum": 0, "maximum": 86_400},
}
_SPEC: dict[str, Patch] = {
    "": {RULES: _CLUSTER_RULES},
    "uri": {
        "minLength": 1,
        **shapes.matching(
            _URI, f" is no hypervisor URI that hikube can use; it is one of {', '.join(HOST_URI_FORMS)}", longest=2048
        ),
    },
    "cordoned": described("Whether it takes no new VMs."),
    **below("gpuRules", _GPU_RULES),
    "storagePool": described("Has seeds, consoles, and disks of storage classes that are not mapped.", shapes.word()),
    "storageClasses": {
        "maxProperties": 100,
        RULES: [
            rule(
                f"self.all(name, name.size() <= 63 && name.matches('{shapes.LABEL}'))",
                f"a storage class has no such name: {shapes.NAME_SENTENCE}",
            )
        ],
    },
    "storageClasses{}": {**shapes.word(), "minLength": 1},
    "network": described("Of VMs that name none.", shapes.word()),
    "reservedMemoryMib": {"minimum": 0, "maximum": 2**30},
    "refreshIntervalS": described("How often it is looked at, in seconds.", minimum=10, maximum=86_400),
    "scrubCommand": {"maxLength": 4096},
    "scrubTimeoutS": described(
        "In seconds; after that the scrub command is killed, and the GPU quarantined.", minimum=1, maximum=86_400
    ),
    "retired": {"maxItems": 1000},
    "retired[]": _pci_address(),
    **_NETWORKS,
    **below("kubevirt", _CLUSTER),
}

GPU_HOST = (below("spec", _SPEC),)
