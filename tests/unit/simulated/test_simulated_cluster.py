"""What a simulated KubeVirt cluster does beyond the contract: its world, its faults, its time."""

from __future__ import annotations

import pytest

from provisioner.drivers.host_events import HostEvent, HostEventKind
from provisioner.drivers.machine_cluster import ImportedDisk, MachineState
from provisioner.drivers.simulated.faults import Fault
from provisioner.model.errors import HostTimeout, HostUnreachable, HypervisorError, NotFound
from tests.contract.machine_clusters import H100, IMAGE, SimulatedMachineBench


@pytest.fixture
def bench() -> SimulatedMachineBench:
    made = SimulatedMachineBench()
    made.add_node("gpu-1", gpus={H100: 2})
    return made


def test_two_runs_are_alike(bench: SimulatedMachineBench) -> None:
    other = SimulatedMachineBench()
    other.add_node("gpu-1", gpus={H100: 2})
    for each in (bench, other):
        each.run("vm")
        each.until(lambda each=each: bool(each.look("vm").addresses))  # type: ignore[misc]
    assert bench.look("vm") == other.look("vm")
    assert bench.clock.now_s() == other.clock.now_s()


def test_what_happened_does_not_depend_on_when_one_looks(bench: SimulatedMachineBench) -> None:
    other = SimulatedMachineBench()
    other.add_node("gpu-1", gpus={H100: 2})
    for each in (bench, other):
        each.apply("vm")
    for _ in range(100):
        bench.clock.advance(0.25)
        bench.look("vm")
    other.clock.advance(25.0)
    assert bench.look("vm") == other.look("vm")
    guests = [each.simulated.running_at(each.look("vm").addresses[0]) for each in (bench, other)]
    assert guests[0] == guests[1] is not None


def test_a_guest_is_found_by_its_address_with_the_seed_of_its_start(bench: SimulatedMachineBench) -> None:
    running = bench.run("vm", user_data="first")
    bench.apply("vm", user_data="second")
    guest = bench.simulated.running_at(running.addresses[0])
    assert guest is not None
    assert (guest.name, guest.user_data, guest.instance_uid) == ("vm", "first", running.instance_uid)
    assert [gpu.resource for gpu in guest.gpus] == [H100]
    bench.power_off("vm")
    assert bench.simulated.running_at(running.addresses[0]) is None


def test_gpus_of_others_are_not_given(bench: SimulatedMachineBench) -> None:
    bench.simulated.occupy("gpu-1", H100, count=2)
    bench.apply("vm")
    assert bench.until_trouble("vm", "Unschedulable").trouble
    assert bench.cluster.survey().nodes[0].devices_used == ((H100, 2),)
    bench.simulated.occupy("gpu-1", H100, count=1)
    bench.until_state("vm", MachineState.RUNNING)


def test_a_cordoned_node_keeps_what_it_has_and_takes_no_more(bench: SimulatedMachineBench) -> None:
    bench.run("old")
    bench.simulated.cordon("gpu-1")
    bench.apply("new")
    waiting = bench.until_trouble("new", "Unschedulable")
    assert waiting.trouble is not None
    assert "unschedulable" in waiting.trouble.message
    assert bench.look("old").state is MachineState.RUNNING


def test_a_quota_on_gpus(bench: SimulatedMachineBench) -> None:
    bench.simulated.limit_gpus(bench.namespace, most=1)
    bench.run("one")
    bench.apply("two")
    bench.until_trouble("two", "QuotaExceeded")
    bench.simulated.limit_gpus(bench.namespace, most=None)
    bench.until_state("two", MachineState.RUNNING)


def test_machines_of_a_node_that_is_taken_away_fail_after_a_while(bench: SimulatedMachineBench) -> None:
    bench.run("vm")
    bench.simulated.delete_node("gpu-1")
    assert bench.look("vm").state is MachineState.LOST
    ended = bench.until_state("vm", MachineState.STOPPED)
    assert (ended.ended, ended.trouble.message if ended.trouble else "") == ("crashed", "NodeUnresponsive")


def test_a_node_that_comes_back_has_its_machines_still(bench: SimulatedMachineBench) -> None:
    before = bench.run("vm")
    bench.lose_node("gpu-1")
    bench.until_state("vm", MachineState.LOST)
    bench.simulated.bring_back("gpu-1")
    assert (bench.look("vm").state, bench.look("vm").instance_uid) == (MachineState.RUNNING, before.instance_uid)


def test_a_disk_that_nobody_imports(bench: SimulatedMachineBench) -> None:
    with bench.simulated.peek() as state:
        state.can_import_disks = False
    bench.apply("vm", disk=ImportedDisk("https://images/a.img", size_bytes=1 << 30))
    found = bench.until_trouble("vm", "DiskMissing").trouble
    assert found is not None
    assert found.is_final


def test_an_image_is_refused_for_all_until_it_is_not(bench: SimulatedMachineBench) -> None:
    bench.simulated.refuse_image(IMAGE)
    bench.apply("vm")
    bench.until_trouble("vm", "ImageNotPulled")
    bench.wait_a_moment()
    allowed_s = bench.clock.now_s()
    bench.simulated.refuse_image(IMAGE, why="")
    running = bench.until_state("vm", MachineState.RUNNING)
    guest = bench.simulated.running_at(running.addresses[0])
    assert guest is not None
    assert guest.started_s >= allowed_s


def test_calls_are_logged_and_meet_faults(bench: SimulatedMachineBench) -> None:
    bench.world.faults.stage(Fault(HypervisorError("no"), call="machines.apply", takes_effect=True))
    with pytest.raises(HypervisorError):
        bench.apply("vm")
    assert bench.look("vm").state is MachineState.WAITING, "it took effect"
    assert bench.world.calls.count("machines.apply") == 1


def test_a_cluster_that_is_away_loses_its_listeners(bench: SimulatedMachineBench) -> None:
    before = bench.cluster
    before.subscribe(bench.listen)
    bench.simulated.set_link("down")
    assert bench.heard == [HostEvent(HostEventKind.CONNECTION_LOST, "connection refused")]
    with pytest.raises(HostUnreachable):
        before.owned()
    bench.simulated.set_link("up")
    with pytest.raises(HostUnreachable, match="lost"):
        before.owned()
    assert bench.cluster.owned() == ()


def test_a_cluster_that_hangs_takes_its_time(bench: SimulatedMachineBench) -> None:
    opened = bench.cluster
    bench.simulated.set_link("hangs")
    began_s = bench.clock.now_s()
    with pytest.raises(HostTimeout):
        opened.owned()
    assert bench.clock.now_s() - began_s == pytest.approx(30.0)


def test_what_is_not_there_is_said(bench: SimulatedMachineBench) -> None:
    with pytest.raises(NotFound):
        bench.simulated.crash(bench.namespace, "vm")
    with pytest.raises(NotFound):
        bench.simulated.lose_node("none")
    with pytest.raises(HostUnreachable):
        bench.connector.connect("kubevirt://other")
