"""Contenders for the lease of a real API server: one leads, whoever dies is followed, and who hears nothing stops in time."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from provisioner.clocks import SystemClock
from provisioner.model.errors import ControllerBusy
from provisioner.store.kubernetes.api_server import ApiServer
from provisioner.store.kubernetes.leader_lease import CERTAIN_S, DURATION_S, REQUEST_TIMEOUT_S, LeaderLease
from tests.kubernetes.control_plane import ControlPlane

ROOT = Path(__file__).parents[2]
SLACK_S = 15.0
"""What a busy machine may take on top of what was promised."""
POLL_S = 0.02
LEAD = """
import sys
from pathlib import Path
from tests.kubernetes.test_leader_lease import contender
lease = contender(Path(sys.argv[1]), sys.argv[2], "another process")
print(lease.try_acquire(), flush=True)
sys.stdin.read()
"""

Enter = Callable[[str], LeaderLease]


def contender(kubeconfig: Path, namespace: str, identity: str) -> LeaderLease:
    clock = SystemClock()
    server = ApiServer.from_kubeconfig(kubeconfig, clock=clock, request_timeout_s=REQUEST_TIMEOUT_S)
    return LeaderLease(server, namespace=namespace, clock=clock, identity=identity, command="hikube controller")


def eventually(holds: Callable[[], bool], *, within_s: float) -> bool:
    deadline_s, pause = time.monotonic() + within_s, threading.Event()
    while not holds():
        if time.monotonic() > deadline_s:
            return False
        pause.wait(POLL_S)
    return True


@pytest.fixture
def enter(control_plane: ControlPlane, namespace: str) -> Iterator[Enter]:
    """Makes contenders, which have let go at the end."""
    with ExitStack() as opened:

        def make(identity: str) -> LeaderLease:
            lease = contender(control_plane.kubeconfig, namespace, identity)
            opened.callback(control_plane.heal)
            opened.callback(lease.release)
            return lease

        yield make


@pytest.fixture
def waiting() -> Iterator[Callable[[LeaderLease], None]]:
    """Has contenders wait for their turn, each in a thread."""
    stop, threads = threading.Event(), []

    def wait(lease: LeaderLease) -> None:
        threads.append(threading.Thread(target=lease.wait_to_acquire, args=(stop,)))
        threads[-1].start()

    yield wait
    stop.set()
    for thread in threads:
        thread.join(SLACK_S)


@pytest.mark.slow
def test_of_two_contenders_exactly_one_leads_and_it_goes_on(enter, waiting):
    leases = [enter("first"), enter("second")]
    for lease in leases:
        waiting(lease)
    assert eventually(lambda: any(lease.is_certain for lease in leases), within_s=SLACK_S)
    leader = next(lease for lease in leases if lease.is_certain)
    together = eventually(
        lambda: [lease.is_certain for lease in leases] != [lease is leader for lease in leases], within_s=12.0
    )
    assert not together, "the leader changed, or there were two, though nothing happened"


def test_release_hands_over_at_once(enter, waiting):
    first, second = enter("first"), enter("second")
    assert first.try_acquire()
    waiting(second)
    assert not eventually(lambda: second.is_certain, within_s=1.5)
    first.release()
    assert eventually(lambda: second.is_certain, within_s=5.0)
    with pytest.raises(ControllerBusy):
        first.check()


@pytest.mark.slow
def test_one_that_is_killed_is_followed_within_a_bound_and_not_before(enter, waiting, control_plane, namespace):
    arguments = [sys.executable, "-c", LEAD, str(control_plane.kubeconfig), namespace]
    with subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "True\n"
            second = enter("second")
            waiting(second)
            assert not eventually(lambda: second.is_certain, within_s=3.0)
        finally:
            process.kill()
    killed_s = time.monotonic()
    assert eventually(lambda: second.is_certain, within_s=DURATION_S + SLACK_S)
    assert time.monotonic() - killed_s > DURATION_S - CERTAIN_S, "it could have led still"


@pytest.mark.slow
def test_who_hears_nothing_from_the_server_stops_before_another_one_can_lead(enter, waiting, control_plane):
    first, second = enter("first"), enter("second")
    assert first.try_acquire()
    waiting(second)
    control_plane.api_server.freeze()
    assert eventually(lambda: not first.is_certain, within_s=CERTAIN_S + SLACK_S)
    with pytest.raises(ControllerBusy):
        first.check()
    assert not second.is_certain
    control_plane.api_server.thaw()
    assert eventually(lambda: first.is_certain or second.is_certain, within_s=DURATION_S + SLACK_S)
    assert not (first.is_certain and second.is_certain)
