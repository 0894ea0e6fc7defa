"""Ten leaders in a row are ended in the middle of a pass, and one is without its API server for ten minutes: all is done once.

See leaders.py for what is real here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli.cluster import NAMESPACE
from provisioner.model.gpu_claim import GPUClaim
from provisioner.store.kubernetes.leader_lease import CERTAIN_S, DURATION_S
from tests.contract.stores import eventually
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.leaders import NO_END, PAUSE_MAX_S, Ended, Leader, Scene
from tests.kubernetes.stores import empty

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LEADERS = 10
CALLS = 6
"""So many calls that change something the first one gets through, less one; each later one gets one more."""
OUTAGE_S = 600.0


@pytest.fixture
def scene(kinds: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as opened:
        if not kinds.admin.answers(f"/api/v1/namespaces/{NAMESPACE}"):
            kinds.make_namespace(NAMESPACE)
        kinds.admin.delete(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases")
        made = Scene(kinds, tmp_path, opened)
        empty(made.store, kinds)
        yield made
        kinds.heal()
        kinds.admin.delete(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases")
        empty(made.store, kinds)


def test_ten_leaders_that_end_in_mid_pass_do_nothing_twice_and_the_last_one_finishes(scene: Scene, namespace: str) -> None:
    scene.add_hosts("a", "b")
    for name in ("first", "second"):
        scene.apply(name, namespace)
    leaders = [Leader(scene, number, calls=CALLS + number, freezes=bool(number % 2)) for number in range(LEADERS)]
    for leader in leaders:
        follows(scene, leader)
        if leader.freezes:
            leader.work_until_frozen()
        else:
            with pytest.raises(Ended):
                leader.work(scene.are_ready)
    last = Leader(scene, LEADERS, calls=NO_END)
    follows(scene, last)
    for leader in leaders:
        if leader.freezes:
            leader.wake_up()
            assert leader.refused, f"{leader.name} was let through"
    last.work(scene.are_ready)
    assert in_turns(scene.actors) == [leader.name for leader in (*leaders, last)], "two of them acted by turns"
    assert set(scene.starts().values()) == {1}, scene.starts()
    assert len({claim.spec.owner.uid for claim in scene.store.list(GPUClaim).items}) == 2
    for vm in scene.machines():
        scene.store.delete(vm.key)
    last.work(lambda: not scene.machines() and not scene.store.list(GPUClaim).items)
    assert scene.starts() == {}


def follows(scene: Scene, leader: Leader) -> None:
    """Whoever was there before has not been heard of for long enough, and not a moment earlier."""
    if scene.actors:
        assert not leader.lease.try_acquire(), "the one before could lead still"
        scene.clock.advance(DURATION_S + 0.1)
    assert eventually(leader.lease.try_acquire)


def in_turns(actors: list[str]) -> list[str]:
    """Who acted, each once for every time that it was its turn."""
    return [actor for place, actor in enumerate(actors) if place == 0 or actors[place - 1] != actor]


def test_ten_minutes_without_the_api_server_only_delay_things(scene: Scene, namespace: str) -> None:
    scene.add_hosts("a")
    scene.apply("first", namespace)
    leader = Leader(scene, 0, calls=NO_END)
    assert eventually(leader.lease.try_acquire)
    leader.work(lambda: len(scene.actors) > CALLS)
    scene.plane.api_server.kill()
    scene.pass_time(CERTAIN_S + PAUSE_MAX_S, leader)
    changed = len(scene.actors)
    scene.pass_time(OUTAGE_S, leader)
    assert len(scene.actors) == changed, "it acted, and somebody else could lead"
    scene.plane.heal()
    leader.work(scene.are_ready)
    assert set(scene.starts().values()) == {1}
    assert len(scene.store.list(GPUClaim).items) == 1
