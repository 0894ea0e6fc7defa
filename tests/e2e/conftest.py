"""The GPU host in a box that all end-to-end tests of a run share.

One box per run, since starting one takes longest. Where its images cannot be had, every test that wants it is skipped with the
reason; a box that breaks afterwards is a failure, never a skip. It has a data folder of its own and never meets a user's labs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner import lab
from provisioner.lab.bootstrap import check_requirements
from provisioner.model.errors import LabError
from tests.e2e.rig import Rig

BOX = lab.LabTopology(
    "e2e",
    (lab.LabHost("e2e", gpus=(lab.StandIn(lab.StandInModel.BOCHS), lab.StandIn(lab.StandInModel.NVME))),),
)


@pytest.fixture(scope="session")
def images() -> lab.LabImages:
    """The images of labs, built if this machine can build them."""
    if lab.find_images() is None:
        try:
            check_requirements()
        except LabError as error:
            pytest.skip(f"no GPU host in a box: {error} {error.hint}".strip())
    return lab.ensure_images(_say)


@pytest.fixture(scope="session")
def box(images: lab.LabImages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.HostInABox]:
    """A running host with a bochs pair and an nvme pair, reached by `box.uri`."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HIKUBE_DATA_DIR", str(tmp_path_factory.mktemp("box")))
        try:
            yield lab.create(BOX, _say).host()
        finally:
            lab.delete(BOX.name)


@pytest.fixture(scope="session")
def time_scale(box: lab.HostInABox) -> float:
    """By what to multiply limits on time; known once the box has booted here."""
    return lab.time_scale()


@pytest.fixture
def rig(box: lab.HostInABox, images: lab.LabImages, tmp_path: Path) -> Rig:
    """The box behind a store of its own."""
    return Rig(box, images, tmp_path)


def _say(line: str) -> None:
    sys.stderr.write(f"box: {line}\n")
