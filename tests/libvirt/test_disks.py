"""VMDisks on a real libvirtd, by the production reconciler and the real commands: every source, a copy, growing, going."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from cli.main import run
from tests.cli.conftest import Hikube
from tests.disk_images import iso, raw_disk
from tests.libvirt.private_daemon import until
from tests.libvirt.test_volumes import image_info

MIB = 2**20
GIB = 2**30
POOL = "default"


@pytest.fixture
def hikube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], daemon) -> Hikube:
    """The command with a home of its own that knows the private libvirtd as the host `here`."""
    for name in ("HOME", "HIKUBE_DATA_DIR", "HIKUBE_CACHE_DIR", "HIKUBE_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    made = Hikube(tmp_path, capsys)
    uri = f"qemu+unix:///system?socket={daemon.root}/run/libvirt-sock"
    assert made("host", "add", "here", uri, "--no-probe").code == 0
    return made


def status(hikube: Hikube, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(hikube("disk", "show", name, "-o", "json").out)["status"]
    return found


def path_of(daemon, hikube: Hikube, name: str) -> str:
    return str(daemon.root / "pools" / POOL / str(status(hikube, name)["volume"]))


def done(hikube: Hikube, *arguments: str) -> None:
    result = hikube("disk", *arguments, "--timeout", "60s")
    assert result.code == 0, result.err


def test_every_kind_of_disk_is_made_copied_grown_and_removed(hikube: Hikube, daemon, tmp_path: Path) -> None:
    image = tmp_path / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "32M"], check=True)
    assert hikube("image", "add", "mine", f"file://{image}", "--min-storage", "1Mi").code == 0
    content = raw_disk(512) + os.urandom(MIB - 512)
    (tmp_path / "own.img").write_bytes(content)
    (tmp_path / "cd.iso").write_bytes(iso(MIB))

    done(hikube, "create", "blank", "--size", "64Mi", "--host", "here")
    done(hikube, "create", "system", "--image", "mine", "--size", "64Mi", "--host", "here")
    assert image_info(path_of(daemon, hikube, "system"))["backing-filename-format"] == "qcow2"

    done(hikube, "create", "own", "--upload", "--size", "2Mi")
    done(hikube, "upload", "own", str(tmp_path / "own.img"))
    with open(path_of(daemon, hikube, "own"), "rb") as file:
        assert file.read(MIB) == content
    assert status(hikube, "own")["capacityBytes"] == 2 * MIB

    done(hikube, "create", "cd", "--upload", "--optical", "--size", "8Mi")
    done(hikube, "upload", "cd", str(tmp_path / "cd.iso"))
    assert (status(hikube, "cd")["capacityBytes"], path_of(daemon, hikube, "cd")[-4:]) == (MIB, ".iso")

    done(hikube, "clone", "system", "system-2", "--size", "96Mi")
    copied = image_info(path_of(daemon, hikube, "system-2"))
    assert (copied["virtual-size"], copied.get("backing-filename")) == (96 * MIB, None)
    done(hikube, "clone", "own", "own-2")
    with open(path_of(daemon, hikube, "own-2"), "rb") as file:
        assert file.read(MIB) == content

    done(hikube, "grow", "own-2", "4Mi")
    assert status(hikube, "own-2")["capacityBytes"] == 4 * MIB

    done(hikube, "delete", "blank", "--retain")
    done(hikube, "delete", "system", "own", "cd", "system-2", "own-2")
    left = hikube("disk", "leftovers", "-o", "name").out
    assert left == f"here/{POOL}/hikube-disk-default.blank.qcow2\n"
    (daemon.root / "pools" / POOL / "hikube-disk-default.blank.qcow2").unlink()


def test_a_disk_that_cannot_fit_says_so_with_numbers(hikube: Hikube) -> None:
    result = hikube("disk", "create", "huge", "--size", "60Ti", "--host", "here", "--timeout", "5s")
    assert result.code == 8
    conditions = {each["type"]: each for each in status(hikube, "huge")["conditions"]}  # type: ignore[attr-defined]
    assert conditions["Ready"]["reason"] == "InsufficientStorage"
    assert "needs 61440 GiB, storage pool `default` has" in conditions["Ready"]["message"]
    assert run(["disk", "delete", "huge", "--timeout", "30s"]) == 0


def test_an_upload_that_is_killed_leaves_a_disk_that_waits_and_the_next_one_goes_well(
    hikube: Hikube, daemon, tmp_path: Path
) -> None:
    large, small = tmp_path / "large.img", tmp_path / "small.img"
    small.write_bytes(raw_disk(MIB))
    with large.open("wb") as file:
        file.write(raw_disk(512))
        file.truncate(2 * GIB)
    done(hikube, "create", "own", "--upload", "--size", "2Gi")
    volume = daemon.root / "pools" / POOL / "hikube-disk-default.own.raw"
    upload = hikube.start("disk", "upload", "own", str(large))
    until(volume.exists, "the upload has not begun")
    upload.kill()
    upload.communicate(timeout=60)
    assert status(hikube, "own")["volume"] == ""
    waiting = hikube("wait", "disk/own", "--for=condition=Ready", "--timeout", "3s")
    assert waiting.code == 8
    done(hikube, "upload", "own", str(small))
    assert path_of(daemon, hikube, "own") == str(volume)
    done(hikube, "delete", "own")
    assert not volume.exists()


def test_a_disk_that_is_deleted_after_half_an_upload_leaves_nothing(hikube: Hikube, daemon, tmp_path: Path) -> None:
    large = tmp_path / "large.img"
    with large.open("wb") as file:
        file.write(raw_disk(512))
        file.truncate(2 * GIB)
    done(hikube, "create", "own", "--upload", "--size", "2Gi")
    pool = daemon.root / "pools" / POOL
    upload = hikube.start("disk", "upload", "own", str(large))
    until((pool / "hikube-disk-default.own.raw").exists, "the upload has not begun")
    upload.kill()
    upload.communicate(timeout=60)
    done(hikube, "delete", "own")
    assert not list(pool.glob("hikube-disk-default.own*"))


def test_a_copy_whose_controller_is_killed_is_finished_by_the_next_one(hikube: Hikube, daemon) -> None:
    """libvirtd goes on copying for nobody; what it makes is hidden, and is made anew when it has ended."""
    done(hikube, "create", "own", "--upload", "--size", "4Gi", "--host", "here")
    pool = daemon.root / "pools" / POOL
    with (pool / "hikube-disk-default.own.raw").open("wb") as file:  # as large as it takes for the kill to come in time
        file.write(raw_disk(512))
        file.truncate(4 * GIB)
    assert hikube("wait", "disk/own", "--for=condition=Ready", "--timeout", "90s").code == 0
    volume = pool / "hikube-disk-default.copied.raw"
    clone = hikube.start("disk", "clone", "own", "copied")
    until(volume.exists, "the copy has not begun")
    clone.kill()
    clone.communicate(timeout=60)
    assert status(hikube, "own")["copiedTo"] == "copied"
    assert status(hikube, "copied")["volume"] == ""
    assert hikube("wait", "disk/copied", "--for=condition=Ready", "--timeout", "120s").code == 0
    assert (status(hikube, "own")["copiedTo"], status(hikube, "copied")["capacityBytes"]) == ("", 4 * GIB)
    done(hikube, "delete", "own", "copied")
    assert not list(pool.glob("hikube-disk-default.*"))
