"""The contract of clusters that place machines by themselves: what becomes of a machine.

Here for the twin; tests/kubernetes has the real driver.
"""

from __future__ import annotations

import pytest

from provisioner.drivers.machine_cluster import MachineState
from provisioner.model.errors import Conflict, InvalidInput, NotFound
from tests.contract.machine_clusters import H100, OWNER, MachineBench, SimulatedMachineBench


@pytest.fixture
def machines() -> MachineBench:
    return SimulatedMachineBench()


class TestLife:
    def test_a_machine_comes_to_run_on_a_node_with_its_gpus(self, machines):
        machines.add_node("gpu-1", gpus={H100: 4})
        running = machines.run("vm", gpus=(H100, H100))
        assert (running.namespace, running.name, running.owner_uid) == (machines.namespace, "vm", OWNER)
        assert running.node == "gpu-1"
        assert running.gpus == (H100, H100)
        assert running.instance_uid
        assert (running.ended, running.trouble, running.is_current, running.asks_to_leave) == ("", None, True, False)
        machines.until(lambda: bool(machines.look("vm").addresses))
        assert running.status_in_its_words == "Running"

    def test_applying_it_again_changes_nothing(self, machines):
        machines.add_node("gpu-1", gpus={H100: 4})
        before = machines.run("vm")
        machines.apply("vm")
        machines.wait_a_moment()
        after = machines.look("vm")
        assert (after.instance_uid, after.state, after.is_current) == (before.instance_uid, MachineState.RUNNING, True)

    def test_one_that_shall_not_run_is_made_and_does_not(self, machines):
        machines.add_node("gpu-1", gpus={H100: 4})
        machines.apply("vm", is_to_run=False)
        machines.wait_a_moment()
        seen = machines.look("vm")
        assert (seen.state, seen.instance_uid, seen.trouble) == (MachineState.STOPPED, "", None)

    def test_stop_and_start_make_another_instance(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        first = machines.run("vm")
        machines.apply("vm", is_to_run=False)
        machines.until(lambda: machines.look("vm").instance_uid == "")
        assert machines.look("vm").state is MachineState.STOPPED
        second = machines.run("vm")
        assert second.instance_uid not in {"", first.instance_uid}

    def test_it_is_stopping_before_it_is_stopped(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.run("vm")
        machines.apply("vm", is_to_run=False)
        assert machines.look("vm").state is MachineState.STOPPING
        assert machines.until_state("vm", MachineState.STOPPED).ended in {"", "off"}

    def test_it_waits_for_the_last_gpu_and_takes_it_when_it_is_free(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.run("first")
        machines.apply("second")
        waiting = machines.until_trouble("second", "Unschedulable")
        assert waiting.state is MachineState.WAITING
        assert f"1 Insufficient {H100}" in waiting.trouble.message
        assert "preemption" not in waiting.trouble.message
        assert not waiting.trouble.is_final
        machines.cluster.remove(machines.namespace, "first")
        assert machines.until_state("second", MachineState.RUNNING).trouble is None

    def test_it_runs_where_the_labels_are(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.add_node("gpu-2", gpus={H100: 1}, labels={"zone": "b"})
        assert machines.run("vm", node_labels=(("zone", "b"),)).node == "gpu-2"

    def test_removed_nothing_is_left_and_the_name_is_free(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.run("vm")
        machines.cluster.remove(machines.namespace, "vm")
        assert machines.look("vm").state is MachineState.STOPPING
        machines.until_gone("vm")
        machines.cluster.remove(machines.namespace, "vm")  # once more is nothing
        assert machines.cluster.owned() == ()
        machines.run("vm")

    def test_a_waiting_one_can_be_removed(self, machines):
        machines.apply("vm")
        machines.until_trouble("vm", "Unschedulable")
        machines.cluster.remove(machines.namespace, "vm")
        machines.until_gone("vm")

    def test_user_data_may_be_of_any_size(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.run("vm", user_data="#cloud-config\n# " + "x" * 60_000, network_data="version: 2\n")


class TestEnds:
    def test_one_that_powers_off_stays_off(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        before = machines.run("vm")
        machines.power_off("vm")
        ended = machines.until_state("vm", MachineState.STOPPED)
        assert (ended.ended, ended.instance_uid) == ("off", before.instance_uid)
        machines.wait_a_moment()
        assert machines.look("vm").state is MachineState.STOPPED

    def test_one_that_crashes_says_so(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.run("vm")
        machines.crash("vm")
        assert machines.until_state("vm", MachineState.STOPPED).ended == "crashed"

    def test_what_has_ended_gives_its_gpu_to_the_next(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.run("first")
        machines.power_off("first")
        machines.run("second")

    def test_one_that_is_restarted_runs_again_as_another_instance(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        before = machines.run("vm", is_restarted=True)
        machines.crash("vm")
        machines.until(lambda: machines.look("vm").instance_uid not in {"", before.instance_uid})
        machines.until_state("vm", MachineState.RUNNING)

    def test_starts_that_fail_are_tried_again_later_and_later(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.fail_starts("vm", times=1)
        machines.apply("vm", is_restarted=True)
        seen = machines.until_trouble("vm", "BackOff")
        assert seen.state in {MachineState.WAITING, MachineState.STOPPING}
        assert "tried again after" in seen.trouble.message
        machines.until_state("vm", MachineState.RUNNING)

    def test_a_failed_start_of_one_that_is_not_restarted_stays_failed(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.fail_starts("vm", times=1)
        machines.apply("vm")
        machines.until(lambda: machines.look("vm").ended == "crashed", what=lambda: str(machines.look("vm")))
        assert machines.look("vm").state is MachineState.STOPPED

    def test_restart_ends_that_instance_and_another_comes(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        before = machines.run("vm")
        machines.cluster.restart(machines.namespace, "vm", instance_uid=before.instance_uid)
        machines.until(lambda: machines.look("vm").instance_uid not in {"", before.instance_uid})
        after = machines.until_state("vm", MachineState.RUNNING)
        machines.cluster.restart(machines.namespace, "vm", instance_uid=before.instance_uid)  # meets no successor
        machines.wait_a_moment()
        assert machines.look("vm").instance_uid == after.instance_uid

    def test_destroy_does_not_ask_the_guest(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.ignore_shutdown("vm")
        before = machines.run("vm", shutdown_timeout_s=3_600)
        machines.apply("vm", is_to_run=False, shutdown_timeout_s=3_600)
        machines.wait_a_moment()
        assert machines.look("vm").state is MachineState.STOPPING
        machines.cluster.destroy(machines.namespace, "vm", instance_uid="another")
        machines.wait_a_moment()
        assert machines.look("vm").instance_uid == before.instance_uid
        machines.cluster.destroy(machines.namespace, "vm", instance_uid=before.instance_uid)
        machines.until(lambda: machines.look("vm").instance_uid == "")
        machines.cluster.destroy(machines.namespace, "vm", instance_uid=before.instance_uid)

    def test_ending_what_is_not_there_is_nothing(self, machines):
        machines.cluster.restart(machines.namespace, "no", instance_uid="x")
        machines.cluster.destroy(machines.namespace, "no", instance_uid="x")
        machines.cluster.remove(machines.namespace, "no")
        assert machines.cluster.look(machines.namespace, "no") is None


class TestChanges:
    def test_what_only_a_restart_can_change_is_told_and_taken_by_it(self, machines):
        machines.add_node("gpu-1", gpus={H100: 2})
        before = machines.run("vm")
        machines.apply("vm", gpus=(H100, H100))
        seen = machines.look("vm")
        assert (seen.state, seen.is_current, seen.gpus) == (MachineState.RUNNING, False, (H100,))
        machines.apply("vm")
        machines.until(lambda: machines.look("vm").is_current)  # changed back
        machines.apply("vm", gpus=(H100, H100))
        machines.cluster.restart(machines.namespace, "vm", instance_uid=before.instance_uid)
        machines.until(lambda: machines.look("vm").gpus == (H100, H100))
        assert machines.until_state("vm", MachineState.RUNNING).is_current

    def test_another_seed_is_for_the_next_start(self, machines):
        machines.add_node("gpu-1", gpus={H100: 2})
        before = machines.run("vm")
        machines.apply("vm", user_data="#cloud-config\nhostname: other\n")
        machines.wait_a_moment()
        seen = machines.look("vm")
        assert (seen.is_current, seen.instance_uid) == (True, before.instance_uid)

    def test_a_strangers_machine_is_left_alone(self, machines):
        machines.make_stranger("vm")
        with pytest.raises(Conflict, match="somebody else"):
            machines.apply("vm")
        assert machines.cluster.look(machines.namespace, "vm") is None
        machines.cluster.remove(machines.namespace, "vm")
        assert machines.cluster.owned() == ()
        with pytest.raises(Conflict):
            machines.apply("vm")

    def test_another_resources_machine_is_a_conflict(self, machines):
        machines.apply("vm", is_to_run=False)
        with pytest.raises(Conflict, match="somebody else"):
            machines.apply("vm", is_to_run=False, owner_uid="99999999-2222-3333-4444-555555555555")

    def test_one_that_is_still_going_is_a_conflict(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.run("vm")
        machines.cluster.remove(machines.namespace, "vm")
        with pytest.raises(Conflict, match="still going"):
            machines.apply("vm")

    def test_a_namespace_that_does_not_exist_is_said(self, machines):
        with pytest.raises(NotFound):
            machines.apply("vm", namespace="nowhere")

    def test_owned_has_all_of_ours_and_no_others(self, machines):
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.make_stranger("theirs")
        machines.run("a")
        machines.apply("b", is_to_run=False)
        machines.until(lambda: len(machines.cluster.owned()) == 2)
        a, b = machines.cluster.owned()
        assert (a.name, a.state, a.node, b.name, b.state) == ("a", MachineState.RUNNING, "gpu-1", "b", MachineState.STOPPED)


class TestConnecting:
    def test_a_uri_that_cannot_be_understood(self, machines):
        with pytest.raises(InvalidInput):
            machines.connector.connect("qemu:///system")

    def test_closing_a_share_leaves_the_others(self, machines):
        one, other = machines.cluster, machines.cluster
        one.close()
        one.close()
        assert other.owned() == ()
