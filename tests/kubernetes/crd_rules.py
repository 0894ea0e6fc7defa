"""What the API server itself refuses, rule by rule: a spec that breaks it, one that nearly does, and what is said.

Objects are named `rule-<number>`, so a cluster in them is called `rule`. Rules about changes are in crd_changes.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.model.kinds import WORDS

Spec = dict[str, Any]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


@dataclass(frozen=True, slots=True)
class Case:
    """One rule, and both sides of it."""

    kind: str
    bad: Spec
    good: Spec
    says: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.says[:60]}"


def document(kind: str, name: str, spec: Spec) -> dict[str, Any]:
    """The object as it is applied."""
    return {"apiVersion": WORDS[kind].api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def stream(*objects: Mapping[str, Any]) -> str:
    """One document after the other, as a file of manifests; of a List, kubectl would check the items itself, by other words."""
    return "---\n".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)


def _vm(bad: Spec, good: Spec, says: str) -> Case:
    return Case("VirtualMachine", bad, good, says)


def _disk(bad: Spec, good: Spec, says: str) -> Case:
    return Case("VMDisk", bad, good, says)


def _host(bad: Spec, good: Spec, says: str) -> Case:
    uri = {"uri": "qemu:///system"}
    return Case("GPUHost", uri | bad, uri | good, says)


def _of_cluster(bad: Spec, good: Spec) -> Case:
    """What means nothing on a KubeVirt cluster; a default that is written out says nothing."""
    uri = {"uri": "kubevirt:"}
    return Case("GPUHost", uri | bad, uri | good, "this is about one machine and its libvirt; a KubeVirt cluster has no use")


def _group(bad: Spec, good: Spec, says: str) -> Case:
    return Case("Kubernetes", {"nodeGroups": {"gpu": bad}}, {"nodeGroups": {"gpu": good}}, says)


def _cluster(bad: Spec, good: Spec, says: str) -> Case:
    return Case("Kubernetes", bad, good, says)


NO_QUANTITY = "is no quantity; write a number and a unit, such as 200Gi: Ki, Mi, Gi, Ti (powers of 1024) or k, M, G, T (powers"
NO_NAME = "a name has lower-case letters, digits and '-' only, and begins and ends with a letter or digit"
HALF = "cpu and memory are given together or not at all; only"

CASES = (
    _vm(
        {"running": False, "runStrategy": "Always"},
        {"running": False, "runStrategy": "Halted"},
        "running: false contradicts runStrategy: Always; leave running out",
    ),
    _vm(
        {"running": True, "runStrategy": "Halted"},
        {"running": False, "runStrategy": "Manual"},
        "running: true contradicts runStrategy: Halted; leave running out",
    ),
    _vm(
        {"guestOS": "ubuntu", "instanceProfile": "ubuntu"},
        {"guestOS": "ubuntu"},
        "guestOS and instanceProfile say the same; leave guestOS out",
    ),
    _vm(
        {"systemDisk": {"size": "5Gi", "storage": "6Gi"}},
        {"systemDisk": {"size": "5Gi", "storage": "5Gi"}},
        "size and storage say the same with different values; leave size out",
    ),
    _vm({"systemDisk": {"storage": "16GB"}}, {"systemDisk": {"storage": "16G"}}, f'"16GB" {NO_QUANTITY}'),
    _vm({"systemDisk": {"storage": "-5Gi"}}, {"systemDisk": {"storage": "+5Gi"}}, f'"-5Gi" {NO_QUANTITY}'),
    _vm({"systemDisk": {"storage": 5}}, {"systemDisk": {"storage": 2**30}}, "5 is less than 1Mi, the least that makes sense"),
    _vm(
        {"systemDisk": {"size": "65Ti"}}, {"systemDisk": {"size": "64Ti"}}, "65Ti is more than 64Ti, the most that is accepted"
    ),
    _vm({"systemDisk": {"image": "Ubuntu"}}, {"systemDisk": {"image": ""}}, f'"Ubuntu": {NO_NAME}'),
    _vm({"resources": {"cpu": "500m"}}, {"resources": {"cpu": "4000m"}}, "must be a whole number between 1 and 1024, not 500m"),
    _vm({"resources": {"cpu": 1025}}, {"resources": {"cpu": ""}}, "must be a whole number between 1 and 1024, not 1025"),
    _vm({"resources": {"sockets": "17"}}, {"resources": {"sockets": 2}}, "must be a whole number between 1 and 16, not 17"),
    _vm({"resources": {"memory": "1Mi"}}, {"resources": {"memory": ""}}, "1Mi is less than 64Mi, the least that makes sense"),
    _vm(
        {"resources": {"memory": "33Ti"}},
        {"resources": {"memory": "1.5G"}},
        "33Ti is more than 32Ti, the most that is accepted",
    ),
    _vm(
        {"cpuModel": "EPYC Milan"},
        {"cpuModel": "EPYC-Milan"},
        "\"EPYC Milan\": only letters, digits, '+', '.', '_' and '-', at most 63",
    ),
    _vm(
        {"gpus": [{"name": "nvidia.com/GPU"}]},
        {"gpus": [{"name": "L40S"}]},
        '"nvidia.com/GPU" names no model of GPU; say which',
    ),
    _vm({"externalPorts": [22, 80, 22]}, {"externalPorts": [22, 80]}, "a port is listed twice"),
    _vm(
        {"sshKeys": [KEY, "-----BEGIN OPENSSH PRIVATE KEY-----"]},
        {"sshKeys": [KEY]},
        "this is a private key; only the public one (the .pub file) belongs here, and this one should be replaced",
    ),
    _vm(
        {"cloudInit": "# cloud-config\npackages: [curl]\n"},
        {"cloudInit": "#cloud-config\npackages: [curl]\n"},
        "the first line must name a format that cloud-init knows, such as #cloud-config",
    ),
    _vm({"cloudInit": "echo\n"}, {"cloudInit": "Content-Type: multipart/mixed\n"}, "the first line must name a format"),
    _vm({"cloudInit": "#cloud-configuration\n"}, {"cloudInit": "#!/bin/sh\n"}, "the first line must name a format"),
    _vm({"cloudInit": "x"}, {"cloudInit": "\n "}, "the first line must name a format"),
    _vm(
        {"instanceType": "", "resources": {"cpu": 4}},
        {"instanceType": "", "resources": {"cpu": 4, "memory": "8Gi"}},
        "the size of the VM is not said: without an instanceType, resources.cpu and .memory must be given",
    ),
    Case(
        "VMInstance",
        {"disks": ["a"], "instanceType": "", "resources": {"cpu": 4, "memory": "8Gi", "sockets": ""}},
        {"disks": ["a"], "instanceType": "", "resources": {"cpu": 4, "memory": "8Gi", "sockets": 1}},
        "without an instanceType a VMInstance needs resources.cpu, .sockets and .memory",
    ),
    _disk(
        {"source": {"image": {"name": "ubuntu"}, "upload": {}}},
        {"source": {"upload": {}}},
        "a disk has one source; leave all out for a blank disk",
    ),
    _disk(
        {"source": {"http": {"url": "ftp://example.com/a"}}},
        {"source": {"http": {"url": "https://example.com/a"}}},
        '"ftp://example.com/a" is no URL that an image can be read from',
    ),
    _disk(
        {"source": {"http": {"url": "https://example.com/a", "sha256": "d41d8cd9"}}},
        {"source": {"http": {"url": "https://example.com/a", "sha256": "sha256:" + "Ab" * 32}}},
        '"d41d8cd9" is no SHA-256, which has 64 hexadecimal digits',
    ),
    _disk({"size": "1Gi", "storage": "2Gi"}, {"size": "1Gi"}, "size and storage say the same with different values"),
    Case(
        "GPUQuota",
        {"hard": {}},
        {"hostSelector": {"tenant": "a"}},
        "a quota that says nothing limits nothing; say hard, hostSelector",
    ),
    Case(
        "GPUQuota",
        {"hard": {"nvidia.com/GPU": 1}},
        {"hard": {"nvidia.com/AD102GL_L40S": 1, "l4": 0, "gpus": 2}},
        "this names no model of GPU; all models together are called gpus",
    ),
    Case("GPUQuota", {"hard": {"": 1}}, {"hard": {"10de:26b9": 1}}, "a model has a name of at most 253 characters"),
    Case("Image", {"url": "/var/a.img"}, {"url": "file:///var/a.img"}, '"/var/a.img" is no URL that an image can be read from'),
    _host(
        {"uri": "ssh://root@a"},
        {"uri": "qemu+ssh://root@[fd00::1]:22/system?no_tty=1"},
        "is no hypervisor URI that hikube can use",
    ),
    _host({"gpuRules": [{}]}, {"gpuRules": [{"class": "03"}]}, "an empty rule would make every device of the host a GPU"),
    _host(
        {"gpuRules": [{"vendor": "nvidia"}]}, {"gpuRules": [{"vendor": "0x10DE"}]}, '"nvidia" is not a PCI vendor such as 10de'
    ),
    _host(
        {"gpuRules": [{"class": "3"}]}, {"gpuRules": [{"class": "0302"}]}, '"3" is not the beginning of a PCI class such as 03'
    ),
    _host({"gpuRules": [{"ids": ["10de"]}]}, {"gpuRules": [{"ids": ["10de:26b9"]}]}, '"10de" is not a PCI vendor:device'),
    _host({"retired": ["41:00"]}, {"retired": ["41:00.0", "0000:C1:00.0"]}, '"41:00" is no PCI address such as 0000:41:00.0'),
    _host(
        {"networks": {"lan": {"bridge": "br0", "direct": "eth0"}}},
        {"networks": {"lan": {"bridge": "br0", "network": "", "direct": ""}}},
        "a network is one of network, bridge and direct",
    ),
    _host(
        {"networks": {"a b": {"bridge": "b"}}},
        {"networks": {"a.b": {"bridge": "b"}}},
        "a network has a name of letters, digits",
    ),
    _host({"externalInterface": "eth 0"}, {"externalInterface": "eth0"}, '"eth 0" is no name of a network interface'),
    _host(
        {"storageClasses": {"Fast": "pool"}},
        {"storageClasses": {"fast": "pool"}},
        f"a storage class has no such name: {NO_NAME}",
    ),
    _host(
        {"externalAddresses": ["203.0.113.16/28", "203.0.113.17"]},
        {"externalAddresses": ["203.0.113.16/28", "203.0.113.32", "10.1.0.0/16"]},
        "external addresses overlap; name each address once",
    ),
    _host(
        {"externalAddresses": ["203.0.113.17/28"]},
        {"externalAddresses": ["203.0.113.17/32"]},
        '"203.0.113.17/28" is no IPv4 address or network such as 203.0.113.16/28',
    ),
    _host({"externalAddresses": ["fd00::1"]}, {"externalAddresses": []}, '"fd00::1" is no IPv4 address or network'),
    _host(
        {"externalAddresses": ["10.0.0.0/8"]},
        {"externalAddresses": ["10.0.0.0/16"]},
        '"10.0.0.0/8" is larger than a /16; name the part that leads to this host',
    ),
    Case(
        "GPUHost",
        {"uri": "qemu:///system", "kubevirt": {}},
        {"uri": "kubevirt:", "kubevirt": {}},
        "only a host whose uri begins",
    ),
    _of_cluster({"storagePool": "fast"}, {"storagePool": "default"}),
    _of_cluster({"network": "lan"}, {"network": "default"}),
    _of_cluster({"reservedMemoryMib": 2048}, {"reservedMemoryMib": 1024}),
    _of_cluster({"scrubCommand": "wipe {address}"}, {"scrubCommand": ""}),
    _of_cluster({"externalInterface": "br0"}, {"externalInterface": ""}),
    _of_cluster({"retired": ["0000:41:00.0"]}, {"retired": []}),
    _of_cluster({"externalAddresses": ["203.0.113.1"]}, {"externalAddresses": []}),
    _of_cluster({"networks": {"lan": {"bridge": "br0"}}}, {"networks": {}}),
    _of_cluster({"allowEmulation": True}, {"allowEmulation": False}),
    _of_cluster({"keepOnVfio": True}, {"keepOnVfio": False}),
    _group({"minReplicas": 11}, {"minReplicas": 10}, "minReplicas is more than maxReplicas"),
    _group({"resources": {"cpu": 4}}, {"resources": {"cpu": "", "memory": ""}}, f"{HALF} cpu is here"),
    _group({"resources": {"memory": "8Gi"}}, {"resources": {"cpu": 4, "memory": "8Gi"}}, f"{HALF} memory is here"),
    _group({"diskSize": "1Mi"}, {"diskSize": "20Gi"}, "1Mi is less than 1Gi, the least that makes sense"),
    _group({"maxUnhealthy": "half"}, {"maxUnhealthy": 2}, '"half" is neither a number nor a percentage such as 50%'),
    _group(
        {"kubelet": {"evictionHardMemory": "lots"}},
        {"kubelet": {"evictionHardMemory": "7%", "kubeReservedCpu": "100m"}},
        '"lots" is neither a quantity such as 200Mi nor a percentage such as 7%',
    ),
    _cluster({"version": "v1.19"}, {"version": "v1.30.2"}, "the Kubernetes version is not offered; versions are v1.35"),
    _cluster(
        {"maxNodeProvisionTime": "ten"}, {"maxNodeProvisionTime": "1h30m"}, '"ten" is no duration such as 20m, 90s or 1h30m'
    ),
    _cluster({"nodeGroups": {"A": {}}}, {"nodeGroups": {"a": {}}}, f"a group has no such name: {NO_NAME}"),
    _cluster({"nodeGroups": {"g" * 45: {}}}, {"nodeGroups": {"g" * 37: {}}}, "the names of cluster and group have at most 49"),
    _cluster(
        {"oidc": {"users": [{"email": "me"}]}}, {"oidc": {"users": [{"email": "me@here"}]}}, "a user needs an email address"
    ),
    _cluster(
        {"controlPlane": {"scheduler": {}}, "kamajiControlPlane": {"scheduler": {}}},
        {"controlPlane": {"scheduler": {}}, "kamajiControlPlane": {"replicas": 1}},
        "scheduler stands under controlPlane too; leave kamajiControlPlane out",
    ),
    _cluster(
        {"addons": {"gpuOperator": {"enabled": True}}, "plugins": {"gpu-operator": {"enabled": True}}},
        {"addons": {"certManager": {"enabled": True}}, "plugins": {"gpu-operator": {"enabled": True}}},
        "addons.gpuOperator says the same; leave plugins.gpu-operator out",
    ),
    Case("KubernetesNodes", {"cluster": "other"}, {"cluster": "rule"}, "metadata.name must be <cluster>-<pool>"),
)
