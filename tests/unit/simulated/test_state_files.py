"""Simulated hosts that live in a file: every process sees the same one."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from provisioner.clocks import ManualClock
from provisioner.drivers.hypervisor import DomainState
from provisioner.drivers.simulated import file_connector, file_guests
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.guests import SimulatedGuests
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.model.errors import GuestUnreachable, HostUnreachable, HypervisorError, InvalidInput
from provisioner.model.gpu_host import DEFAULT_GPU_RULE
from tests.contract.guest_benches import GuestKit

WRITER = """
import sys
from provisioner.drivers.simulated import file_connector
volumes = file_connector().connect(sys.argv[1]).volumes
for number in range(20):
    volumes.create("default", f"{sys.argv[2]}-{number}", size_bytes=1024)
"""


@pytest.fixture
def uri(tmp_path):
    return f"simulated://l40s?state={tmp_path}/deep/state.json"


def another_process_with(clock):
    return SimulatedFleet(clock)


def test_two_programs_see_the_same_host_and_its_guest(uri):
    clock = ManualClock()
    kit = GuestKit()
    kit.start(SimulatedConnector(another_process_with(clock)).connect(uri))
    clock.advance(60)
    elsewhere = another_process_with(clock)
    hypervisor = SimulatedConnector(elsewhere).connect(uri)
    assert [domain.state for domain in hypervisor.domains.owned()] == [DomainState.RUNNING]
    assert hypervisor.inventory.survey((DEFAULT_GPU_RULE,)).gpus[0].function.driver == "vfio-pci"
    assert SimulatedGuests(elsewhere).report(kit.door(uri), timeout_s=10).nvidia.driver_loaded


def test_the_sandbox_goes_by_the_wall_clock(uri):
    kit = GuestKit()
    kit.start(file_connector().connect(uri))
    with pytest.raises(GuestUnreachable):
        file_guests().report(kit.door(uri), timeout_s=10)


@pytest.mark.slow
def test_processes_that_write_at_once_lose_nothing(uri):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, uri, name]) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len(file_connector().connect(uri).volumes.list("default")) == 40


def test_looking_writes_nothing(uri, tmp_path):
    connector = SimulatedConnector(SimulatedFleet(ManualClock()))
    connector.connect(uri).volumes.create("default", "v", size_bytes=1)
    path = tmp_path / "deep" / "state.json"
    before = path.stat().st_mtime_ns, path.stat().st_ino
    connector.connect(uri).inventory.survey(())
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_content_that_is_no_text_survives(uri):
    content = bytes(range(256)) * 4
    connector = SimulatedConnector(SimulatedFleet(ManualClock()))
    connector.connect(uri).volumes.upload("default", "v", io.BytesIO(content), size_bytes=len(content))
    assert SimulatedConnector(SimulatedFleet(ManualClock())).connect(uri).volumes.find("default", "v") is not None


def test_a_file_that_is_something_else_is_refused_and_kept(uri, tmp_path):
    path = tmp_path / "deep" / "state.json"
    path.parent.mkdir()
    path.write_text("my thesis")
    with pytest.raises(HypervisorError, match=r"state\.json"):
        file_connector().connect(uri)
    assert path.read_text() == "my thesis"


def test_a_place_that_cannot_be_written_is_an_unreachable_host(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HostUnreachable):
        file_connector().connect(f"simulated://l40s?state={tmp_path}/file/state.json")


def test_only_presets_begin_a_file(tmp_path):
    with pytest.raises(InvalidInput, match="preset") as caught:
        file_connector().connect(f"simulated://b300?state={tmp_path}/state.json")
    assert "l40s" in caught.value.hint
    assert not list(tmp_path.iterdir())
