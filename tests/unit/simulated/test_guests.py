"""Stories of simulated guests: how they come up, how they fail, and what they answer."""

from __future__ import annotations

import pytest

from provisioner.drivers.guest.keys import generate_key_pair
from provisioner.drivers.hypervisor import DomainState
from provisioner.model.errors import GuestUnreachable, HostUnreachable
from tests.contract.guest_benches import MAC_ADDRESS, GuestKit

LONG_S = 300


def addresses(lab):
    return lab.hypervisor.domains.addresses("g", mac_address=MAC_ADDRESS)


def moment(lab, holds) -> float:
    """Seconds until it holds."""
    for tenth in range(1000):
        if holds():
            return tenth / 10
        lab.clock.advance(0.1)
    raise AssertionError("not within 100 s")


def answers(lab) -> bool:
    try:
        lab.report()
    except GuestUnreachable:
        return False
    return True


def test_a_guest_comes_up_in_stages(lab):
    lab.kit.start(lab.hypervisor)
    assert addresses(lab) == ()
    assert moment(lab, lambda: addresses(lab) == ("192.168.122.2",)) > 0
    assert moment(lab, lambda: answers(lab)) > 0
    assert lab.report().cloud_init.status == "running"
    assert not lab.report().nvidia.driver_loaded
    assert moment(lab, lambda: lab.report().cloud_init.status == "done") > 0
    (gpu,) = lab.report().nvidia.gpus
    assert (gpu.name, gpu.memory_mib) == ("NVIDIA L40S", 46068)


def test_the_console_tells_the_same_story(lab):
    lab.kit.start(lab.hypervisor)
    early = lab.hypervisor.console.tail("g", limit_bytes=4000)
    lab.clock.advance(LONG_S)
    late = lab.hypervisor.console.tail("g", limit_bytes=4000)
    assert "Linux version" in early
    assert "finished" not in early
    assert "Cloud-init finished" in late


def test_the_card_looks_the_same_in_the_guest(lab):
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    passed = {function.vendor + ":" + function.device: function for function in lab.report().functions}
    assert passed["10de:26b9"].driver == "nvidia"
    assert passed["10de:22ba"].driver == "snd_hda_intel"
    assert lab.report().nvidia.gpus[0].address == passed["10de:26b9"].address


def test_the_same_seed_gives_the_same_guest_and_another_seed_another(lab):
    def boot_id(seed):
        from provisioner.clocks import ManualClock
        from provisioner.drivers.simulated.fleet import SimulatedFleet
        from provisioner.drivers.simulated.hypervisor import SimulatedConnector

        fleet = SimulatedFleet(ManualClock(), seed=seed)
        host = fleet.add_host("a")
        hypervisor = SimulatedConnector(fleet).connect(host.uri)
        hypervisor.domains.look("noise-that-must-not-matter")
        lab.kit.start(hypervisor)
        with host.peek() as state:
            return state.domains["g"].boot

    first, second, other = (boot_id(seed) for seed in (1, 1, 2))
    assert (first.id, first.cloud_init_s) == (second.id, second.cloud_init_s)
    assert first.id != other.id
    assert first.cloud_init_s != other.cloud_init_s


@pytest.mark.parametrize("failing", [{"boots": False}, {"gets_address": False}])
def test_a_guest_that_does_not_get_there_has_no_address(lab, failing):
    lab.host.behave("g", **failing)
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    assert addresses(lab) == ()
    assert lab.state() is DomainState.RUNNING


def test_under_a_broken_kvm_it_runs_and_gets_nowhere(lab):
    with lab.host.peek() as state:
        state.kvm = "broken"
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    assert addresses(lab) == ()


def test_a_disk_without_a_system_does_not_boot(lab):
    empty = lab.hypervisor.volumes.create("default", "empty.qcow2", size_bytes=2**30).path
    lab.kit.start(lab.hypervisor, disk=empty)
    lab.clock.advance(LONG_S)
    assert addresses(lab) == ()


def test_a_guest_that_never_answers_ssh_still_has_an_address(lab):
    lab.host.behave(answers_ssh=False)
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    assert addresses(lab)
    with pytest.raises(GuestUnreachable, match="refused"):
        lab.report()


@pytest.mark.parametrize("outcome", ["degraded", "error"])
def test_cloud_init_ends_in_other_ways(lab, outcome):
    lab.host.behave("g", cloud_init=outcome)
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    report = lab.report()
    assert report.cloud_init.status == outcome
    assert report.nvidia.driver_loaded is (outcome == "degraded")


def test_cloud_init_hangs(lab):
    lab.host.behave("g", cloud_init="hangs")
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(100 * LONG_S)
    assert lab.report().cloud_init.status == "running"


def test_the_driver_is_missing(lab):
    lab.host.behave("g", nvidia_driver="")
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    report = lab.report()
    assert (report.cloud_init.status, report.nvidia.driver_loaded, report.nvidia.gpus) == ("done", False, ())
    assert any(function.device == "26b9" for function in report.functions)


