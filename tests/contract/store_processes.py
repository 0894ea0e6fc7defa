"""What other processes do to a SQLite store while the contract looks on. Functions here run in processes of their own."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from provisioner.clocks import SystemClock, SystemIdentifiers
from provisioner.model.errors import AlreadyExists, NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.store.protocol import Event
from provisioner.store.sqlite import SqliteStore
from tests.contract.stores import claim

SPAWN = multiprocessing.get_context("spawn")
"""Fresh interpreters: nothing of this process's connections is inherited."""
LIMIT_S = 60.0


def opened(path: Path) -> SqliteStore:
    """The store, in real time."""
    return SqliteStore(path, clock=SystemClock(), identifiers=SystemIdentifiers())


@contextlib.contextmanager
def running(work: Callable[..., None], *arguments: Any) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that does `work(*arguments, connection)`, and our end of the connection; killed at the end."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=work, args=(*arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join(LIMIT_S)
        ours.close()


def received(connection: Connection) -> Any:
    """The next thing that the process says, within the limit."""
    assert connection.poll(LIMIT_S), f"the process said nothing for {LIMIT_S:g} s"
    return connection.recv()


def create_claims(path: Path, who: str, rounds: int, start: Barrier, connection: Connection) -> None:
    """Try to create one claim per round, all racers at the same moment; say which ones were won."""
    won = []
    with opened(path) as store:
        for number in range(rounds):
            start.wait(LIMIT_S)
            with contextlib.suppress(AlreadyExists):
                store.create(claim(f"gpu-{number}", by=who))
                won.append(number)
    connection.send(won)


def watch_once(path: Path, since: str, connection: Connection) -> None:
    """Say that it is watching, then what it saw: (type, name, process)."""
    with opened(path) as store:
        connection.send("watching")
        seen = store.watch(since, timeout_s=LIMIT_S)
        connection.send([(str(change.type), change.resource.metadata.name) for change in seen])


def open_once(path: Path, start: Barrier, connection: Connection) -> None:
    """Open the store at the same moment as others, which may have to be created, and write one object."""
    start.wait(LIMIT_S)
    with opened(path) as store:
        store.create(claim(f"gpu-{os.getpid()}"))
    connection.send("done")


def count_up(path: Path, times: int, connection: Connection) -> None:
    """Add to a number that others add to as well, by reading and updating; say how often somebody else was first."""
    from provisioner.model.errors import Conflict

    conflicts = 0
    with opened(path) as store:
        for _ in range(times):
            while True:
                counter = store.get(GPUClaim, "counter")
                number = int(counter.metadata.labels["number"])
                try:
                    store.update(counter.with_metadata(labels={"number": str(number + 1)}))
                except Conflict:
                    conflicts += 1
                else:
                    break
    connection.send(conflicts)


def write_until_killed(path: Path, who: str, connection: Connection) -> None:
    """Create, mark, tell and delete, and say each thing when it has been done: (verb, name)."""
    with opened(path) as store:
        for number in itertools.count():
            made = store.create(claim(f"{who}-{number}", labels={"writer": who}))
            connection.send(("created", made.metadata.name))
            store.update_status(made.with_status(bound=True))
            connection.send(("bound", made.metadata.name))
            store.record(Event(made.key, "Normal", "Bound", f"round {number}"))
            if number % 3 == 0:
                with contextlib.suppress(NotFound):
                    store.delete(made.key)
                connection.send(("deleted", made.metadata.name))


def use_secret_until_told(path: Path, connection: Connection) -> None:
    """Read and write a Secret again and again until the other side says something; say how often, or what went wrong."""
    from provisioner.model.errors import Conflict, HikubeError
    from provisioner.model.secret import Secret, SecretSpec

    rounds = 0
    try:
        with opened(path) as store:
            while not connection.poll():
                known = store.get(Secret, "access", namespace="default")
                data = {"number": str(int(known.spec.data["number"]) + 1)}
                with contextlib.suppress(Conflict):
                    store.update(known.model_copy(update={"spec": SecretSpec(data=data)}))
                    rounds += 1
    except HikubeError as error:
        connection.send(str(error))
    else:
        connection.send(rounds)
