"""Time limits on calls that cannot be interrupted."""

from __future__ import annotations

import threading

import pytest

from provisioner.drivers.libvirt.calls import Calls, Progressing, TimeLimitError


@pytest.fixture
def gate():
    opened = threading.Event()
    yield opened
    opened.set()


@pytest.fixture
def calls():
    made = Calls(name="test", limit=2)
    yield made
    made.stop()


def give_up_on(calls: Calls, gate: threading.Event) -> None:
    with pytest.raises(TimeLimitError):
        calls.run(lambda: gate.wait(30), timeout_s=0.01)


def until_none_hangs(calls: Calls) -> None:
    pause = threading.Event()
    for _ in range(500):
        if calls.hanging == 0:
            return
        pause.wait(0.01)
    raise AssertionError("a call that was given up never came back")


def test_results_and_errors_come_back(calls):
    assert calls.run(lambda: 42, timeout_s=5) == 42
    with pytest.raises(ZeroDivisionError):
        calls.run(lambda: 1 // 0, timeout_s=5)


def test_who_waits_too_long_is_let_go_and_the_call_counts_as_hanging_until_it_returns(calls, gate):
    give_up_on(calls, gate)
    assert calls.hanging == 1
    assert calls.run(lambda: "the other thread is free", timeout_s=5)
    gate.set()
    until_none_hangs(calls)


def test_a_call_that_was_given_up_before_it_began_is_never_begun(calls, gate):
    began = []
    give_up_on(calls, gate)
    give_up_on(calls, gate)
    with pytest.raises(TimeLimitError):
        calls.run(lambda: began.append("third"), timeout_s=0.01)
    gate.set()
    until_none_hangs(calls)
    assert calls.run(lambda: "both threads work again", timeout_s=5)
    assert began == []


def test_a_result_that_comes_too_late_is_given_back(calls, gate):
    given_back, came = [], threading.Event()

    def late() -> str:
        gate.wait(30)
        return "connection"

    def discard(result: str) -> None:
        given_back.append(result)
        came.set()

    with pytest.raises(TimeLimitError):
        calls.run(late, timeout_s=0.01, discard=discard)
    gate.set()
    assert came.wait(5)
    assert given_back == ["connection"]


def test_no_more_threads_than_the_limit_run_at_once(calls, gate):
    running, most, lock = [0], [0], threading.Lock()

    def count() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        gate.wait(0.02)
        with lock:
            running[0] -= 1

    threads = [threading.Thread(target=lambda: calls.run(count, timeout_s=10)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most[0] == 2


def test_signs_of_life_keep_a_long_call_going(calls):
    progressing, pause = Progressing(), threading.Event()

    def long() -> str:
        for _ in range(8):
            pause.wait(0.05)
            progressing.beat()
        return "done"

    assert calls.run(long, timeout_s=0.3, progressing=progressing) == "done"
