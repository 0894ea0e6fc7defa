"""Happenings that a test makes up, for as long as it needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.simulation.happenings import ACTS, Act, happening


@contextmanager
def acts(*made_up: Act) -> Iterator[None]:
    """They can happen inside of this, under the names of their functions."""
    for act in made_up:
        happening(act)
    try:
        yield
    finally:
        for act in made_up:
            del ACTS[act.__name__]
