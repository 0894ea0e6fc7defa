"""`gpu vm create`: all mistakes at once, the user's keys, and nothing made before the rest is known to be good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.session import Session
from cli.vm.keys import keys_from
from provisioner.drivers.guest.keys import generate_key_pair
from tests.cli.conftest import Hikube
from tests.cli.test_stories import TRAIN, fleet

__all__ = ["fleet"]

OURS = Path("data/keys/id_ed25519")


@pytest.fixture
def keyless(fleet: Hikube) -> Hikube:
    """A user without a key in ~/.ssh."""
    (fleet.home / ".ssh" / "id_ed25519.pub").unlink()
    return fleet


def test_all_mistakes_are_told_at_once(fleet: Hikube) -> None:
    options = ("--gpu", "l40x", "--image", "god", "--cpu", "x", "--ssh-key", "nowhere", "--disk-size", "much", "--label", "a b")
    result = fleet("gpu", "vm", "create", "Third", *options)
    assert result.code == 2
    for part in (
        "7 mistakes in the options given",
        "no key file nowhere",
        "no GPU model is called 'l40x'\n      did you mean l40",
        "no image is called 'god'",
        "--cpu 'x' is no number of vCPUs",
        "--label 'a b' is no label",
        "metadata.name: ",
        "spec.systemDisk.storage: ",
    ):
        assert part in result.err
    assert "SSH key" not in result.err
    error = json.loads(fleet("gpu", "vm", "create", "Third", *options, "-o", "json").err)
    assert len(error["error"]["context"]["mistakes"]) == 7


def test_a_missing_name_does_not_hide_the_rest(fleet: Hikube) -> None:
    result = fleet("gpu", "vm", "create", "--gpu", "l40s", "--memory", "much")
    assert result.code == 2
    assert "the VM has no name" in result.err
    assert "spec.resources.memory" in result.err


def test_a_name_of_several_models_lists_them(fleet: Hikube) -> None:
    result = fleet("gpu", "vm", "create", "a", "--gpu", "h100:2", "--image", "tiny")
    assert result.code == 2
    assert "--gpu 'h100' could be several models; say which" in result.err
    assert "h100-sxm" in result.err
    assert "H200" not in result.err


def test_a_pair_is_made_when_the_vm_is_and_not_before(keyless: Hikube) -> None:
    pair = keyless.home / OURS
    assert "a pair would be made" in keyless(*TRAIN, "--dry-run").err
    assert keyless(*TRAIN, "--memory", "much").code == 2
    assert keyless(*TRAIN, "--gpu", "h200").code == 6
    assert not pair.parent.exists()
    result = keyless(*TRAIN)
    assert result.code == 0
    assert "SSH key: HOME/data/keys/id_ed25519 (made, since there is none in ~/.ssh" in result.err
    assert pair.stat().st_mode & 0o077 == 0
    stored = Session().raw("VirtualMachine")[0]["spec"]["sshKeys"]
    assert stored == [pair.with_suffix(".pub").read_text().strip()]
    assert keyless(*TRAIN, "--error-unchanged").code == 3


def test_the_way_in_names_a_key_that_ssh_would_not_find(fleet: Hikube) -> None:
    folder = fleet.home / "project"
    folder.mkdir()
    pair = generate_key_pair("mine")
    (folder / "key.pub").write_text(pair.public_line)
    assert keys_from([str(folder / "key.pub")], home=fleet.home).private is None
    (folder / "key").write_text(pair.private_openssh)
    assert keys_from([str(folder / "key.pub")], home=fleet.home).private == folder / "key"
    (fleet.home / ".ssh" / "id_ed25519").write_text(pair.private_openssh)
    assert keys_from([str(fleet.home / ".ssh" / "id_ed25519.pub")], home=fleet.home).private is None


def test_a_simulated_vm_is_not_said_to_have_ssh(fleet: Hikube) -> None:
    result = fleet(*TRAIN)
    assert "logs:    hikube gpu vm logs train" in result.err
    assert "log in" not in result.err
