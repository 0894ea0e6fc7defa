"""The implementations that the contracts of hypervisor and guest run against in this folder.

A suite elsewhere that imports the contract's classes defines fixtures of the same names in its own conftest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from provisioner.model.errors import HikubeError
from tests.contract.guest_benches import GUEST_BENCHES, GuestBench
from tests.contract.hypervisors import BENCHES, Bench


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One open host."""
    made = BENCHES[request.param]()
    yield made
    with suppress(HikubeError):
        made.clean()
    made.hypervisor.close()


@pytest.fixture(params=sorted(GUEST_BENCHES))
def guest_bench(request: pytest.FixtureRequest) -> GuestBench:
    """A guest that answers."""
    return GUEST_BENCHES[request.param]()
