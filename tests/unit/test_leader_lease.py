"""One leads at a time, whatever the API server and the clocks do: over a twin of the server, with clocks moved by hand."""

from __future__ import annotations

import pytest

from provisioner.clocks import ManualClock
from provisioner.model.errors import ControllerBusy, NotAllowed, StoreUnavailable
from provisioner.store.kubernetes.leader_lease import CERTAIN_S, DURATION_S, RENEW_S, LeaderLease
from tests.unit.lease_server import Document, LeaseServer, lease


@pytest.fixture
def server() -> LeaseServer:
    return LeaseServer()


def dies(server: LeaseServer, leader: LeaderLease) -> None:
    """It has it, and is never heard of again."""
    assert leader.try_acquire()


class TestTaking:
    def test_of_two_contenders_one_leads_and_the_other_knows_whom_to_wait_for(self, server):
        first, second = lease(server, "a"), lease(server, "b")
        assert first.try_acquire()
        assert not second.try_acquire()
        assert first.try_acquire()
        holder = second.holder()
        assert holder is not None
        assert str(holder) == "a (hikube controller)"

    def test_who_comes_between_reading_and_making_has_it(self, server):
        first, second = lease(server, "a"), lease(server, "b")
        server.on_write = lambda: dies(server, second)
        assert not first.try_acquire()
        assert second.is_certain

    def test_of_two_who_take_over_one_leads(self, server):
        dies(server, lease(server, "a"))
        second, third = lease(server, "b"), lease(server, "c")
        assert not second.try_acquire()
        assert not third.try_acquire()
        server.clock.advance(DURATION_S)
        server.on_write = lambda: dies(server, third)
        assert not second.try_acquire()
        assert third.is_certain

    def test_who_wants_it_at_once_is_told_who_has_it(self, server):
        dies(server, lease(server, "a"))
        with pytest.raises(ControllerBusy) as caught, lease(server, "b"):
            pass
        assert caught.value.context["identity"] == "a"

    def test_a_taking_whose_answer_is_lost_is_found_by_the_next(self, server):
        first = lease(server, "a")
        server.loses_answers = True
        with pytest.raises(StoreUnavailable):
            first.try_acquire()
        assert not first.is_certain
        server.loses_answers = False
        assert first.try_acquire()
        assert server.spec["leaseTransitions"] == 0

    def test_what_is_not_allowed_is_told(self, server):
        class Refusing(LeaseServer):
            def request(self, method: str, path: str, *, body: Document | None = None) -> Document:
                raise NotAllowed("forbidden")

        with pytest.raises(NotAllowed):
            lease(Refusing(), "a").try_acquire()


class TestTakingOver:
    def test_a_dead_leader_is_followed_after_its_duration_and_not_before(self, server):
        dies(server, lease(server, "a"))
        second = lease(server, "b")
        assert not second.try_acquire()
        server.clock.advance(DURATION_S - 0.1)
        assert not second.try_acquire()
        server.clock.advance(0.1)
        assert second.try_acquire()
        assert server.spec["leaseTransitions"] == 1

    def test_one_that_renews_is_never_followed(self, server):
        first, second = lease(server, "a"), lease(server, "b")
        assert first.try_acquire()
        for _ in range(20):
            assert not second.try_acquire()
            server.clock.advance(RENEW_S)
            assert first.renew()
        assert first.is_certain

    def test_the_time_of_day_of_nobody_matters(self, server):
        early, late = ManualClock(0.0), ManualClock(4e9)
        first, second = lease(server, "a", clock=early), lease(server, "b", clock=late)
        assert first.try_acquire()
        assert not second.try_acquire()
        late.set_now(4.05e9)
        early.set_now(1e9)
        assert not second.try_acquire()
        assert first.is_certain
        late.advance(DURATION_S)
        assert second.try_acquire()

    def test_what_others_have_written_on_it_stays(self, server):
        dies(server, lease(server, "a"))
        server.edit(team="ops")
        second = lease(server, "b")
        assert not second.try_acquire()
        server.clock.advance(DURATION_S)
        assert second.try_acquire()
        assert server.stored["metadata"]["labels"] == {"team": "ops"}


