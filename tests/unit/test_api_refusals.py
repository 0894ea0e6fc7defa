"""What an API server's refusals mean, and how fast it may be asked."""

from __future__ import annotations

import json

import pytest

from provisioner.clocks import ManualClock
from provisioner.model import errors
from provisioner.rate import Rate
from provisioner.store.kubernetes.refusals import is_expired, refusal, refused_event


def answer(code: int, reason: str, message: str) -> bytes:
    return json.dumps({"kind": "Status", "code": code, "reason": reason, "message": message}).encode()


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", errors.InvalidInput),
        (401, "Unauthorized", errors.NotAllowed),
        (403, "Forbidden", errors.NotAllowed),
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Expired", errors.Conflict),
        (422, "Invalid", errors.InvalidInput),
        (429, "TooManyRequests", errors.StoreUnavailable),
        (500, "InternalError", errors.StoreUnavailable),
        (503, "ServiceUnavailable", errors.StoreUnavailable),
        (504, "Timeout", errors.StoreUnavailable),
    ],
)
def test_every_refusal_has_its_error(code: int, reason: str, kind: type[errors.HikubeError]) -> None:
    error = refusal(code, answer(code, reason, "because"), what="GET /x")
    assert (type(error), error.why, is_expired(error)) == (kind, "because", code == 410)


def test_an_answer_that_is_no_status_is_shown_and_bounded() -> None:
    error = refusal(502, b"<html>" + b"x" * 10_000, what="GET /x")
    assert type(error) is errors.StoreUnavailable
    assert error.why.startswith("<html>")
    assert len(error.why) <= 2_000


def test_a_watch_ends_with_an_event_that_says_why() -> None:
    event = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}
    assert is_expired(refused_event(event, what="watch /x"))


def test_a_burst_goes_through_and_then_each_waits_its_turn() -> None:
    clock = ManualClock()
    rate = Rate(clock, per_s=10.0, burst=5)
    began_s = clock.monotonic_s()
    for _ in range(5):
        rate.take()
    assert clock.monotonic_s() == began_s
    for _ in range(10):
        rate.take()
    assert clock.monotonic_s() - began_s == pytest.approx(1.0)
    clock.advance(60.0)
    rested_s = clock.monotonic_s()
    for _ in range(5):
        rate.take()
    assert clock.monotonic_s() == rested_s