def test_a_gpu_does_not_show_up_in_the_guest(lab):
    lab.host.behave("g", missing_gpus=1)
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    assert lab.report().nvidia.gpus == ()
    assert not any(function.device == "26b9" for function in lab.report().functions)


def test_a_gpu_falls_off_the_bus_while_the_guest_runs(lab):
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    lab.host.lose("0000:41:00.0")
    assert lab.report().nvidia.gpus == ()


def test_a_guest_resets_without_a_word(lab):
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    before = lab.report().boot_id
    lab.host.reset_guest("g")
    with pytest.raises(GuestUnreachable):
        lab.report()
    lab.clock.advance(LONG_S)
    assert lab.report().boot_id != before


def test_a_reset_where_that_means_destroy_is_the_end(lab):
    lab.kit.start(lab.hypervisor)
    with lab.host.peek() as state:
        state.domains["g"].live.on_reboot = "destroy"
    lab.host.reset_guest("g")
    assert lab.state() is DomainState.OFF


def test_a_guest_shows_another_host_key(lab):
    lab.host.behave("g", has_wrong_host_key=True)
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    with pytest.raises(GuestUnreachable, match="host key"):
        lab.report()


def test_a_report_that_is_garbage(lab):
    lab.host.behave("g", report_is_garbage=True)
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    with pytest.raises(GuestUnreachable, match="report"):
        lab.report()


def test_the_host_to_jump_through_is_away(lab):
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    lab.host.set_link("down")
    with pytest.raises(HostUnreachable):
        lab.report()


def test_the_tenants_own_host_key_is_the_one(lab):
    tenants = generate_key_pair("tenant")
    indented = tenants.private_openssh.replace("\n", "\n    ")
    user_data = f"#cloud-config\nssh_keys:\n  ed25519_private: |\n    {indented}\n  ed25519_public: {tenants.public_line}\n"
    lab.kit.start(lab.hypervisor, seed=lab.kit.seed(user_data=user_data))
    lab.clock.advance(LONG_S)
    with pytest.raises(GuestUnreachable, match="host key"):
        lab.report()
    lab.kit.host_keys = tenants
    assert lab.report().boot_id


def hand_over(lab):
    lab.guests.hand_over(lab.door, timeout_s=10)


def test_after_hand_over_and_ejection_our_key_stays_away(lab):
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    hand_over(lab)
    lab.hypervisor.domains.eject("g", "sda")
    lab.host.reset_guest("g")
    lab.clock.advance(LONG_S)
    with pytest.raises(GuestUnreachable, match="authentication"):
        lab.report()


def test_a_seed_left_in_the_drive_lets_our_key_in_again(lab):
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    hand_over(lab)
    lab.host.reset_guest("g")
    lab.clock.advance(LONG_S)
    assert lab.report().boot_id


def test_a_restart_with_a_new_seed_of_the_same_instance_keeps_the_host_key(lab):
    lab.kit.start(lab.hypervisor)
    lab.clock.advance(LONG_S)
    hand_over(lab)
    lab.hypervisor.domains.destroy("g", timeout_s=10)
    next_start = GuestKit(host_keys=generate_key_pair("never installed"))
    next_start.start(lab.hypervisor, seed=next_start.seed(instance_id="i-1"))
    lab.clock.advance(LONG_S)
    with pytest.raises(GuestUnreachable, match="host key"):
        lab.guests.report(next_start.door(lab.host.uri), timeout_s=10)
    next_start.host_keys = lab.kit.host_keys
    assert lab.guests.report(next_start.door(lab.host.uri), timeout_s=10).boot_id


def test_another_instance_gets_the_host_key_of_its_seed(lab):
    lab.kit.start(lab.hypervisor)
    lab.hypervisor.domains.destroy("g", timeout_s=10)
    other = GuestKit()
    other.start(lab.hypervisor, seed=other.seed(instance_id="i-2"))
    lab.clock.advance(LONG_S)
    assert lab.guests.report(other.door(lab.host.uri), timeout_s=10).boot_id


def test_without_a_seed_nobody_knows_our_key(lab):
    lab.kit.start(lab.hypervisor, seed=b"no ISO image at all")
    lab.clock.advance(LONG_S)
    with pytest.raises(GuestUnreachable):
        lab.report()


def test_a_guest_heeds_a_shutdown_or_not(lab):
    lab.kit.start(lab.hypervisor)
    lab.hypervisor.domains.shutdown("g")
    lab.clock.advance(LONG_S)
    assert lab.state() is DomainState.RUNNING  # asked before its system ran
    lab.host.behave("g", heeds_shutdown=False)
    lab.hypervisor.domains.shutdown("g")
    lab.clock.advance(LONG_S)
    assert lab.state() is DomainState.RUNNING
    lab.host.behave("g", heeds_shutdown=True)
    lab.hypervisor.domains.shutdown("g")
    assert lab.state() is DomainState.RUNNING
    lab.clock.advance(LONG_S)
    assert lab.state() is DomainState.OFF
