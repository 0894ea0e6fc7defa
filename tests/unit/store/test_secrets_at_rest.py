"""Secrets in the file: sealed, bound to their place, readable with their key only, and never in plain text anywhere beside."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import stat
import sys
from contextlib import closing

import pytest

from provisioner.clocks import ManualClock, SeededIdentifiers
from provisioner.model.errors import SecretsLocked
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.secret import Secret
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.sqlite import SqliteStore
from provisioner.store.sqlite.key_file import KeyFile, new_key
from tests.contract.stores import claim, current, history, names, secret, vm
from tests.unit.store.sealed import CANARY, path_of_the_key, traces, value  # noqa: F401


class TestSealing:
    def test_what_was_stored_is_read_again_by_another_process_and_lies_sealed_in_the_files(self, path, opened):
        store = opened()
        store.create(secret("access", hostKey=CANARY))
        assert value(store) == value(opened()) == CANARY
        assert traces(path.parent) == []
        store.close()
        assert traces(path.parent) == []

    def test_keys_of_a_secret_are_seen_without_opening_it(self, opened, key_path):
        store = opened()
        store.create(secret("access", hostKey=CANARY))
        key_path.unlink()
        (raw,) = opened().read_raw("Secret")
        assert list(raw["spec"]["data"]) == ["hostKey"]
        assert raw["spec"]["data"]["hostKey"].startswith("sealed:1:")

    def test_the_same_value_is_another_text_each_time(self, opened):
        store = opened()
        for name in ("one", "two"):
            store.create(secret(name, hostKey=CANARY))
        one, two = (raw["spec"]["data"]["hostKey"] for raw in store.read_raw("Secret"))
        assert one != two

    def test_updates_deletions_and_owners_work_as_on_anything_else(self, path, opened):
        store = opened()
        owner = store.create(vm("trainer"))
        made = store.create(secret("access", owner=owner, hostKey="first"))
        changed = made.model_copy(update={"spec": made.spec.model_copy(update={"data": {"hostKey": CANARY}})})
        store.update(changed)
        assert value(store) == CANARY
        assert store.update(current(store, made)).metadata.generation == 2, "equal content changes nothing"
        store.delete(owner.key)
        assert names(store, Secret) == []
        assert traces(path.parent) == []

    def test_watchers_see_keys_and_no_values_and_need_no_key(self, opened, key_path):
        opened().create(secret("access", hostKey=CANARY))
        key_path.unlink()
        (change,) = history(opened())
        assert change.resource.spec.data == {"hostKey": ""}

    def test_a_copy_made_while_it_is_in_use_needs_the_key_too(self, path, opened, key_path, tmp_path):
        store = opened()
        store.create(secret("access", hostKey=CANARY))
        copy = tmp_path / "copies" / "copy.db"
        copy.parent.mkdir()
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        assert traces(copy.parent) == []
        with pytest.raises(SecretsLocked):
            value(opened(copy))
        assert value(opened(copy, key_path=key_path)) == CANARY

    def test_a_value_that_looks_sealed_is_text_like_any_other(self, opened):
        store = opened()
        store.create(secret("access", hostKey="sealed:1:0123456789abcdef:AAAA"))
        assert value(opened()) == "sealed:1:0123456789abcdef:AAAA"

    @pytest.mark.parametrize("change", ["other-name", "other-secret", "plain", "flipped"])
    def test_a_value_that_was_moved_or_forged_is_refused(self, path, opened, change):
        store = opened()
        store.create(secret("access", hostKey=CANARY, other="x"))
        store.create(secret("stolen", hostKey="of somebody else"))
        sealed = {raw["metadata"]["name"]: raw["spec"]["data"] for raw in store.read_raw("Secret")}
        mine = sealed["access"]["hostKey"]
        forged = {
            "other-name": sealed["access"]["other"],
            "other-secret": sealed["stolen"]["hostKey"],
            "plain": "ssh-ed25519 of the attacker",
            "flipped": mine[:-6] + ("A" if mine[-6] != "A" else "B") + mine[-5:],
        }[change]
        store.close()
        with closing(sqlite3.connect(path)) as connection, connection:
            spec = json.dumps({"data": {**sealed["access"], "hostKey": forged}})
            connection.execute("UPDATE objects SET spec = ? WHERE name = 'access'", (spec,))
        with pytest.raises(SecretsLocked, match="changed, or was sealed for another place"):
            value(opened())
        opened().delete(secret("access").key)
        assert names(opened(), Secret) == ["stolen"]


class TestTheKeyFile:
    def test_it_is_made_with_the_first_secret_for_the_user_alone_and_not_before(self, opened, key_path):
        store = opened()
        store.create(vm("trainer"))
        assert not key_path.exists()
        store.create(secret("access", hostKey=CANARY))
        assert stat.S_IMODE(key_path.stat().st_mode) == 0o600
        assert [file for file in key_path.parent.iterdir() if ".new-" in file.name] == []

    def test_it_may_lie_elsewhere(self, path, tmp_path, opened):
        elsewhere = tmp_path / "usb" / "hikube.key"
        opened(key_path=elsewhere).create(secret("access", hostKey=CANARY))
        assert value(opened(key_path=elsewhere)) == CANARY
        assert not path.with_name(path.name + ".key").exists()

    def test_one_that_is_handed_in_is_used_as_it_is(self, tmp_path, opened):
        handed = KeyFile(str(tmp_path / "credential"))
        handed.create(new_key())
        before = (tmp_path / "credential").read_bytes()
        (tmp_path / "credential").chmod(0o400)
        opened(key_path=tmp_path / "credential").create(secret("access", hostKey=CANARY))
        assert (tmp_path / "credential").read_bytes() == before

    def test_one_that_others_could_read_is_narrowed(self, opened, key_path):
        opened().create(secret("access", hostKey=CANARY))
        key_path.chmod(0o644)
        assert value(opened()) == CANARY
        assert stat.S_IMODE(key_path.stat().st_mode) == 0o600

    def test_it_may_lie_where_there_are_no_hard_links(self, tmp_path):
        """As on a stick with FAT; only a process of its own can be refused them."""
        child = os.fork()
        if child == 0:
            try:
                _without_links()
                made = KeyFile(str(tmp_path / "key")).create(new_key())
                os._exit(0 if KeyFile(str(tmp_path / "key")).create(new_key()) == made else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [file.name for file in tmp_path.iterdir()] == ["key"]

    def test_two_that_make_it_have_the_same(self, tmp_path):
        first, second = KeyFile(str(tmp_path / "key")), KeyFile(str(tmp_path / "key"))
        assert first.create(new_key()) == second.create(new_key())


def _without_links() -> None:
    def refuse(event: str, _arguments: object) -> None:
        if event == "os.link":
            raise PermissionError(errno.EPERM, "Operation not permitted")

    sys.addaudithook(refuse)


class TestWithoutTheKey:
    @pytest.fixture
    def locked(self, opened, key_path) -> SqliteStore:
        """A store with a VM, its Secret and a claim, whose key is lost."""
        store = opened()
        owner = store.create(vm("trainer"))
        store.create(secret("access", owner=owner, hostKey=CANARY))
        store.close()
        key_path.unlink()
        return opened()

    def test_reading_and_writing_a_secret_says_which_file_and_what_to_do(self, locked, key_path):
        attempts = (
            lambda: value(locked),
            lambda: locked.list(Secret),
            lambda: locked.create(secret("other", hostKey="x")),
            lambda: locked.rotate_key(),
        )
        for attempt in attempts:
            with pytest.raises(SecretsLocked, match="is missing") as refused:
                attempt()
            assert str(key_path) in refused.value.what
            assert "HIKUBE_KEY_FILE" in refused.value.hint
        assert not key_path.exists(), "a new one would hide that the old one is lost"

    def test_everything_else_works(self, locked):
        assert names(locked, VirtualMachine) == ["trainer"]
        locked.create(claim("a.gpu"))
        assert names(locked, GPUClaim) == ["a.gpu"]
        assert len(history(locked)) == 3

    def test_what_owns_a_secret_can_be_deleted_with_it(self, locked):
        locked.delete(vm("trainer").key)
        assert locked.read_raw("Secret") == []

    def test_a_wrong_key_is_told_from_a_missing_one(self, locked, key_path):
        KeyFile(str(key_path)).create(new_key())
        with pytest.raises(SecretsLocked, match="another key"):
            value(locked)

    @pytest.mark.parametrize("content", ["", "no key\n", "hikube-key-1:AAAA\n", "hikube-key-1:not base64!\n"])
    def test_a_damaged_one_too(self, locked, key_path, content):
        key_path.write_text(content)
        with pytest.raises(SecretsLocked, match="no key file, or is damaged"):
            value(locked)

    def test_a_directory_in_its_place_is_named(self, locked, key_path):
        key_path.mkdir()
        with pytest.raises(SecretsLocked, match="Is a directory"):
            value(locked)

    def test_no_error_shows_a_value(self, opened, path):
        store = opened()
        made = store.create(secret("access", hostKey=CANARY))
        with closing(sqlite3.connect(path)) as connection, connection:
            spec = json.dumps({"data": {"hostKey": {"nested": CANARY}}})
            connection.execute("UPDATE objects SET spec = ? WHERE kind = 'Secret'", (spec,))
        for attempt in (lambda: current(store, made), lambda: store.delete(made.key)):
            with pytest.raises(Exception, match="cannot be used") as refused:
                attempt()
            assert "canary" not in json.dumps(refused.value.as_dict())


def test_the_twin_keeps_secrets_without_a_key() -> None:
    from provisioner.store.memory import MemoryStore

    store = MemoryStore(clock=ManualClock(), identifiers=SeededIdentifiers())
    store.create(secret("access", hostKey=CANARY))
    assert store.get(Secret, "access", namespace="default").spec.data == {"hostKey": CANARY}


def test_a_secret_shows_nothing_in_its_own_text() -> None:
    made = secret("access", hostKey=CANARY)
    assert "canary" not in f"{made} {made!r} {made.spec!r}"
