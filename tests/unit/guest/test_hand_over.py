"""Hand-over: what is ours goes, what is the tenant's keeps every byte, and any interruption can be repeated."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from provisioner.drivers.guest.keys import generate_key_pair
from templates.guest.hand_over import hand_over, install
from templates.guest.seed import restricted_key_line
from tests.unit.guest.seeds import plan_with
from tests.unit.guest.trees import Tree

KEYS = "root/.ssh/authorized_keys"
INSTANCE = "var/lib/cloud/instances/i-1"
TENANT = b"# mine\nssh-ed25519 AAAATENANT me@home\r\n\nssh-rsa AAAAOTHER no newline at the end"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path)
    tree.write("etc/passwd", "daemon:x:1:1::/usr/sbin:/bin/false\nroot:x:0:0:root:/root:/bin/bash\n")
    return tree


def line() -> str:
    return restricted_key_line(generate_key_pair("hikube").public_line)


def test_the_key_comes_first_and_goes_without_a_trace(tree: Tree) -> None:
    tree.write(KEYS, TENANT, mode=0o640)
    ours = line()
    install(ours, str(tree))
    assert tree.read(KEYS) == ours.encode() + b"\n" + TENANT
    assert (tree.root / KEYS).stat().st_mode & 0o777 == 0o640
    hand_over(str(tree))
    assert tree.read(KEYS) == TENANT


def test_a_new_key_replaces_the_old_one(tree: Tree) -> None:
    tree.write(KEYS, TENANT)
    install(line(), str(tree))
    second = line()
    install(second, str(tree))
    install(second, str(tree))
    assert tree.read(KEYS) == second.encode() + b"\n" + TENANT


def test_a_guest_without_any_key_gets_a_private_file(tree: Tree) -> None:
    install(line(), str(tree))
    assert (tree.root / KEYS).stat().st_mode & 0o777 == 0o600
    assert (tree.root / KEYS).parent.stat().st_mode & 0o777 == 0o700


def test_keys_behind_a_link_are_edited_where_they_are(tree: Tree) -> None:
    real = tree.write("srv/keys", TENANT)
    (tree.root / KEYS).parent.mkdir(parents=True)
    (tree.root / KEYS).symlink_to(real)
    install(line(), str(tree))
    hand_over(str(tree))
    assert (tree.root / KEYS).is_symlink()
    assert real.read_bytes() == TENANT


def booted(tree: Tree) -> list[bytes]:
    """What cloud-init 25.1 leaves of a seed, found by searching a real guest for the keys; returns the secrets."""
    plan, content = plan_with()
    tree.write(f"{INSTANCE}/user-data.txt", "#cloud-config\n{}\n")
    for name in ("vendor-data.txt", "vendor-data.txt.i", "vendor-cloud-config.txt", "boothooks/hikube-boothook"):
        tree.write(f"{INSTANCE}/{name}", content.vendor_data, mode=0o600)
    tree.write(f"{INSTANCE}/scripts/vendor/hikube-driver", "#!/bin/sh\n")
    tree.write(f"{INSTANCE}/scripts/vendor/theirs", "#!/bin/sh\n")
    tree.write(f"{INSTANCE}/obj.pkl", pickle.dumps({"vendordata_raw": content.vendor_data, "userdata_raw": b"u"}), mode=0o400)
    merged = {"ssh_keys": {"ed25519_private": plan.host_private_key}, "hostname": "mine"}
    tree.write("run/cloud-init/combined-cloud-config.json", json.dumps(merged), mode=0o600)
    tree.write("usr/local/sbin/hikube-report", "x", mode=0o755)
    tree.write("usr/local/sbin/hikube-hand-over", "x", mode=0o755)
    install(restricted_key_line(plan.controller_public_key), str(tree))
    private_lines = plan.host_private_key.splitlines()[2:-1]
    return [*(text.encode() for text in private_lines), plan.controller_public_key.split()[1].encode()]


def holders(tree: Tree, secrets: list[bytes]) -> list[str]:
    files = [path for path in tree.root.rglob("*") if path.is_file()]
    return [str(path.relative_to(tree.root)) for path in files if any(secret in path.read_bytes() for secret in secrets)]


def test_no_secret_stays_and_the_rest_does(tree: Tree) -> None:
    secrets = booted(tree)
    assert len(holders(tree, secrets)) == 7
    hand_over(str(tree))
    assert holders(tree, secrets) == []
    assert pickle.loads(tree.read(f"{INSTANCE}/obj.pkl"))["userdata_raw"] == b"u"
    assert json.loads(tree.read("run/cloud-init/combined-cloud-config.json"))["hostname"] == "mine"
    assert tree.read(f"{INSTANCE}/user-data.txt") == b"#cloud-config\n{}\n"
    left = {str(path.relative_to(tree.root)) for path in tree.root.rglob("*hikube*")}
    assert left == set()
    assert (tree.root / INSTANCE / "scripts/vendor/theirs").exists()


def test_it_can_be_repeated(tree: Tree) -> None:
    booted(tree)
    hand_over(str(tree))
    before = {path: path.read_bytes() for path in tree.root.rglob("*") if path.is_file()}
    hand_over(str(tree))
    assert {path: path.read_bytes() for path in tree.root.rglob("*") if path.is_file()} == before


def test_it_needs_nothing_to_be_there(tree: Tree) -> None:
    hand_over(str(tree))
    assert not (tree.root / KEYS).exists()


@pytest.mark.parametrize("broken_at", range(1, 9))
def test_an_interruption_anywhere_is_completed_by_repeating(tree: Tree, broken_at: int) -> None:
    """A file system that fails at its nth change stands in for a crash: a folder without write permission cannot, for root."""
    secrets = booted(tree)
    changes = Changes(fail_at=broken_at)
    with pytest.raises(OSError, match="power cut"), changes:
        hand_over(str(tree))
    key_is_left = "hikube-report" in tree.read(KEYS).decode()
    secrets_are_left = any(name != KEYS for name in holders(tree, secrets))
    assert key_is_left or not secrets_are_left, "the key goes last, so that whoever was interrupted can come back"
    hand_over(str(tree))
    assert holders(tree, secrets) == []


class Changes:
    """Counts calls that change the file system, by the interpreter's own audit events, and fails at one of them."""

    _active: Changes | None = None

    def __init__(self, *, fail_at: int) -> None:
        self.left = fail_at

    def __enter__(self) -> None:
        Changes._active = self

    def __exit__(self, *_: object) -> None:
        Changes._active = None

    @classmethod
    def seen(cls, event: str, _: object) -> None:
        if cls._active is None or event not in {"os.rename", "os.remove"}:
            return
        cls._active.left -= 1
        if cls._active.left == 0:
            raise OSError("power cut")


def _listen() -> None:
    import sys

    sys.addaudithook(Changes.seen)


_listen()
