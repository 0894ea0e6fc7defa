"""Staged faults and the log of calls: the one way in which a single call goes wrong."""

from __future__ import annotations

import pytest

from provisioner.drivers.hypervisor import DomainState
from provisioner.drivers.simulated.faults import KEPT_CALLS, Call, CallLog, Fault
from provisioner.model.errors import DeviceBusy, HostTimeout, HostUnreachable
from tests.contract.hypervisors import DomainText

GPU = "0000:41:00.0"


class Crash(BaseException):
    """The caller dies here."""


def define(lab, name="g"):
    lab.hypervisor.domains.define(DomainText(name, "kvm").text())


def test_a_fault_hits_the_next_such_call_and_no_other(lab):
    lab.fleet.faults.next(call="domains.start", error=HostTimeout("late", why="staged"))
    define(lab)
    with pytest.raises(HostTimeout, match="staged"):
        lab.hypervisor.domains.start("g", timeout_s=10)
    assert lab.state() is DomainState.OFF
    lab.hypervisor.domains.start("g", timeout_s=10)
    assert lab.fleet.faults.pending == 0


def test_a_call_may_work_and_only_its_answer_be_lost(lab):
    lab.fleet.faults.next(call="domains.start", error=HostTimeout("late"), takes_effect=True)
    define(lab)
    with pytest.raises(HostTimeout):
        lab.hypervisor.domains.start("g", timeout_s=10)
    assert lab.state() is DomainState.RUNNING


def test_a_fault_may_wait_and_repeat_and_choose_its_subject(lab):
    busy = Fault(DeviceBusy("held"), call="devices.*", subject=GPU, skip=1, times=2)
    lab.fleet.faults.stage(busy)
    bind = lab.hypervisor.devices.bind_vfio
    bind("0000:41:00.1", timeout_s=10)
    bind(GPU, timeout_s=10)
    for _ in range(2):
        with pytest.raises(DeviceBusy):
            bind(GPU, timeout_s=10)
    bind(GPU, timeout_s=10)


def test_a_fault_of_one_host_leaves_the_others_alone(lab):
    other = lab.fleet.add_host("b")
    lab.fleet.faults.next(call="*", error=HostUnreachable("gone"), host="b")
    assert lab.hypervisor.domains.owned() == ()
    with pytest.raises(HostUnreachable), other.call("connect"):
        raise AssertionError("the call must not get this far")


def test_a_fault_takes_time_by_the_clock_only(lab):
    lab.fleet.faults.stage(Fault(HostTimeout("late"), call="domains.owned", takes_s=3600))
    begun_s = lab.clock.monotonic_s()
    with pytest.raises(HostTimeout):
        lab.hypervisor.domains.owned()
    assert lab.clock.monotonic_s() - begun_s == 3600


def test_a_crash_of_the_caller_goes_through_everything(lab):
    lab.fleet.faults.next(call="domains.define", error=Crash(), takes_effect=True)
    with pytest.raises(Crash):
        define(lab)
    assert lab.hypervisor.domains.look("g") is not None


def test_each_error_is_a_copy_with_its_own_traceback(lab):
    staged = HostTimeout("late", why="w", context={"a": 1})
    lab.fleet.faults.stage(Fault(staged, call="domains.owned", times=2))
    caught = []
    for _ in range(2):
        with pytest.raises(HostTimeout) as info:
            lab.hypervisor.domains.owned()
        caught.append(info.value)
    assert caught[0] is not caught[1]
    assert (caught[0].what, caught[0].why, caught[0].context) == ("late", "w", {"a": 1})
    assert staged.__traceback__ is None


def test_faults_can_be_forgotten(lab):
    lab.fleet.faults.next(call="*", error=HostTimeout("late"))
    lab.fleet.faults.clear()
    assert lab.hypervisor.domains.owned() == ()


def test_every_call_is_in_the_log_with_how_it_went(lab):
    lab.fleet.calls.clear()
    lab.fleet.faults.next(call="domains.look", error=HostTimeout("late"))
    define(lab)
    with pytest.raises(HostTimeout):
        lab.hypervisor.domains.look("g")
    calls = [call for call in lab.fleet.calls if call.name != "connect"]
    assert [(call.name, call.subject, call.went_well) for call in calls] == [
        ("domains.define", "g", True),
        ("domains.look", "g", False),
    ]
    assert lab.fleet.calls.count("domains.*") == 2
    assert lab.fleet.calls.names("domains.*", host="b") == ()


def test_the_log_is_bounded():
    log = CallLog()
    for number in range(KEPT_CALLS + 5):
        log.add(Call("a", f"call-{number}", "", 0.0))
    assert len(log) == KEPT_CALLS
    assert next(iter(log)).name == "call-5"
