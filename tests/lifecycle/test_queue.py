"""The work queue: per-key serial, earliest time wins, a group cannot take every worker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from provisioner.clocks import ManualClock
from provisioner.lifecycle.queue import BACKOFF_CEILING_S, WorkQueue, backoff_s
from provisioner.model.metadata import Key


def _key(name: str) -> Key:
    return Key("VirtualMachine", "default", name)


def test_a_key_is_taken_when_it_is_due() -> None:
    clock = ManualClock()
    queue = WorkQueue(clock)
    queue.add(_key("a"), after_s=5)
    assert queue.take() is None
    assert queue.next_due_in_s() == 5
    clock.advance(5)
    assert queue.take() == _key("a")


def test_the_earlier_of_two_wishes_counts() -> None:
    clock = ManualClock()
    queue = WorkQueue(clock)
    queue.add(_key("a"), after_s=5)
    queue.add(_key("a"), after_s=1)
    queue.add(_key("a"), after_s=9)
    clock.advance(1)
    assert queue.take() == _key("a")
    queue.done(_key("a"))
    clock.advance(60)
    assert queue.take() is None, "the later wishes are not left over"


def test_a_key_in_flight_is_not_taken_twice_and_its_wish_is_remembered() -> None:
    queue = WorkQueue(ManualClock())
    queue.add(_key("a"))
    assert queue.take() == _key("a")
    queue.add(_key("a"))
    assert queue.take() is None
    queue.done(_key("a"))
    assert queue.take() == _key("a")


def test_a_slow_group_leaves_workers_to_the_others() -> None:
    queue = WorkQueue(ManualClock(), group_of=lambda key: key.name[0], group_limit=2)
    for name in ("a1", "a2", "a3", "b1"):
        queue.add(_key(name))
    taken = [queue.take() for _ in range(4)]
    assert taken == [_key("a1"), _key("a2"), _key("b1"), None]
    queue.done(_key("a1"))
    assert queue.take() == _key("a3")


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 9)), max_size=60), st.integers(1, 3))
def test_every_wish_is_served_and_no_key_twice_at_once(wishes: list[tuple[str, int]], in_flight_max: int) -> None:
    clock = ManualClock()
    queue = WorkQueue(clock)
    for name, after_s in wishes:
        queue.add(_key(name), after_s=after_s)
    served: set[Key] = set()
    in_flight: list[Key] = []
    for _ in range(500):
        key = queue.take()
        if key is not None:
            assert key not in in_flight
            in_flight.append(key)
            served.add(key)
        if in_flight and (key is None or len(in_flight) >= in_flight_max):
            queue.done(in_flight.pop(0))
        elif key is None and len(queue) == 0:
            break
        elif key is None:
            clock.advance(1)
    assert served == {_key(name) for name, _ in wishes}


@given(st.integers(0, 10_000))
def test_back_off_grows_and_has_a_ceiling(failures: int) -> None:
    assert 0 < backoff_s(failures) <= backoff_s(failures + 1) <= BACKOFF_CEILING_S
