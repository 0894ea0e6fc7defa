"""The GPU host in a box that the end-to-end tests of a worker share.

One box for each worker, since starting one takes long; several workers fill with one box's work what another one waits for.
Where its images cannot be had, every test that wants it is skipped with the reason; a box that breaks afterwards is never a
skip: the test is tried up to twice more on a fresh box, and every rerun and replacement is counted in the summary.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner import lab
from provisioner.lab.bootstrap import check_requirements
from provisioner.model.errors import LabError
from tests.e2e.keeper import Keeper
from tests.e2e.rig import Rig
from tests.e2e.scheduling import OneAhead

BOX = lab.LabTopology(
    "e2e",
    (lab.LabHost("e2e", vcpus=1, gpus=(lab.StandIn(lab.StandInModel.BOCHS), lab.StandIn(lab.StandInModel.NVME))),),
)
"""One CPU: emulated CPUs that wait for each other burn real ones. A VM with two in a host with two costs twice as much to boot
as one with one in a host with one, and side by side on a busy machine even more; test_sizing and the tutorial have several."""

REPLACED = "boxes replaced"
LONGEST_FIRST = (
    "passthrough",
    "hosts_that_change",
    "staged_trouble",
    "kubernetes",
    "tenants",
    "sizing",
    "tutorial",
    "external",
    "contract",
)
"""Files that take minutes are handed to workers before those that take seconds, which then even out their ends."""

_keepers: list[Keeper] = []
_replaced: list[str] = []
"""Why boxes were given up, by all workers together."""


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
    """Keeps the box of this worker."""
    yield from kept(BOX, images, folder=tmp_path_factory.mktemp("box"))


def kept(topology: lab.LabTopology, images: lab.LabImages, *, folder: Path) -> Iterator[Keeper]:
    """Keeps a box until the end; whatever a failed test leaves in it spoils it."""
    made = Keeper(topology, images, folder=folder, say=say)
    _keepers.append(made)
    try:
        yield made
    finally:
        made.close()
        _keepers.remove(made)
        _replaced.extend(made.replaced)


@pytest.fixture
def box(keeper: Keeper) -> lab.HostInABox:
    """A running host with a bochs pair and an nvme pair, reached by `box.uri`."""
    return keeper.box()


@pytest.fixture
def time_scale(box: lab.HostInABox) -> float:
    """By what to multiply limits on time; known once the box has booted here."""
    return lab.time_scale()


@pytest.fixture
def rig(box: lab.HostInABox, keeper: Keeper, images: lab.LabImages, tmp_path: Path) -> Iterator[Rig]:
    """The box behind a store of its own."""
    made = Rig(box, images, tmp_path, kvm=keeper.kvm)
    yield made
    keeper.kvm = made.kvm()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test spoils the box."""
    report = yield
    if report.failed:
        for each in _keepers:
            each.spoil()
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every end-to-end test may be tried twice more: an emulated host can wedge, which is told and counted."""
    for item in items:
        if _is_ours(item):
            item.add_marker(pytest.mark.flaky(reruns=2))
    items.sort(key=_rank)


def _is_ours(item: pytest.Item) -> bool:
    return item.path.is_relative_to(Path(__file__).parent)


def _rank(item: pytest.Item) -> int:
    name = item.path.stem.removeprefix("test_")
    return LONGEST_FIRST.index(name) if _is_ours(item) and name in LONGEST_FIRST else len(LONGEST_FIRST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneAhead | None:
    """Whoever asks for files as a whole gets them one at a time."""
    return OneAhead(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells whoever sums up."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[REPLACED] = _replaced


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker has told."""
    _replaced.extend(getattr(node, "workeroutput", {}).get(REPLACED, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how often a test or a box had to be replaced."""
    reruns = len(terminalreporter.stats.get("rerun", []))
    terminalreporter.line(f"end-to-end: {reruns} reruns, {len(_replaced)} boxes replaced {_replaced or ''}".rstrip())


def say(line: str) -> None:
    """Tell on stderr what happens to boxes."""
    sys.stderr.write(f"box: {line}\n")
