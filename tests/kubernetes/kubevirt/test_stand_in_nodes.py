"""Nodes that are lost or removed, as section 12 of what was observed has them; a minute of theirs is seconds here."""

from __future__ import annotations

from tests.kubernetes.kubevirt.conditions import find
from tests.kubernetes.kubevirt.fields import at, is_deleting
from tests.kubernetes.kubevirt.fleet import Fleet
from tests.kubernetes.kubevirt.resources import NODES, PODS

VERY_QUICK = 0.02
TERMINATING = ("False", "PodTerminating", "virt-launcher pod is terminating")


def test_a_vm_on_a_lost_node_says_running_for_ever_but_is_not_ready(fleet: Fleet) -> None:
    fleet.create("v")
    fleet.until_ready("v")
    uid = fleet.instance_uid("v")
    fleet.kubevirt.add_node("gpu-2")
    fleet.kubevirt.time_scale = VERY_QUICK
    fleet.kubevirt.lose_node("gpu-1")
    fleet.kubevirt.eventually(lambda: fleet.condition("v", "Ready") == ("False", "", ""), what="it is not ready, for no reason")
    assert (fleet.printed("v"), fleet.phase("v"), fleet.status("v").get("ready")) == ("Running", "Running", None)
    assert ("Warning", "NodeNotReady", "Node is not ready") in fleet.events("Pod")
    fleet.kubevirt.eventually(lambda: _taints(fleet) >= {("node.kubernetes.io/unreachable", "NoExecute")}, what="taints")
    fleet.kubevirt.eventually(lambda: is_deleting(fleet.pod("v")), what="the taint manager deletes its pod")
    node = fleet.client.get(NODES.path("", "gpu-1")) or {}
    assert node["metadata"]["labels"]["kubevirt.io/schedulable"] == "false"
    fleet.kubevirt.eventually(
        lambda: (fleet.condition("v", "Ready") or ("", ""))[1] == "PodTerminating", what="its pod terminates"
    )
    assert (fleet.printed("v"), fleet.instance_uid("v")) == ("Running", uid)
    fleet.delete_pod("v", gracePeriodSeconds=0)
    fleet.until_ready("v", after=uid)
    assert fleet.node("v") == "gpu-2"


def test_a_vm_on_a_lost_node_is_deleted_when_its_pod_is(fleet: Fleet) -> None:
    fleet.create("v")
    fleet.until_ready("v")
    fleet.kubevirt.time_scale = VERY_QUICK
    fleet.kubevirt.lose_node("gpu-1")
    fleet.delete("v")
    fleet.until("v", "Terminating")
    fleet.kubevirt.eventually(lambda: is_deleting(fleet.pod("v")), what="its pod is marked")
    assert (fleet.phase("v"), is_deleting(fleet.instance("v"))) == ("Running", True)
    fleet.delete_pod("v", gracePeriodSeconds=0)
    fleet.until_gone("v")


def test_a_node_that_is_removed_frees_its_vms(fleet: Fleet) -> None:
    fleet.create("v")
    fleet.until_ready("v")
    uid, pod = fleet.instance_uid("v"), fleet.pod("v")["metadata"]["name"]
    fleet.kubevirt.add_node("gpu-2")
    fleet.kubevirt.time_scale = VERY_QUICK
    fleet.kubevirt.delete_node("gpu-1")
    fleet.until_ready("v", after=uid)
    assert fleet.node("v") == "gpu-2"
    text = "virt-handler on node gpu-1 is not responsive, marking VMI as failed"
    assert ("Normal", "NodeUnresponsive", text) in fleet.events("VirtualMachineInstance")
    assert fleet.client.get(PODS.path(fleet.namespace, pod)) is None


def test_a_silent_agent_is_no_condition(fleet: Fleet) -> None:
    fleet.guest("v").silence_agent()
    fleet.guest("v").address = "10.9.8.7"
    fleet.create("v")
    fleet.until_ready("v")
    assert fleet.condition("v", "AgentConnected") is None
    fleet.guest("v").silence_agent(False)
    fleet.kubevirt.eventually(lambda: fleet.condition("v", "AgentConnected"), what="the agent answers")
    instance = fleet.instance("v") or {}
    interface = at(instance, "status", "interfaces")[0]
    assert (interface["ipAddress"], interface["infoSource"]) == ("10.9.8.7", "domain, guest-agent")
    assert find(at(instance, "status", "conditions"), "AgentConnected")
    fleet.guest("v").address = "10.9.8.6"
    fleet.kubevirt.eventually(
        lambda: at(fleet.instance("v"), "status", "interfaces")[0]["ipAddress"] == "10.9.8.6", what="it moved"
    )


def _address(fleet: Fleet) -> str:
    return str(at(fleet.instance("v"), "status", "interfaces")[0]["ipAddress"])


def _taints(fleet: Fleet) -> set[tuple[str, str]]:
    node = fleet.client.get(NODES.path("", "gpu-1"))
    return {(each["key"], each["effect"]) for each in at(node, "spec", "taints", default=[])}
