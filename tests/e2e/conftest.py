"""The GPU host in a box that all end-to-end tests of a run share.

One box per run, since starting one takes longest. Where its images cannot be had, every test that wants it is skipped with the
reason; a box that breaks afterwards is never a skip: the test is tried up to twice more on a fresh box, and every rerun and
replacement is counted in the summary. It has a data folder of its own and never meets a user's labs.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from provisioner import lab
from provisioner.lab.bootstrap import check_requirements
from provisioner.model.errors import LabError
from tests.e2e.keeper import Keeper
from tests.e2e.rig import Rig

BOX = lab.LabTopology(
    "e2e",
    (lab.LabHost("e2e", gpus=(lab.StandIn(lab.StandInModel.BOCHS), lab.StandIn(lab.StandInModel.NVME))),),
)

_keepers: list[Keeper] = []


@pytest.fixture(scope="session")
def images() -> lab.LabImages:
    """The images of labs, built if this machine can build them."""
    if lab.find_images() is None:
        try:
            check_requirements()
        except LabError as error:
            pytest.skip(f"no GPU host in a box: {error} {error.hint}".strip())
    return lab.ensure_images(say)


@pytest.fixture(scope="session")
def keeper(images: lab.LabImages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    """Keeps the box of this run."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HIKUBE_DATA_DIR", str(tmp_path_factory.mktemp("box")))
        kept = Keeper(BOX, say)
        _keepers.append(kept)
        try:
            yield kept
        finally:
            kept.close()


@pytest.fixture
def box(keeper: Keeper) -> lab.HostInABox:
    """A running host with a bochs pair and an nvme pair, reached by `box.uri`."""
    return keeper.box()


@pytest.fixture
def time_scale(box: lab.HostInABox) -> float:
    """By what to multiply limits on time; known once the box has booted here."""
    return lab.time_scale()


@pytest.fixture
def rig(box: lab.HostInABox, images: lab.LabImages, tmp_path: Path) -> Rig:
    """The box behind a store of its own."""
    return Rig(box, images, tmp_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test spoils the box."""
    report = yield
    if report.failed:
        for kept in _keepers:
            kept.spoil()
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every end-to-end test may be tried twice more: an emulated host can wedge, which is told and counted."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.flaky(reruns=2))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how often a test or a box had to be replaced."""
    replaced = [why for kept in _keepers for why in kept.replaced]
    reruns = len(terminalreporter.stats.get("rerun", []))
    terminalreporter.line(f"end-to-end: {reruns} reruns, {len(replaced)} boxes replaced {replaced or ''}".rstrip())


def say(line: str) -> None:
    """Tell on stderr what happens to boxes."""
    sys.stderr.write(f"box: {line}\n")
