"""Stores of an older schema, and changes of keys: everything is sealed anew, and nothing of before is left in any file."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from provisioner.clocks import ManualClock, SeededIdentifiers, SystemClock
from provisioner.model.errors import SecretsLocked
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.secret import Secret
from provisioner.store.sqlite import SqliteStore, schema
from provisioner.store.sqlite.key_file import KeyFile
from tests.contract import store_processes
from tests.contract.store_processes import received, running
from tests.contract.stores import claim, names, secret
from tests.unit.store.sealed import CANARY, path_of_the_key, traces, value  # noqa: F401


class TestOlderStores:
    @pytest.fixture
    def old(self, path) -> Path:
        """A database of schema 1 with a Secret in plain text, in the file, in its free pages and in the log."""
        path.parent.mkdir()
        made = secret("access", hostKey=CANARY).with_metadata(uid="uid-1", resource_version="1")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            for statement in schema._statements(1):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            connection.execute("PRAGMA user_version = 1")
            for name, kind, part in (
                ("access", "Secret", made),
                ("gone", "Secret", made),
                ("plain", "GPUClaim", claim("plain")),
            ):
                row = (kind, part.api_version, json.dumps(part.with_metadata(name=name, uid=name).metadata.as_json()))
                texts = (json.dumps(part.spec.as_json()), json.dumps(part.status.as_json()))
                insert = (
                    "INSERT INTO objects (kind, api_version, metadata, spec, status, namespace, name) VALUES (?,?,?,?,?,?,?)"
                )
                connection.execute(insert, (*row, *texts, part.metadata.namespace, name))
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute("DELETE FROM objects WHERE name = 'gone'")
        assert traces(path.parent) == [path.name]
        return path

    def test_opening_one_seals_what_it_holds_and_leaves_no_plain_text_in_any_file(self, old, opened):
        store = opened()
        assert value(store) == CANARY
        assert names(store, GPUClaim) == ["plain"]
        assert traces(old.parent) == []
        store.close()
        assert traces(old.parent) == []

    def test_a_reader_that_is_in_the_way_only_puts_it_off(self, old, opened):
        with closing(sqlite3.connect(old, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM objects").fetchone()
            store = opened(busy_timeout_s=0.05)
            assert value(store) == CANARY
        store.close()
        opened().close()
        assert traces(old.parent) == []

    def test_where_no_key_can_be_made_nothing_is_changed(self, old, tmp_path, opened):
        (tmp_path / "file").touch()
        before = old.read_bytes()
        with pytest.raises(SecretsLocked):
            opened(key_path=tmp_path / "file" / "key")
        with closing(sqlite3.connect(old)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert old.read_bytes() == before

    def test_one_without_secrets_needs_no_key(self, old, opened, key_path):
        with closing(sqlite3.connect(old)) as connection, connection:
            connection.execute("DELETE FROM objects WHERE kind = 'Secret'")
        assert names(opened(), GPUClaim) == ["plain"]
        assert not key_path.exists()


class TestRotation:
    def test_everything_is_sealed_anew_and_the_old_key_is_worth_nothing(self, path, opened, key_path, tmp_path):
        store = opened()
        store.create(secret("access", hostKey=CANARY))
        (old,) = KeyFile(str(key_path)).read()
        new_id, count = store.rotate_key()
        assert (count, value(store), value(opened())) == (1, CANARY, CANARY)
        assert [key.id for key in KeyFile(str(key_path)).read()] == [new_id] != [old.id]
        store.close()
        assert old.id.encode() not in path.read_bytes()

    def test_to_another_file_leaves_the_old_one_as_it_is(self, opened, key_path, tmp_path):
        store = opened()
        store.create(secret("access", hostKey=CANARY))
        before = key_path.read_bytes()
        store.rotate_key(to=tmp_path / "new.key")
        assert key_path.read_bytes() == before
        assert value(opened(key_path=tmp_path / "new.key")) == CANARY
        with pytest.raises(SecretsLocked, match="another key"):
            value(opened())

    def test_another_process_with_the_old_key_in_memory_goes_on(self, opened):
        busy = opened()
        made = busy.create(secret("access", hostKey="old"))
        opened().rotate_key()
        assert value(busy) == "old"
        busy.update(made.model_copy(update={"spec": made.spec.model_copy(update={"data": {"hostKey": CANARY}})}))
        assert value(opened()) == CANARY

    def test_without_any_secret_there_is_a_new_key_all_the_same(self, opened):
        store = opened()
        store.rotate_key()
        store.create(secret("access", hostKey=CANARY))
        assert value(opened()) == CANARY

    def test_where_no_secret_is_left_a_lost_key_is_no_loss(self, opened, key_path):
        store = opened()
        made = store.create(secret("access", hostKey="old"))
        key_path.unlink()
        again = opened()
        again.delete(made.key)
        again.rotate_key()
        again.create(secret("access", hostKey=CANARY))
        assert value(opened()) == CANARY

    @pytest.mark.parametrize("write", range(1, 7))
    def test_a_crash_at_any_moment_leaves_a_store_that_can_be_read(self, opened, path, key_path, write):
        store = opened()
        for number in range(3):
            store.create(secret(f"access-{number}", hostKey=f"{CANARY} {number}"))
        store.close()
        child = os.fork()
        if child == 0:
            try:
                _die_in_rotation(path, after=write)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, "it died where it should"
        again = opened()
        assert [value(again, f"access-{number}") for number in range(3)] == [f"{CANARY} {number}" for number in range(3)]
        again.rotate_key()
        assert len(KeyFile(str(key_path)).read()) == 1


def _die_in_rotation(path: Path, *, after: int) -> None:
    """Rotate, and die at the n-th time that the process asks the system to keep or to name a file."""
    import sys

    seen = iter(range(1, 100))

    def watch(event: str, _arguments: object) -> None:
        if event in ("os.rename", "os.link", "sqlite3.connect", "os.remove") and next(seen) == after:
            os._exit(9)

    store = SqliteStore(path, clock=ManualClock(), identifiers=SeededIdentifiers())
    sys.addaudithook(watch)
    store.rotate_key()
    os._exit(0)


@pytest.mark.slow
def test_other_processes_read_and_write_while_the_key_is_changed_again_and_again(path, opened):
    store = opened()
    store.create(secret("access", number="0"))
    with ExitStack() as stack:
        others = [stack.enter_context(running(store_processes.use_secret_until_told, path))[1] for _ in range(2)]
        wait_until(lambda: int(number(store)) > 0)
        for _ in range(15):
            store.rotate_key()
        for other in others:
            other.send("enough")
        counts = [received(other) for other in others]
    assert all(isinstance(count, int) for count in counts), counts
    assert int(number(store)) == sum(counts)


def number(store: SqliteStore) -> str:
    return store.get(Secret, "access", namespace="default").spec.data["number"]


def wait_until(holds: Callable[[], bool], *, limit_s: float = 60.0) -> None:
    clock = SystemClock()
    deadline_s = clock.monotonic_s() + limit_s
    while not holds():
        assert clock.monotonic_s() < deadline_s
        threading.Event().wait(0.02)
