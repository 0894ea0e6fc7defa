"""VMs that are reached from outside, told as stories in virtual time."""

from __future__ import annotations

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.model.errors import HostTimeout, HypervisorError
from provisioner.model.gpu_host import NetworkMapping
from provisioner.model.network import Publication
from provisioner.model.virtual_machine import Phase, RunStrategy
from tests.lifecycle.wiring import EXTERNAL, ON_BRIDGE, WHOLE, publication, said, settings, wires
from tests.lifecycle.world import World, vm_yaml


@pytest.fixture
def host(world: World) -> World:
    """A world with host a, which has two GPUs and two external addresses."""
    return settings(world.host("a", gpus=2), external_addresses=("203.0.113.17", "203.0.113.18"))


class TestNat:
    def test_listed_ports_are_published_at_an_address_of_the_hosts(self, host: World) -> None:
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        vm, let_in = host.vm("first"), publication(host, "first")
        assert let_in is not None
        assert (let_in.external_address, let_in.guest_address) == ("203.0.113.17", vm.status.address)
        assert (let_in.ports, let_in.whole, let_in.allows_icmp) == ((22, 8888), False, True)
        assert (let_in.bridge, let_in.subnet) == ("virbr0", "192.168.122.0/24")
        assert vm.status.external_address == "203.0.113.17"
        assert said(host, "first") == ("True", "Done", "TCP 22, 8888 and ICMP at 203.0.113.17")

    def test_a_whole_address_has_no_list(self, host: World) -> None:
        host.apply(vm_yaml("first", extra=WHOLE)).settle()
        let_in = publication(host, "first")
        assert let_in is not None
        assert (let_in.whole, let_in.ports) == (True, ())

    def test_a_vm_that_does_not_ask_takes_no_address(self, host: World) -> None:
        host.apply(vm_yaml("first")).settle()
        assert host.vm("first").status.external_address == ""
        assert host.condition("first", "Published") is None
        assert not host.fleet.world.calls.count("networks.publish")

    def test_two_vms_want_the_last_one(self, host: World) -> None:
        settings(host, external_addresses=("203.0.113.17",))
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        host.apply(vm_yaml("second", extra=EXTERNAL)).settle()
        waiting = host.condition("second", "Scheduled")
        assert waiting is not None
        assert (waiting.reason, waiting.message) == (
            "InsufficientExternalAddresses",
            "1 host: 0 of 1 external addresses free",
        )
        host.delete("first").run(lambda: host.is_ready("second"))
        assert host.vm("second").status.external_address == "203.0.113.17"

    def test_a_stop_withdraws_and_keeps_the_address_for_the_vms_life(self, host: World) -> None:
        settings(host, external_addresses=("203.0.113.17",))
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        host.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: host.vm("first").status.phase is Phase.STOPPED)
        assert publication(host, "first") is None
        assert said(host, "first")[:2] == ("False", "Withdrawn")
        assert host.vm("first").status.external_address == "203.0.113.17"
        host.apply(vm_yaml("second", extra=EXTERNAL)).settle()
        assert not host.is_ready("second"), "it is the first one's, running or not"
        host.edit("first", run_strategy=RunStrategy.ALWAYS).run(lambda: host.is_ready("first"))
        assert said(host, "first")[0] == "True"

    def test_many_at_once_get_different_ones(self, world: World) -> None:
        settings(world.host("a", gpus=8, cpus=64), external_addresses=("203.0.113.16/28",))
        names = [f"vm-{number}" for number in range(8)]
        for name in names:
            world.apply(vm_yaml(name, extra=EXTERNAL))
        world.settle()
        assert len({world.vm(name).status.external_address for name in names}) == 8
        assert all(said(world, name)[0] == "True" for name in names)

    def test_a_host_without_addresses_runs_the_vm_and_says_what_to_configure(self, world: World) -> None:
        world.host("a").apply(vm_yaml("first", extra=EXTERNAL)).settle()
        assert world.is_ready("first")
        assert said(world, "first") == (
            "False",
            "NoWayIn",
            "network `default` on host `a` is NAT, and the host's spec has no externalAddresses",
        )
        assert "NotPublished" in _reasons(world)

    def test_a_host_that_gets_addresses_publishes_what_waits_for_them(self, world: World) -> None:
        world.host("a").apply(vm_yaml("first", extra=EXTERNAL)).settle()
        settings(world, external_addresses=("203.0.113.17",))
        world.run(lambda: said(world, "first")[0] == "True", timeout_s=120)

    def test_a_host_without_a_shell_says_so(self, world: World) -> None:
        settings(world.host("a", can_be_examined=False), external_addresses=("203.0.113.17",))
        world.apply(vm_yaml("first", gpus=0, extra=EXTERNAL)).settle()
        assert world.is_ready("first")
        status, reason, message = said(world, "first")
        assert (status, reason) == ("False", "NotSupported")
        assert "reached through libvirt only" in message
        world.delete("first").run(lambda: not world.exists("first"))

    def test_rules_that_a_host_lost_are_there_again_within_a_minute(self, host: World) -> None:
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        before = publication(host, "first")
        with host.fleet.host("a").peek() as state:
            state.wires.publications.clear()
        host.run(lambda: publication(host, "first") == before, timeout_s=90)

    def test_a_reboot_of_the_host_ends_with_the_same_rules(self, host: World) -> None:
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        before = publication(host, "first")
        host.fleet.host("a").reboot()
        host.run(lambda: not host.is_ready("first")).run(lambda: host.is_ready("first"))
        assert publication(host, "first") == before

    def test_ports_change_under_a_running_guest(self, host: World) -> None:
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        booted = host.vm("first").status.boot_id
        host.edit("first", external_ports=(443,)).run(lambda: _ports(host) == (443,), timeout_s=60)
        host.edit("first", external=False).run(lambda: publication(host, "first") is None, timeout_s=60)
        assert host.vm("first").status.external_address == ""
        assert host.condition("first", "Published") is None
        host.edit("first", external=True).run(lambda: _ports(host) == (443,), timeout_s=60)
        assert host.vm("first").status.boot_id == booted

    @pytest.mark.parametrize("error", [HypervisorError("nft: refused"), HostTimeout("it hangs")])
    def test_a_packet_filter_that_refuses_costs_the_vm_nothing_else(self, host: World, error: Exception) -> None:
        host.fleet.world.faults.stage(Fault(error, call="networks.publish", times=2))
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        host.run(lambda: said(host, "first")[0] == "True", timeout_s=300)

    def test_what_cannot_be_withdrawn_is_tried_until_it_is(self, host: World) -> None:
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        host.fleet.world.faults.stage(Fault(HypervisorError("nft: refused"), call="networks.withdraw", times=3))
        host.delete("first").run(lambda: not host.exists("first"))
        assert publication(host, "first") is None
        assert host.leaks() == []

    def test_a_vm_that_was_removed_by_force_keeps_no_way_in(self, host: World) -> None:
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        host.store.update(host.vm("first").with_metadata(finalizers=()))
        host.delete("first").run(lambda: publication(host, "first") is None)
        host.run(lambda: not wires(host).reservations["default"], timeout_s=600)

    def test_rules_for_no_vm_are_swept_away_when_they_were_seen_twice(self, host: World) -> None:
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        stray = Publication(
            name="hikube-default.gone", guest_address="192.168.122.9", subnet="192.168.122.0/24", bridge="virbr0"
        )
        with host.fleet.host("a").peek() as state:
            state.wires.publications[stray.table] = stray
        host.run(lambda: stray.table not in wires(host).publications, timeout_s=900)
        assert publication(host, "first") is not None
        assert "StrayRulesRemoved" in _reasons(host)

    def test_what_was_published_is_not_forgotten_while_the_way_in_is_lost(self, host: World) -> None:
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        host.fleet.host("a").forbid_examination("connection refused")
        host.edit("first", external_ports=(443,)).pass_time(200)
        host.fleet.host("a").forbid_examination("")
        host.delete("first").run(lambda: not host.exists("first"), timeout_s=60)
        assert publication(host, "first") is None

    def test_rules_for_a_vm_that_is_made_anew_on_another_host_are_nobodys(self, host: World) -> None:
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        (left,) = wires(host).publications.values()
        host.store.update(host.vm("first").with_metadata(finalizers=()))
        host.delete("first").run(lambda: publication(host, "first") is None)
        host.host("b", gpus=1).configure("a", cordoned=True)
        host.apply(vm_yaml("first")).settle()
        assert host.vm("first").status.host == "b"
        with host.fleet.host("a").peek() as state:
            state.wires.publications[left.table] = left
        host.run(lambda: left.table not in wires(host).publications, timeout_s=900)

    def test_rules_of_an_earlier_vm_of_the_same_name_are_nobodys(self, host: World) -> None:
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        (left,) = wires(host).publications.values()
        host.delete("first").run(lambda: not host.exists("first"))
        host.apply(vm_yaml("first")).settle()
        with host.fleet.host("a").peek() as state:
            state.wires.publications[left.table] = left
        host.run(lambda: left.table not in wires(host).publications, timeout_s=900)

    def test_a_failed_attempt_gives_everything_back(self, host: World) -> None:
        host.fleet.host("a").behave(answers_ssh=False)
        host.apply(vm_yaml("first", extra=EXTERNAL)).settle()
        vm = host.vm("first")
        assert vm.status.phase is Phase.FAILED
        assert (vm.status.external_address, vm.status.kept_addresses, vm.status.publication) == ("", (), None)
        assert publication(host, "first") is None
        assert wires(host).reservations["default"] == ()


