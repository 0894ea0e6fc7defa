"""GPUHosts that are KubeVirt clusters, at the door: any name of a GPU is understood, what means nothing there is a mistake."""

from __future__ import annotations

import pytest

from provisioner.model.cluster import NODE_LOST_AFTER_S
from provisioner.model.documents import parse_documents
from provisioner.model.domain_names import machine_name
from provisioner.model.errors import InvalidInput
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Key
from provisioner.model.tables import Tables

TABLES = Tables.builtin()


def read(spec: str) -> GPUHost:
    text = f"apiVersion: hikube.cloud/v1alpha1\nkind: GPUHost\nmetadata: {{name: k}}\nspec: {spec}\n"
    (host,) = parse_documents(text, source="test", tables=TABLES)
    assert isinstance(host, GPUHost)
    return host


def mistakes(spec: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        read(spec)
    return str(caught.value.as_dict())


@pytest.mark.parametrize(
    "uri", ["kubevirt:", "kubevirt://prod", "kubevirt://a@b:c/d?kubeconfig=/x/y", "kubevirt:?kubeconfig=/x"]
)
def test_a_cluster_is_known_by_its_uri(uri: str) -> None:
    host = read(f'{{uri: "{uri}"}}')
    assert host.spec.is_cluster
    assert host.spec.cluster.node_lost_after_s == NODE_LOST_AFTER_S
    assert not read('{uri: "qemu:///system"}').spec.is_cluster


def test_models_may_be_written_by_any_of_their_names() -> None:
    settings = read('{uri: "kubevirt:", kubevirt: {gpuResources: {l40s: nvidia.com/X}, claimTemplates: {"10de:26b9": t}}}').spec
    assert settings.cluster.gpu_resources == {"nvidia.com/AD102GL_L40S": "nvidia.com/X"}
    assert settings.cluster.claim_templates == {"nvidia.com/AD102GL_L40S": "t"}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ('{uri: "qemu:///system", kubevirt: {}}', "only a host whose uri begins with kubevirt: is a KubeVirt cluster"),
        ('{uri: "kubevirt:", storagePool: fast}', "a KubeVirt cluster has no use for it"),
        ('{uri: "kubevirt:", retired: ["0000:41:00.0"]}', "a KubeVirt cluster has no use for it"),
        ('{uri: "kubevirt:", kubevirt: {gpuResources: {l40s: L40S}}}', "it is written as DOMAIN/NAME"),
        ('{uri: "kubevirt:", kubevirt: {gpuResources: {l40s: a/b, "10de:26b9": a/c}}}', "which is there already"),
        ('{uri: "kubevirt:", kubevirt: {claimTemplates: {l40s: "A B"}}}', "no name of a ResourceClaimTemplate"),
        ('{uri: "kubevirt:", kubevirt: {containerDisks: {ubuntu: ""}}}', "no container image"),
        ('{uri: "kubevirt:", kubevirt: {nodeLostAfterS: -1}}', "nodeLostAfterS"),
        ('{uri: "kubevirt:", kubevirt: {nameSpace: x}}', "namespace"),
    ],
)
def test_mistakes_are_named(spec: str, says: str) -> None:
    assert says in mistakes(spec)


def test_a_default_that_is_written_out_says_nothing() -> None:
    assert read('{uri: "kubevirt:", storagePool: default, reservedMemoryMib: 1024, retired: []}').spec.is_cluster


def test_machines_have_names_that_tell_them_apart_and_are_no_longer_than_a_label() -> None:
    key = Key("VirtualMachine", "team", "a")
    assert machine_name(key) == "a"
    assert machine_name(Key("VMInstance", "team", "a"), with_namespace=True) == "a.vmi.team"
    long = machine_name(Key("VirtualMachine", "t" * 60, "n" * 60), with_namespace=True)
    assert len(long) == 63
    assert long != machine_name(Key("VirtualMachine", "t" * 59 + "u", "n" * 60), with_namespace=True)
