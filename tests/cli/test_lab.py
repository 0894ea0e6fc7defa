"""`hikube lab` without a machine behind it: what it says about adding, and about what stays."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from cli.adding import add_host
from cli.applying import Verb
from cli.lab_hosts import GUEST_USER, how_to_add, image_spec, stand_in_ids, wanted_host
from cli.session import Session
from provisioner.lab import Lab, LabImages, uniform
from provisioner.lab.tools import Tools
from provisioner.model.errors import AlreadyExists
from provisioner.model.tables import Tables
from tests.cli.conftest import Hikube

GUEST = Path("/cache/guest.qcow2")
IMAGES = LabImages(
    key="key",
    tools=Tools(Path("/cache/tools")),
    kernel=Path("/cache/vmlinuz"),
    initramfs=Path("/cache/initramfs"),
    host_disk=Path("/cache/host.raw"),
    guest_image=GUEST,
    guest_sha256="ab" * 32,
)


@pytest.fixture
def lab(hikube: Hikube) -> Lab:
    """A lab of two hosts that ran once; no process of it is left."""
    topology = uniform("two", hosts=2)
    made = Lab(topology, hikube.home / "data" / "labs" / "two")
    for number, host in enumerate(made.hosts):
        host.folder.mkdir(parents=True)
        (host.folder / "port").write_text(str(40001 + number))
    (made.folder / "lab.json").write_text(json.dumps(topology.to_data()))
    return made


def test_the_commands_that_it_names_add_its_image_and_hosts(hikube: Hikube, lab: Lab) -> None:
    lines = list(how_to_add(lab, IMAGES, Tables.builtin(), emulated=True))
    assert len(lines) == 3
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "hikube"
        unseen = ["--no-probe"] if words[1] == "host" else []
        assert hikube(*words[1:], *unseen).code == 0
    stored = {item["metadata"]["name"]: item for item in Session().raw("GPUHost")}
    assert stored["two-2"]["metadata"]["labels"] == {"hikube.cloud/nested-emulation": "true"}
    assert stored["two-2"]["spec"]["uri"] == lab.host("two-2").uri
    assert stored["two-2"]["spec"]["gpuRules"][0]["ids"] == ["1234:1111", "1b36:0010"]
    (image,) = Session().raw("Image")
    assert image["metadata"]["name"] == "lab-debian-13"
    assert {name: image["spec"][name] for name in image_spec(IMAGES)} == image_spec(IMAGES)


def test_a_host_with_kvm_is_not_called_slow(lab: Lab) -> None:
    assert not any("--label" in line for line in how_to_add(lab, IMAGES, Tables.builtin(), emulated=False))


def test_adding_again_keeps_what_else_was_set(hikube: Hikube, lab: Lab) -> None:
    host = lab.host("two-1")
    assert hikube("host", "add", "two-1", host.uri, "--label", "zone=a", "--no-probe").code == 0
    assert hikube("host", "cordon", "two-1").code == 0
    (host.folder / "port").write_text("40009")
    spec, labels = wanted_host(Session(), host, emulated=True)
    assert spec["cordoned"] is True
    assert spec["uri"] == host.uri
    assert ":40009/" in spec["uri"]
    assert labels == {"zone": "a", "hikube.cloud/nested-emulation": "true"}
    added = add_host(Session(), "two-1", spec=spec, labels=labels, probe=False, replaces=True)
    assert added.verb is Verb.CONFIGURED
    again = add_host(Session(), "two-1", spec=spec, labels=labels, probe=False, replaces=True)
    assert again.verb is Verb.UNCHANGED


def test_a_host_of_that_name_elsewhere_is_not_touched(hikube: Hikube, lab: Lab) -> None:
    assert hikube("host", "add", "two-1", "qemu+ssh://root@rack-7/system", "--no-probe").code == 0
    with pytest.raises(AlreadyExists, match="two-1 exists and is not of this lab"):
        wanted_host(Session(), lab.host("two-1"), emulated=True)


def test_stand_ins_are_those_of_the_catalogue() -> None:
    assert stand_in_ids(Tables.builtin()) == ["1234:1111", "1b36:0010"]


def test_the_guest_is_entered_as_debian() -> None:
    recipe = Path("provisioner/lab/recipes/guest.yaml").read_text()
    assert GUEST_USER == "debian"
    assert "default_user" not in recipe  # cloud-init's own default on Debian stands


def test_deleting_tells_which_hosts_stay_registered(hikube: Hikube, lab: Lab) -> None:
    assert hikube("lab", "list", "-o", "name").out == "lab/two\n"
    first, second = lab.hosts
    assert hikube("host", "add", "mine", first.uri, "--no-probe").code == 0
    assert hikube("host", "add", "other", "qemu+ssh://root@127.0.0.1/system", "--no-probe").code == 0
    (second.folder / "port").write_text("40009")  # a later start may have another port
    result = hikube("lab", "delete", "two")
    assert result.code == 0
    assert result.err == "lab two is gone\nstill registered: mine; forget with: hikube host remove mine\n"
    assert hikube("lab", "list", "-o", "name").out == ""
    assert hikube("lab", "delete", "two").err == "there is no lab two\n"
