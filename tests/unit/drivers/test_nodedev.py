"""From node-device XML to GPUs."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from provisioner.drivers.libvirt import nodedev
from provisioner.model.gpu_host import DEFAULT_GPU_RULE, GpuHealth, GpuRule
from tests.unit.drivers import nodes


def parsed(*texts: nodes.Node):
    return [nodedev.parse(node.xml()) for node in texts]


def test_a_stand_in_of_the_box_is_read_whole():
    node = nodedev.parse(nodes.BOCHS_STAND_IN)
    assert node is not None
    assert (node.function.address, node.function.id, node.function.pci_class) == ("0000:01:00.0", "1234:1111", "038000")
    assert (node.function.driver, node.function.is_bridge) == ("bochs-drm", False)
    assert (node.parent, node.iommu_group, node.numa_node) == ("pci_0000_00_04_0", 7, None)
    assert node.group_members == ("0000:01:00.0", "0000:01:00.1")
    assert node.link_state == nodedev.Link(2.5, 1)


def test_an_idle_h100_keeps_its_speed_and_shows_that_its_link_is_narrow():
    (gpu,) = nodedev.gpus([nodedev.parse(nodes.H100)], [DEFAULT_GPU_RULE])
    assert (gpu.address, gpu.name, gpu.iommu_group, gpu.numa_node) == ("0000:41:00.0", "10de:2330", 114, 1)
    assert (gpu.link_speed_gts, gpu.link_width) == (32.0, 8)
    assert (gpu.health, gpu.health_message) == (GpuHealth.OK, "its link runs at x8 of x16")
    assert gpu.companions == ()
    assert gpu.bar_bytes == ()


def test_companions_are_every_endpoint_of_the_group_but_no_bridge():
    (gpu,) = nodedev.gpus(parsed(*nodes.l40s_with_companions()), [DEFAULT_GPU_RULE])
    assert gpu.address == "0000:01:00.0"
    assert [(one.address, one.driver) for one in gpu.companions] == [
        ("0000:01:00.1", "snd_hda_intel"),
        ("0000:01:00.2", "xhci_hcd"),
        ("0000:01:00.3", ""),
    ]
    assert gpu.pcie_parent == "0000:00:01.0"


def test_two_gpus_of_one_group_are_each_others_companions():
    first, second = nodedev.gpus(parsed(*nodes.behind_a_switch()), [DEFAULT_GPU_RULE])
    assert [one.address for one in first.companions] == [second.address]
    assert [one.address for one in second.companions] == [first.address]
    assert first.pcie_parent == second.pcie_parent == "0000:01:00.0"


def test_an_nvswitch_is_an_endpoint_although_its_class_is_a_bridges():
    switch = parsed(*nodes.behind_a_switch())[-1]
    assert not switch.function.is_bridge
    assert not nodedev.is_gpu(switch.function, [DEFAULT_GPU_RULE])


def test_without_an_iommu_a_gpu_cannot_be_used():
    (gpu,) = nodedev.gpus(parsed(nodes.Node("0000:01:00.0", "10de:26b9", "030000")), [DEFAULT_GPU_RULE])
    assert gpu.health is GpuHealth.UNUSABLE
    assert "IOMMU" in gpu.health_message
    assert gpu.pcie_parent == ""


def test_a_gpu_whose_virtual_functions_are_on_cannot_be_used():
    node = nodes.Node("0000:01:00.0", "10de:20b7", "030200", group=3, virtual_functions=("0000:01:00.4", "0000:01:00.5"))
    (gpu,) = nodedev.gpus(parsed(node), [DEFAULT_GPU_RULE])
    assert gpu.health is GpuHealth.UNUSABLE
    assert gpu.health_message.startswith("2 virtual functions")


@pytest.mark.parametrize(
    ("rule", "counts"),
    [
        (GpuRule(vendor="10de", pci_class="03"), True),
        (GpuRule(vendor="10DE"), True),
        (GpuRule(pci_class="0302"), True),
        (GpuRule(pci_class="0300"), False),
        (GpuRule(vendor="1002"), False),
        (GpuRule(ids=("10de:26b9",)), True),
        (GpuRule(ids=("10DE:26B9",)), True),
        (GpuRule(ids=("10de:2330",)), False),
        (GpuRule(addresses=("0000:01:00.0",)), True),
        (GpuRule(vendor="10de", addresses=("0000:02:00.0",)), False),
        (GpuRule(), True),
    ],
)
def test_every_field_of_a_rule_that_is_given_must_match(rule, counts):
    gpu = parsed(*nodes.l40s_with_companions())[1]
    assert nodedev.is_gpu(gpu.function, [rule]) is counts


def test_no_rule_counts_nothing_and_a_bridge_never_counts():
    bridge, gpu = parsed(*nodes.l40s_with_companions())[:2]
    assert not nodedev.is_gpu(gpu.function, [])
    assert not nodedev.is_gpu(bridge.function, [GpuRule()])


def test_a_pci_domain_beyond_the_first_is_kept():
    (node,) = parsed(nodes.Node("10de:81:1f.7", "10de:26b9", "030000", group=1))
    assert node.function.address == "10de:81:1f.7"
    assert node.group_members == ("10de:81:1f.7",)
    assert nodedev.node_name(node.function.address) == "pci_10de_81_1f_7"


def test_what_is_no_pci_device_is_none_and_what_is_no_xml_is_an_error():
    assert nodedev.parse("<device><name>computer</name><capability type='system'/></device>") is None
    with pytest.raises(ElementTree.ParseError):
        nodedev.parse("no XML")