class TestOtherNetworks:
    def test_a_bridged_guest_gets_a_filter_that_follows_its_spec(self, world: World) -> None:
        settings(world.host("a"), networks={"public": NetworkMapping(bridge="br0")})
        world.apply(vm_yaml("first", extra=EXTERNAL + ON_BRIDGE)).settle()
        assert said(world, "first") == ("True", "Done", "TCP 22, 8888 and ICMP on network `public`")
        assert 'dstportstart="8888"' in _filter(world)
        world.edit("first", external_ports=(443,)).run(lambda: 'dstportstart="443"' in _filter(world), timeout_s=60)
        assert 'dstportstart="8888"' not in _filter(world)
        world.edit("first", external_method="WholeIP").run(lambda: "drop" not in _filter(world), timeout_s=60)
        assert said(world, "first")[:2] == ("True", "Open")
        world.delete("first").run(lambda: not world.exists("first"))
        assert wires(world).filters == {}

    def test_a_kernel_that_shows_no_bridged_packets_to_filters_is_told_of(self, world: World) -> None:
        settings(world.host("a"), networks={"public": NetworkMapping(bridge="br0")})
        with world.fleet.host("a").peek() as state:
            state.wires.filters_bridges = False
        world.apply(vm_yaml("first", extra=EXTERNAL + ON_BRIDGE)).settle()
        assert said(world, "first")[:2] == ("False", "NotFiltered")
        with world.fleet.host("a").peek() as state:
            state.wires.filters_bridges = True
        world.run(lambda: said(world, "first")[0] == "True", timeout_s=120)

    def test_a_guest_that_runs_without_a_filter_gets_it_with_its_next_start(self, world: World) -> None:
        settings(world.host("a"), networks={"public": NetworkMapping(bridge="br0")})
        world.apply(vm_yaml("first", extra=ON_BRIDGE)).settle()
        world.edit("first", external=True)
        world.run(lambda: world.condition("first", "Published") is not None, timeout_s=60)
        assert said(world, "first")[:2] == ("False", "RestartRequired")
        world.annotate("first", "hikube.cloud/request", "restart:1")
        world.run(lambda: world.is_ready("first") and said(world, "first")[0] == "True")

    def test_a_routed_guest_is_filtered_by_the_host_at_its_own_address(self, world: World) -> None:
        world.host("a", forwards={"default": "route"}).apply(vm_yaml("first", extra=EXTERNAL)).settle()
        let_in, address = publication(world, "first"), world.vm("first").status.address
        assert let_in is not None
        assert (let_in.external_address, let_in.guest_address, let_in.ports) == ("", address, (22, 8888))
        assert said(world, "first") == ("True", "Done", f"TCP 22, 8888 and ICMP at {address}")

    def test_on_an_interface_of_the_host_all_is_open_or_nothing_can_be_listed(self, world: World) -> None:
        settings(world.host("a", gpus=2), networks={"lan": NetworkMapping(direct="eno1")})
        both = "  networks: [{name: default}, {name: lan}]\n"
        world.apply(vm_yaml("first", extra=WHOLE + both)).apply(vm_yaml("second", extra=EXTERNAL + both)).settle()
        assert said(world, "first") == ("True", "Open", "everything, on network `lan`")
        assert said(world, "second")[:2] == ("False", "NoWayIn")

    def test_nothing_leads_into_an_isolated_network(self, world: World) -> None:
        world.host("a", forwards={"default": ""}).apply(vm_yaml("first", extra=EXTERNAL)).settle()
        assert said(world, "first") == ("False", "NoWayIn", "network `default` on host `a` is isolated")

    def test_of_several_networks_the_first_that_leads_outside_counts(self, world: World) -> None:
        settings(world.host("a"), networks={"public": NetworkMapping(bridge="br0")})
        both = "  networks: [{name: default}, {name: public}]\n"
        world.apply(vm_yaml("first", extra=EXTERNAL + both)).settle()
        assert world.vm("first").status.address.startswith("192.168.122.")
        assert said(world, "first") == ("True", "Done", "TCP 22, 8888 and ICMP on network `public`")


def _filter(world: World) -> str:
    return str(wires(world).filters["hikube-default.first"])


def _ports(world: World) -> tuple[int, ...]:
    let_in = publication(world, "first")
    return let_in.ports if let_in is not None else ()


def _reasons(world: World) -> set[str]:
    return {event.reason for event in world.store.events()}
