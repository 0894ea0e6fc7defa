"""The sentences of provisioner/store/protocol.py about other processes, with real ones; and writers that are killed."""

from __future__ import annotations

import random
import sqlite3
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.metadata import Resource
from provisioner.store.protocol import ChangeType
from provisioner.store.sqlite import SqliteStore
from tests.contract import store_processes
from tests.contract.store_processes import SPAWN, opened, received, running
from tests.contract.stores import claim, history, names

RACES = 150
KILLS = 6


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hikube.db"


@pytest.mark.slow
def test_of_two_processes_that_create_one_claim_exactly_one_succeeds_each_time(path: Path) -> None:
    opened(path).close()
    start = SPAWN.Barrier(2)
    with ExitStack() as racers:
        connections = [
            racers.enter_context(running(store_processes.create_claims, path, who, RACES, start))[1]
            for who in ("first", "second")
        ]
        won = [received(connection) for connection in connections]
    assert sorted(won[0] + won[1]) == list(range(RACES))
    with opened(path) as store:
        owners = {item.metadata.name: item.spec.owner.name for item in store.list(GPUClaim).items}
    assert owners == {f"gpu-{number}": "first" if number in won[0] else "second" for number in range(RACES)}


@pytest.mark.slow
def test_a_watch_sees_what_another_process_writes(path: Path) -> None:
    with opened(path) as store:
        store.create(claim("before"))
        since = store.list(GPUClaim).version
        with running(store_processes.watch_once, path, since) as (_, connection):
            assert received(connection) == "watching"
            store.create(claim("after"))
            assert received(connection) == [("ADDED", "after")]


@pytest.mark.slow
def test_many_processes_create_the_store_at_the_same_moment(path: Path) -> None:
    racers = 4
    start = SPAWN.Barrier(racers)
    with ExitStack() as processes:
        connections = [processes.enter_context(running(store_processes.open_once, path, start))[1] for _ in range(racers)]
        assert [received(connection) for connection in connections] == ["done"] * racers
    with opened(path) as store:
        assert len(store.list(GPUClaim).items) == racers


@pytest.mark.slow
def test_no_update_is_lost_between_processes(path: Path) -> None:
    each, writers = 60, 3
    with opened(path) as store, ExitStack() as processes:
        store.create(claim("counter", labels={"number": "0"}))
        connections = [processes.enter_context(running(store_processes.count_up, path, each))[1] for _ in range(writers)]
        for connection in connections:
            received(connection)
        assert store.get(GPUClaim, "counter").metadata.labels["number"] == str(each * writers)


@pytest.mark.slow
def test_killed_at_any_moment_it_opens_clean_with_all_that_was_acknowledged(path: Path) -> None:
    chance = random.Random(20)
    done: list[tuple[str, str]] = []
    for round_number in range(KILLS):
        with ExitStack() as writers:
            pair = [
                writers.enter_context(running(store_processes.write_until_killed, path, f"{who}-{round_number}"))
                for who in ("a", "b")
            ]
            for process, connection in pair:
                done += [received(connection) for _ in range(chance.randint(1, 90))]
                process.kill()
                done += _said_before_the_end(connection)
        with opened(path) as store:
            _check_invariants(store, path)
            _check_acknowledged(store, done)


def _said_before_the_end(connection: Connection) -> list[tuple[str, str]]:
    said = []
    try:
        while connection.poll(store_processes.LIMIT_S):
            said.append(connection.recv())
    except (EOFError, OSError):  # the last message may be cut in two
        pass
    return said


def _check_acknowledged(store: SqliteStore, done: list[tuple[str, str]]) -> None:
    present = {item.metadata.name: item for item in store.list(GPUClaim).items}
    deleted = {name for verb, name in done if verb == "deleted"}
    assert not deleted & present.keys()
    for verb, name in done:
        may_be_gone = int(name.rpartition("-")[2]) % 3 == 0
        if name in present:
            assert verb != "bound" or present[name].status.bound
        else:
            assert may_be_gone, f"{name} was {verb} and is not there"


def _check_invariants(store: SqliteStore, path: Path) -> None:
    listing = store.list(GPUClaim)
    replayed: dict[str, Resource] = {}
    changes = history(store)
    for change in changes:
        name = change.resource.metadata.name
        if change.type is ChangeType.DELETED:
            del replayed[name]
        else:
            replayed[name] = change.resource
    assert [change.version for change in changes] == [str(number) for number in range(1, int(listing.version) + 1)]
    assert replayed == {item.metadata.name: item for item in listing.items}
    for who in {item.metadata.labels["writer"] for item in listing.items}:
        assert names(store, GPUClaim, labels={"writer": who}) == [
            name for name in sorted(replayed) if name.startswith(f"{who}-")
        ]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
