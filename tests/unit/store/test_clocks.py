"""Time and names: the system's keep their promises, the twins repeat themselves."""

from __future__ import annotations

import re
import uuid

import pytest

from provisioner.clocks import ManualClock, SeededIdentifiers, SystemClock, SystemIdentifiers


def test_the_system_clock_goes_forward_while_it_sleeps():
    clock = SystemClock()
    before_s = clock.monotonic_s()
    clock.sleep(0.001)
    clock.sleep(-1)
    assert clock.monotonic_s() - before_s >= 0.001
    assert clock.now_s() > 1_700_000_000


def test_a_manual_clock_moves_only_when_told():
    clock = ManualClock(100.0)
    assert (clock.now_s(), clock.monotonic_s()) == (100.0, 0.0)
    clock.sleep(2)
    clock.sleep(-2)
    clock.advance(3)
    assert (clock.now_s(), clock.monotonic_s()) == (105.0, 5.0)


def test_the_time_of_day_may_jump_and_the_monotonic_time_does_not():
    clock = ManualClock(100.0)
    clock.advance(1)
    clock.set_now(50.0)
    assert (clock.now_s(), clock.monotonic_s()) == (50.0, 1.0)
    with pytest.raises(ValueError, match="advance"):
        clock.advance(-1)


@pytest.mark.parametrize("identifiers", [SystemIdentifiers(), SeededIdentifiers(3)])
def test_names_are_well_formed_and_differ(identifiers):
    made = [identifiers.uuid() for _ in range(20)]
    assert all(str(uuid.UUID(text)) == text and uuid.UUID(text).version == 4 for text in made)
    tokens = [identifiers.token(10) for _ in range(20)]
    assert all(re.fullmatch("[a-z0-9]{10}", token) for token in tokens)
    assert (len(set(made)), len(set(tokens)), identifiers.token(0)) == (20, 20, "")


def test_a_seed_is_a_story():
    def names(seed: int) -> list[str]:
        identifiers = SeededIdentifiers(seed)
        return [identifiers.uuid(), identifiers.token(8), identifiers.uuid()]

    assert names(1) == names(1)
    assert names(1) != names(2)
