"""`hikube migrate` as people type it, between two files; what it does to a cluster is in tests/kubernetes/test_migrate.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioner.clocks import SystemClock
from provisioner.store.sqlite import ControllerLock
from tests.cli.conftest import Hikube

IMAGE = """
apiVersion: hikube.cloud/v1alpha1
kind: Image
metadata: {name: mine}
spec: {url: "https://example.org/mine.qcow2", sha256: "%s"}
""" % ("0" * 64)


@pytest.fixture
def filled(hikube: Hikube, tmp_path: Path) -> Hikube:
    """With one object in the usual file."""
    (tmp_path / "image.yaml").write_text(IMAGE)
    assert hikube("apply", "-f", str(tmp_path / "image.yaml"), "--no-wait").code == 0
    return hikube


def usual(hikube: Hikube) -> Path:
    return hikube.home / "data" / "hikube.db"


def to(path: Path, *more: str) -> tuple[str, ...]:
    return ("migrate", "--from", "sqlite", "--to", "sqlite", "--to-file", str(path), *more)


def test_it_says_what_it_moved_and_the_old_file_says_where_it_went(filled, tmp_path):
    new = tmp_path / "new.db"
    done = filled(*to(new))
    assert done.code == 0, done.err
    assert "1  Image" in done.out and "1 created, 0 changed, 0 removed" in done.out
    assert "may begin" in done.err
    assert filled("get", "images").code == 0
    refused = filled("image", "remove", "mine")
    assert refused.code == 4
    assert "were moved to the file HOME/new.db" in refused.err and "rm HOME/data/hikube.db.moved" in refused.err


def test_in_json_and_dry_and_again(filled, tmp_path):
    new = tmp_path / "new.db"
    assert filled(*to(new, "--dry-run")).code == 11
    new.touch()
    dry = json.loads(filled(*to(new, "--dry-run", "-o", "json")).out)
    assert (dry["dryRun"], dry["created"], dry["objects"]) == (True, 1, {"Image": 1})
    first = json.loads(filled(*to(new, "-o", "json")).out)
    assert (first["created"], first["alreadyMoved"]) == (1, False)
    assert json.loads(filled(*to(new, "-o", "json")).out)["alreadyMoved"] is True
    back = filled("migrate", "--from=sqlite", f"--from-file={new}", "--to=sqlite", "-o", "json")
    assert json.loads(back.out)["changed"] == 0
    assert filled("image", "remove", "mine").code == 0


@pytest.mark.parametrize("whose", ["old", "new"])
def test_while_a_controller_runs_nothing_is_moved(filled, tmp_path, whose):
    path = usual(filled) if whose == "old" else tmp_path / "new.db"
    lock = ControllerLock(path, clock=SystemClock(), command="hikube controller")
    lock.acquire()
    try:
        refused = filled(*to(tmp_path / "new.db"))
    finally:
        lock.release()
    assert refused.code == 5
    assert "another process runs the control loop" in refused.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--from", "sqlite"), 2, "--to is needed"),
        (("--from", "etcd", "--to", "sqlite"), 2, "--from 'etcd' is no store"),
        (("--from", "sqlite", "--to", "sqlite"), 2, "are the same store"),
        (("--from", "sqlite", "--to", "sqlite", "--to-context", "a"), 2, "--to-context is given, and --to is sqlite"),
        (("--from", "kubernetes", "--to", "sqlite", "--from-file", "a"), 2, "--from-file is given, and --from is kubernetes"),
        (("--from", "sqlite", "--from-file", "absent.db", "--to", "sqlite"), 11, "there is no store absent.db"),
        (("--from", "sqlite", "--to", "kubernetes", "--to-kubeconfig", "absent"), 2, "no Kubernetes cluster is configured"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(filled, arguments, code, said):
    refused = filled("migrate", *arguments)
    assert (refused.code, said in refused.err) == (code, True), refused.err
    assert filled("image", "remove", "mine").code == 0


def test_a_class_is_for_clusters(filled):
    refused = filled("controller", "--class", "gpu")
    assert refused.code == 2 and "the store is a file" in refused.err
