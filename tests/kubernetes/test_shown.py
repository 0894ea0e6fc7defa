"""What replicas on a cluster show: one leads and knows the fleet, the other one waits and is ready; and when it follows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.processes import Daemon
from tests.kubernetes.replicas import Replicas
from tests.kubernetes.stores import empty, store_of
from tests.server.scraping import Samples, get

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

LIMIT_S = 90.0
L40S = "nvidia.com/AD102GL_L40S"


@pytest.fixture
def replicas(kinds: ControlPlane, tmp_path: Path) -> Iterator[Replicas]:
    """Two, each at a free port; at the end nothing of ours is in the cluster."""
    made = Replicas(kinds, tmp_path, count=2, listen="127.0.0.1:0")
    yield made
    made.stop()
    with store_of(kinds) as store:
        empty(store, kinds)


def url(replica: Daemon) -> str:
    def said() -> list[str]:
        return re.findall(r"metrics and health are at (http://\S+)", replica.log.read_text())

    replica.wait_until(lambda: said() != [], "does not say where it listens", limit_s=LIMIT_S)
    return said()[-1]


def scrape(replica: Daemon) -> Samples:
    return Samples(get(f"{url(replica)}/metrics").text)


def test_the_leader_tells_of_the_fleet_and_the_other_one_is_ready(replicas: Replicas) -> None:
    leader = replicas.start()
    (other,) = (each for each in replicas.all if each is not leader)
    leader.wait_until(lambda: get(f"{url(leader)}/readyz").status == 200, "is not ready", limit_s=LIMIT_S)
    leader.wait_until(lambda: scrape(leader)("hikube_gpus", model=L40S, state="Free") == 1, "counts no GPU", limit_s=LIMIT_S)
    told = scrape(leader)
    assert told("hikube_leader") == 1
    assert told.total("hikube_build_info", store="kubernetes") == 1
    assert told.total("hikube_store_calls_total", verb="update_status", kind="GPUHost", code="ok") > 0
    assert get(f"{url(other)}/readyz").text == "ok: waits for the lease of the control loop\n"
    told = scrape(other)
    assert told("hikube_leader") == told("hikube_fleet_known") == 0
    assert not told.all("hikube_gpus")
    leader.stop()
    other.wait_until(lambda: scrape(other)("hikube_gpus", model=L40S, state="Free") == 1, "does not follow", limit_s=LIMIT_S)
    assert scrape(other)("hikube_leader") == 1