class TestDoubt:
    def test_without_answers_leading_ends_before_anybody_else_can_lead(self, server):
        first, second = lease(server, "a"), lease(server, "b")
        assert first.try_acquire()
        assert not second.try_acquire()
        server.is_away = True
        for _ in range(DURATION_S):
            with pytest.raises(StoreUnavailable):
                first.renew()
            server.clock.advance(1)
        assert not first.is_certain
        with pytest.raises(ControllerBusy, match="renewed in time"):
            first.check()
        server.is_away = False
        assert second.try_acquire()

    def test_certainty_counts_from_when_the_request_was_sent(self, server):
        first = lease(server, "a")
        server.answers_after_s = CERTAIN_S - 1
        assert first.try_acquire()
        server.clock.advance(1)
        assert not first.is_certain

    def test_an_answer_that_comes_too_late_gives_no_certainty(self, server):
        server.answers_after_s = CERTAIN_S
        assert not lease(server, "a").try_acquire()

    def test_a_renewal_after_a_doubt_leads_on_if_nobody_had_it_since(self, server):
        first = lease(server, "a")
        assert first.try_acquire()
        server.clock.advance(100)
        assert not first.is_certain
        assert first.renew()
        first.check()
        assert server.spec["leaseTransitions"] == 0

    def test_a_renewal_whose_answer_was_lost_does_not_end_it(self, server):
        first = lease(server, "a")
        assert first.try_acquire()
        server.loses_answers = True
        with pytest.raises(StoreUnavailable):
            first.renew()
        server.loses_answers = False
        server.clock.advance(CERTAIN_S)
        assert first.renew()
        assert first.is_certain

    def test_a_label_that_somebody_sets_does_not_end_it(self, server):
        first = lease(server, "a")
        assert first.try_acquire()
        server.edit(team="ops")
        server.clock.advance(RENEW_S)
        assert first.renew()
        server.clock.advance(RENEW_S)
        assert first.is_certain


class TestLosing:
    def test_a_deposed_leader_is_told_once_and_may_do_nothing(self, server):
        told: list[str] = []
        first, second = lease(server, "a", lost=lambda: told.append("lost")), lease(server, "b")
        assert first.try_acquire()
        assert not second.try_acquire()
        server.clock.advance(DURATION_S)
        assert second.try_acquire()
        assert not first.renew()
        assert not first.renew()
        assert told == ["lost"]
        with pytest.raises(ControllerBusy, match="not held"):
            first.check()
        second.check()

    def test_a_late_renewal_does_not_take_it_from_the_one_who_has_it(self, server):
        first, second = lease(server, "a"), lease(server, "b")
        assert first.try_acquire()
        assert not second.try_acquire()
        server.clock.advance(DURATION_S)
        server.on_write = lambda: dies(server, second)
        assert not first.renew()
        assert server.spec["holderIdentity"] == "b"

    def test_a_lease_that_is_deleted_is_lost(self, server):
        first = lease(server, "a")
        assert first.try_acquire()
        server.stored = None
        assert not first.renew()
        assert not first.is_certain

    def test_a_deposed_leader_may_lead_again_in_its_turn(self, server):
        first, second = lease(server, "a"), lease(server, "b")
        dies(server, first)
        assert not second.try_acquire()
        server.clock.advance(DURATION_S)
        assert second.try_acquire()
        assert not first.renew()
        second.release()
        assert first.try_acquire()
        assert server.spec["leaseTransitions"] == 2


class TestRelease:
    def test_the_next_one_leads_at_once(self, server):
        first, second = lease(server, "a"), lease(server, "b")
        assert first.try_acquire()
        first.release()
        first.release()
        assert not first.is_certain
        assert second.holder() is None
        assert second.try_acquire()
        assert server.spec["leaseTransitions"] == 1

    def test_inside_the_context_it_is_held(self, server):
        first = lease(server, "a")
        with first:
            first.check()
        assert not first.is_certain
        assert lease(server, "b").try_acquire()

    def test_a_server_that_is_away_does_not_keep_it(self, server):
        first = lease(server, "a")
        assert first.try_acquire()
        server.is_away = True
        first.release()
        assert not first.is_certain

    def test_what_is_another_ones_by_now_is_left_to_it(self, server):
        first, second = lease(server, "a"), lease(server, "b")
        assert first.try_acquire()
        assert not second.try_acquire()
        server.clock.advance(DURATION_S)
        assert second.try_acquire()
        first.release()
        assert server.spec["holderIdentity"] == "b"
