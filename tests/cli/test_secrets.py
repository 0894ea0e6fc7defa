"""Whatever is asked of the command line: no private value and nothing of a VM's user-data is in what it prints or logs."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from cli.failure import report
from cli.logs import log_to_file
from cli.session import Session
from provisioner.drivers.guest.keys import generate_key_pair
from provisioner.model.errors import HypervisorError
from provisioner.model.metadata import Metadata
from provisioner.model.secret import Secret, SecretSpec
from tests.cli.conftest import Hikube
from tests.cli.test_stories import TRAIN, fleet
from tests.lifecycle.eavesdropping import leaks

__all__ = ["fleet"]

CANARY = "canary-in-the-user-data-77ab"
KEY = generate_key_pair("canary").private_openssh
ASKING = (
    ("get", "secrets"),
    ("get", "secrets", "-A", "-o", "wide"),
    ("get", "secrets", "-o", "json"),
    ("get", "secrets", "-o", "yaml"),
    ("get", "secrets", "-o", "name"),
    ("get", "secret/planted", "-o", "yaml"),
    ("get", "secret", "absent"),
    ("describe", "secrets"),
    ("describe", "secret/planted"),
    ("describe", "vm/train"),
    ("gpu", "vm", "show", "train"),
    ("events",),
    ("explain", "vm", "train"),
    ("gpu", "vm", "logs", "train"),
    ("host", "show", "sim"),
    ("host", "adopt", "sim", "--dry-run"),
    ("gpu", "vm", "stop", "train"),
    ("gpu", "vm", "start", "train"),
    ("store", "rotate-key"),
    ("gpu", "vm", "delete", "train"),
)


@pytest.fixture
def planted(fleet: Hikube) -> Hikube:
    """A fleet with a VM whose user-data has a password, and a Secret with a private key."""
    (fleet.home / "cloud.yaml").write_text(f"#cloud-config\npassword: {CANARY}\n")
    assert fleet(*TRAIN, "--cloud-init", f"{fleet.home}/cloud.yaml").code == 0
    metadata = Metadata(name="planted", namespace="default")
    Session().store.create(Secret(metadata=metadata, spec=SecretSpec(data={"key": KEY, "password": CANARY})))
    return fleet


def files_of(home: Path) -> str:
    """Everything that is kept in the data directory: the store, its log, the logs. User-data lies in the store as it is."""
    names = [path for path in (home / "data").rglob("*") if path.is_file()]
    return "\n".join(path.read_bytes().decode("latin-1") for path in names)


def test_nothing_that_can_be_asked_shows_it(planted: Hikube) -> None:
    said = [planted(*words).shown() for words in ASKING]
    (planted.home / "cloud.yaml").write_text(f"#cloud-config\npassword: {CANARY}-changed\n")
    said += [planted(*TRAIN, "--cloud-init", f"{planted.home}/cloud.yaml").shown(), planted(*TRAIN).shown()]
    assert leaks("\n".join(said), {KEY, CANARY}) == []
    assert leaks(files_of(planted.home), {KEY}) == []


def test_no_log_has_it(planted: Hikube) -> None:
    with log_to_file():
        logging.getLogger("hikube.test").warning("a driver said %s", KEY)
        try:
            raise HypervisorError("it broke", why=KEY)
        except HypervisorError:
            logging.getLogger("hikube.test").exception("it broke")
    logs = "\n".join(path.read_text() for path in (planted.home / "data" / "logs").rglob("*"))
    assert "a driver said" in logs
    assert leaks(logs, {KEY, CANARY}) == []


def test_a_damaged_store_does_not_repeat_it(planted: Hikube) -> None:
    path = planted.home / "data" / "hikube.db"
    content = bytearray(path.read_bytes())
    content[4096:8192] = bytes(4096)
    path.write_bytes(content)
    shutil.rmtree(planted.home / "data" / "logs")
    said = [planted(*words).shown() for words in ASKING[:6]]
    assert leaks("\n".join(said), {KEY, CANARY}) == []


@pytest.mark.parametrize("arguments", [["events"], ["events", "-o", "json"]], ids=["text", "json"])
def test_an_error_that_repeats_a_key_is_shown_without_it(hikube: Hikube, capsys: pytest.CaptureFixture[str], arguments) -> None:
    error = HypervisorError("it broke", why=f"it said\n{KEY}", context={"deep": [{"text": KEY}]})
    assert report(error, arguments) == 9
    said = capsys.readouterr().err
    assert leaks(said, {KEY}) == []
    assert "it said" in said


def test_a_crash_log_has_neither_a_key_nor_the_words_for_a_guest(hikube: Hikube) -> None:
    assert report(RuntimeError(f"bug {KEY}"), ["gpu", "vm", "ssh", "train", "--", "mysql", f"-p{CANARY}"]) == 1
    (log,) = (hikube.home / "data" / "logs").glob("crash-*")
    assert leaks(log.read_text(), {KEY, CANARY}) == []
    assert "gpu vm ssh train --" in log.read_text()
