"""Every sentence of provisioner/drivers/guest/protocol.py, as a test that each implementation passes."""

from __future__ import annotations

import pytest

from provisioner.drivers.guest.keys import generate_key_pair
from provisioner.model.errors import GuestUnreachable, HostUnreachable

LIMIT_S = 30.0


class TestReport:
    def test_a_guest_says_what_it_is(self, guest_bench):
        report = guest_bench.guests.report(guest_bench.door, timeout_s=LIMIT_S)
        assert report.boot_id
        assert report.cpus > 0
        assert report.memory_mib > 0
        assert report.functions

    def test_the_boot_id_is_of_the_boot(self, guest_bench):
        if guest_bench.reset is None:
            pytest.skip("no way is known to reset this guest")
        first, second = (guest_bench.guests.report(guest_bench.door, timeout_s=LIMIT_S).boot_id for _ in range(2))
        guest_bench.reset()
        third = guest_bench.guests.report(guest_bench.door, timeout_s=LIMIT_S).boot_id
        assert first == second != third

    def test_a_guest_with_another_host_key_is_refused_and_the_reason_says_so(self, guest_bench):
        door = guest_bench.door_with(host_public_key=generate_key_pair("another").public_line)
        with pytest.raises(GuestUnreachable) as caught:
            guest_bench.guests.report(door, timeout_s=LIMIT_S)
        assert "host key" in caught.value.why

    def test_a_guest_that_does_not_know_our_key_gives_no_report(self, guest_bench):
        door = guest_bench.door_with(private_key=generate_key_pair("another").private_openssh)
        with pytest.raises(GuestUnreachable):
            guest_bench.guests.report(door, timeout_s=LIMIT_S)

    def test_where_nobody_answers_the_guest_is_unreachable(self, guest_bench):
        with pytest.raises(GuestUnreachable):
            guest_bench.guests.report(guest_bench.door_with(address=guest_bench.silent_address), timeout_s=2)

    def test_where_the_host_does_not_answer_it_is_the_host(self, guest_bench):
        if not guest_bench.dead_host_uri:
            pytest.skip("no dead host is known")
        with pytest.raises(HostUnreachable):
            guest_bench.guests.report(guest_bench.door_with(host_uri=guest_bench.dead_host_uri), timeout_s=5)


class TestHandOver:
    def test_our_key_is_gone_afterwards(self, guest_bench):
        guest_bench.guests.hand_over(guest_bench.door, timeout_s=LIMIT_S)
        with pytest.raises(GuestUnreachable):
            guest_bench.guests.report(guest_bench.door, timeout_s=LIMIT_S)

    def test_twice_is_success(self, guest_bench):
        guest_bench.guests.hand_over(guest_bench.door, timeout_s=LIMIT_S)
        guest_bench.guests.hand_over(guest_bench.door, timeout_s=LIMIT_S)

    def test_to_another_host_key_nothing_is_handed_over(self, guest_bench):
        door = guest_bench.door_with(host_public_key=generate_key_pair("another").public_line)
        with pytest.raises(GuestUnreachable):
            guest_bench.guests.hand_over(door, timeout_s=LIMIT_S)
        assert guest_bench.guests.report(guest_bench.door, timeout_s=LIMIT_S).boot_id
