"""Alive and ready: before the loop runs, while it waits for its lease, while it leads, when it hangs, when it ends."""

from __future__ import annotations

import threading

from provisioner.clocks import ManualClock
from provisioner.model.errors import StoreUnavailable
from server.health import ANSWER_LIMIT_S, TURN_LIMIT_S, Health
from tests.server.conftest import Shown


def test_a_replica_that_waits_is_alive_and_ready_for_as_long_as_it_takes() -> None:
    clock = ManualClock()
    health = Health(clock)
    assert not health.ready().is_yes, "it has not begun"
    health.waits()
    clock.advance(86_400)
    assert health.alive().is_yes
    assert health.ready().is_yes
    assert "waits for the lease" in health.ready().why
    assert not health.is_leading


def test_a_leader_is_ready_when_it_has_listed_the_store() -> None:
    health = Health(ManualClock())
    health.leads()
    assert not health.ready().is_yes
    health.turned(heard=True)
    assert not health.ready().is_yes
    health.listed()
    assert health.ready().is_yes
    assert health.is_leading


def test_a_loop_that_does_not_turn_is_dead_after_a_while_counted_from_when_it_was_begun() -> None:
    clock = ManualClock()
    health = Health(clock)
    clock.advance(10 * TURN_LIMIT_S)
    health.leads()
    clock.advance(TURN_LIMIT_S)
    assert health.alive().is_yes
    clock.advance(1)
    assert not health.alive().is_yes
    assert "has not turned" in health.alive().why
    health.turned(heard=True)
    assert health.alive().is_yes
    clock.advance(TURN_LIMIT_S + 1)
    assert not health.alive().is_yes


def test_a_store_that_is_away_costs_readiness_and_not_life() -> None:
    clock = ManualClock()
    health = Health(clock)
    health.leads()
    health.turned(heard=True)
    health.listed()
    for _ in range(10):
        clock.advance(ANSWER_LIMIT_S)
        health.turned(heard=False)
    assert health.alive().is_yes
    assert not health.ready().is_yes
    health.turned(heard=True)
    assert health.ready().is_yes


def test_who_is_told_to_stop_is_alive_and_not_ready_and_leads_until_it_has_ended() -> None:
    stop, clock = threading.Event(), ManualClock()
    health = Health(clock, stop=stop)
    health.leads()
    health.turned(heard=True)
    health.listed()
    stop.set()
    clock.advance(10 * TURN_LIMIT_S)
    assert health.alive().is_yes, "a pass in flight may take long"
    assert not health.ready().is_yes
    assert health.is_leading
    health.ends()
    assert not health.is_leading


def test_over_http(shown: Shown) -> None:
    assert shown.ask("/healthz").status == 200
    unready = shown.ask("/readyz")
    assert (unready.status, unready.text) == (503, "no: leads; the store was not listed yet\n")
    shown.host("a").settle()
    ready = shown.ask("/readyz")
    assert ready.status == 200 and ready.text.startswith("ok: leads; the store answered")
    samples = shown.scrape()
    for name in ("turn", "answer", "listing"):
        moment_s = samples(f"hikube_loop_last_{name}_timestamp_seconds")
        assert moment_s is not None and 0 < moment_s <= shown.clock.now_s()
    shown.clock.advance(TURN_LIMIT_S + 1)
    assert shown.ask("/healthz").status == 503
    assert shown.ask("/metrics").status == 200, "what hangs is looked at all the more"


def test_a_store_that_fails_for_long_is_seen_over_http(shown: Shown) -> None:
    shown.host("a").settle()
    for _ in range(1000):
        shown.store.fail_next("watch", StoreUnavailable("away"))
    shown.pass_time(ANSWER_LIMIT_S + 5)
    assert shown.ask("/readyz").status == 503
    assert shown.ask("/healthz").status == 200
