"""What the SQLite store promises beyond the protocol: reads beside writes, bounds on waiting, raw documents, its end."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from provisioner.clocks import SystemClock
from provisioner.model.errors import StoreUnavailable
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.open import open_store
from provisioner.store.protocol import Event
from provisioner.store.sqlite.database import Database
from tests.contract.stores import claim, names, vm


class TestBesideOtherProcesses:
    def test_a_reader_does_not_hold_up_a_writer(self, path, opened):
        store = opened()
        store.create(claim("a.gpu"))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM objects").fetchone() == (1,)
            store.create(claim("b.gpu"))
            assert reader.execute("SELECT count(*) FROM objects").fetchone() == (1,)

    def test_a_writer_does_not_hold_up_readers_and_another_writer_gives_up_in_time(self, path, opened):
        store = opened(busy_timeout_s=0.05)
        created = store.create(claim("a.gpu"))
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            assert names(store, GPUClaim) == ["a.gpu"]
            assert store.watch("0", timeout_s=0)
            assert store.events() == ()
            for write in (
                lambda: store.create(claim("b.gpu")),
                lambda: store.update_status(created.with_status(bound=True)),
                lambda: store.delete(created.key),
                lambda: store.record(Event(created.key, "Normal", "Told", "")),
            ):
                with pytest.raises(StoreUnavailable, match="locked") as refused:
                    write()
                assert "another process" in refused.value.hint
        store.create(claim("b.gpu"))


def test_a_write_of_this_process_wakes_who_waits_for_it_at_once(path):
    clock, limit_s = SystemClock(), 20.0
    database = Database(str(path))
    seen = database.writes()
    with ThreadPoolExecutor(1) as threads:
        began_s = clock.monotonic_s()
        waiting = threads.submit(database.wait_for_write, seen, timeout_s=limit_s)
        with database.write():
            pass
        assert waiting.result(2 * limit_s)
    assert clock.monotonic_s() - began_s < limit_s
    assert not database.wait_for_write(database.writes(), timeout_s=0)
    database.close()


class TestRawDocuments:
    def test_they_are_what_the_resources_write(self, opened):
        store = opened()
        created = [store.create(vm(name, labels={"team": "vision"}).with_status(host="a")) for name in ("b", "a")]
        assert store.read_raw("VirtualMachine") == [machine.as_json() for machine in reversed(created)]

    def test_they_are_selected_like_a_list(self, opened):
        store = opened()
        store.create(vm("here", labels={"team": "vision"}))
        store.create(vm("here", namespace="elsewhere"))
        assert [raw["metadata"]["namespace"] for raw in store.read_raw("VirtualMachine", "elsewhere")] == ["elsewhere"]
        assert [raw["metadata"]["name"] for raw in store.read_raw("VirtualMachine", labels={"team": "vision"})] == ["here"]
        assert store.read_raw("GPUHost") == []

    def test_reading_them_imports_neither_pydantic_nor_any_kind(self, path, opened):
        opened().create(vm("trainer"))
        program = f"""
import sys
from pathlib import Path
from provisioner.clocks import SystemClock, SystemIdentifiers
from provisioner.store.open import open_store
with open_store(Path({str(path)!r}), clock=SystemClock(), identifiers=SystemIdentifiers()) as store:
    assert len(store.read_raw("VirtualMachine", "default")) == 1
print(sorted(name for name in sys.modules if name.startswith(("pydantic", "provisioner.model.v", "provisioner.model.g"))))
"""
        outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
        assert outcome.stdout.strip() == "[]"


class TestDocumentsOfAnotherVersion:
    @pytest.fixture
    def store(self, path, opened):
        store = opened()
        store.create(vm("trainer"))
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("""UPDATE objects SET spec = '{"fieldOfTheFuture": 1}'""")
        return store

    def test_reading_says_that_another_version_wrote_it(self, store):
        for read in (lambda: store.get(VirtualMachine, "trainer", namespace="default"), lambda: store.list(VirtualMachine)):
            with pytest.raises(StoreUnavailable, match="fieldOfTheFuture") as refused:
                read()
            assert "another version" in refused.value.hint

    def test_so_does_writing_and_nothing_changes(self, store):
        with pytest.raises(StoreUnavailable, match="fieldOfTheFuture"):
            store.delete(vm("trainer").key)
        assert len(store.read_raw("VirtualMachine")) == 1


class TestTheEnd:
    def test_closing_twice_is_fine_and_leaves_one_file(self, path, opened):
        store = opened()
        store.create(claim("a.gpu"))
        store.close()
        store.close()
        assert [file.name for file in path.parent.iterdir()] == [path.name]

    def test_a_closed_store_says_so(self, opened):
        store = opened()
        store.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            store.list(GPUClaim)

    def test_a_forked_process_must_open_its_own(self, opened):
        store = opened()
        child = os.fork()
        if child == 0:
            try:
                store.list(GPUClaim)
            except StoreUnavailable as error:
                os._exit(7 if "forked" in error.why else 1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_opening_creates_what_is_missing(tmp_path):
    from provisioner.clocks import ManualClock, SeededIdentifiers

    path = tmp_path / "some" / "where" / "hikube.db"
    with open_store(path, clock=ManualClock(), identifiers=SeededIdentifiers()) as store:
        store.create(claim("a.gpu"))
    assert path.is_file()
