"""The contract of clusters that place machines by themselves: what one sees of them, and is told.

Here for the twin; tests/kubernetes has the real driver.
"""

from __future__ import annotations

import pytest

from provisioner.drivers.host_events import HostEvent, HostEventKind
from provisioner.drivers.machine_cluster import ImportedDisk, MachineState
from provisioner.model.errors import InvalidInput
from tests.contract.machine_clusters import H100, H200, MachineBench, SimulatedMachineBench


@pytest.fixture
def machines() -> MachineBench:
    return SimulatedMachineBench()


class TestTroubles:
    def test_a_device_that_is_not_permitted_is_named_with_the_nearest(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.apply("vm", gpus=("nvidia.com/GH100_H100_NVM",))
        seen = machines.until_trouble("vm", "NotPermitted")
        assert seen.state is MachineState.WAITING
        assert seen.trouble.is_final
        assert f"did you mean {H100}?" in seen.trouble.message
        machines.permit("nvidia.com/GH100_H100_NVM", "10DE:2322")
        machines.until_trouble("vm", "Unschedulable")

    def test_no_node_has_the_labels(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.apply("vm", node_labels=(("zone", "nowhere"),))
        assert "didn't match" in machines.until_trouble("vm", "Unschedulable").trouble.message

    def test_an_image_that_cannot_be_pulled(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.refuse_image("vm")
        machines.apply("vm")
        seen = machines.until_trouble("vm", "ImageNotPulled")
        assert (seen.state, seen.node) == (MachineState.PLACED, "gpu-1")
        assert "failed to pull" in seen.trouble.message
        machines.allow_image("vm")
        assert machines.until_state("vm", MachineState.RUNNING).trouble is None

    def test_a_node_that_does_not_answer(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        before = machines.run("vm")
        machines.lose_node("gpu-1")
        seen = machines.until_state("vm", MachineState.LOST)
        assert (seen.trouble.reason, seen.instance_uid, seen.node) == ("NodeLost", before.instance_uid, "gpu-1")
        assert "gpu-1" in seen.trouble.message
        assert [each.state for each in machines.cluster.owned()] == [MachineState.LOST]
        machines.cluster.destroy(machines.namespace, "vm", instance_uid=before.instance_uid)
        machines.until(lambda: machines.look("vm").instance_uid != before.instance_uid)

    def test_a_machine_on_a_lost_node_goes_once_it_is_destroyed(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        before = machines.run("vm")
        machines.lose_node("gpu-1")
        machines.until_state("vm", MachineState.LOST)
        machines.cluster.remove(machines.namespace, "vm")
        machines.wait_a_moment()
        assert machines.look("vm").state is MachineState.LOST
        machines.cluster.destroy(machines.namespace, "vm", instance_uid=before.instance_uid)
        machines.until_gone("vm")

    def test_whoever_drains_the_node_is_heard(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.run("vm")
        machines.ask_to_leave("vm")
        machines.until(lambda: machines.look("vm").asks_to_leave)
        assert machines.look("vm").state is MachineState.RUNNING
        machines.apply("vm", is_to_run=False)
        machines.until(lambda: machines.look("vm").instance_uid == "")
        assert not machines.look("vm").asks_to_leave

    def test_a_disk_that_cannot_be_imported(self, machines):
        disk = ImportedDisk("ftp://images/ubuntu.img", size_bytes=10 << 30)
        with pytest.raises(InvalidInput, match="cannot be imported"):
            machines.apply("vm", disk=disk)


class TestClaims:
    def test_gpus_that_are_claimed_are_told_with_their_addresses(self, machines):
        machines.needs("claims")
        machines.add_node("gpu-1", gpus={H100: 1})
        address = machines.offer_claims("gpu-1", "one-gpu")
        running = machines.run("vm", claim_template="one-gpu")
        assert (running.gpus, running.gpu_addresses) == ((H100,), (address,))

    def test_a_template_that_does_not_exist_or_fit(self, machines):
        machines.needs("claims")
        machines.add_node("gpu-1", gpus={H100: 1})
        with pytest.raises(InvalidInput, match="no ResourceClaimTemplate"):
            machines.apply("vm", claim_template="none")
        machines.offer_claims("gpu-1", "one-gpu")
        with pytest.raises(InvalidInput, match="does not fit"):
            machines.apply("vm", claim_template="one-gpu", gpus=(H100, H100))


class TestSurvey:
    def test_nodes_with_what_they_offer_and_what_is_taken(self, machines):
        machines.add_node("gpu-1", gpus={H100: 4}, labels={"zone": "a"})
        machines.add_node("gpu-2", gpus={H200: 8})
        machines.run("vm", gpus=(H100, H100, H100))
        survey = machines.cluster.survey()
        one, two = survey.nodes
        assert (one.name, dict(one.devices), dict(one.devices_used)) == ("gpu-1", {H100: 4}, {H100: 3})
        assert (two.name, dict(two.devices), dict(two.devices_used)) == ("gpu-2", {H200: 8}, {})
        assert (one.is_schedulable, dict(one.labels)["zone"]) == (True, "a")
        assert 16_384 < one.memory_used_mib <= 18_500
        assert one.memory_mib > 100_000
        assert 400 <= one.cpu_used_milli <= 1_000
        assert two.memory_used_mib < 1_024
        assert dict(survey.permitted_devices)[H100] == "10DE:2321"

    def test_what_has_ended_uses_nothing(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.run("vm")
        machines.power_off("vm")
        machines.until_state("vm", MachineState.STOPPED)
        machines.until(lambda: machines.cluster.survey().nodes[0].devices_used == ())

    def test_a_lost_node_takes_nothing(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        assert machines.cluster.survey().nodes[0].is_schedulable
        machines.lose_node("gpu-1")
        machines.until(lambda: not machines.cluster.survey().nodes[0].is_schedulable)


class TestEvents:
    def test_it_is_told_when_machines_start_and_stop(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.cluster.subscribe(machines.listen)
        machines.cluster.subscribe(machines.listen)  # once all the same
        machines.run("vm")
        name = f"{machines.namespace}/vm"
        machines.until(lambda: HostEvent(HostEventKind.DOMAIN_STARTED, name) in machines.heard)
        machines.heard.clear()
        machines.power_off("vm")
        machines.until_state("vm", MachineState.STOPPED)
        machines.until(lambda: HostEvent(HostEventKind.DOMAIN_STOPPED, name) in machines.heard)

    def test_it_is_told_when_nodes_come(self, machines):
        machines.cluster.subscribe(machines.listen)
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.until(lambda: HostEvent(HostEventKind.DEVICES_CHANGED, "gpu-1") in machines.heard)

    def test_a_trouble_is_worth_a_look(self, machines):
        machines.cluster.subscribe(machines.listen)
        machines.apply("vm")
        machines.until_trouble("vm", "Unschedulable")
        event = HostEvent(HostEventKind.DOMAIN_STOPPED, f"{machines.namespace}/vm")
        machines.until(lambda: event in machines.heard)
