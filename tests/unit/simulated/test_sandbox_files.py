"""The twin for people: what one process does to a host in a file, others hear; every trouble shows, and can be mended."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from provisioner.clocks import ManualClock
from provisioner.drivers.host_events import HostEvent, HostEventKind
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.drivers.simulated.presets import PRESETS
from provisioner.drivers.simulated.ready_fleets import READY_FLEETS
from provisioner.drivers.simulated.sandbox import file_connector, file_fleet
from provisioner.drivers.simulated.troubles import (
    GPU_TROUBLES,
    GUEST_TROUBLES,
    HOST_TROUBLES,
    mend_gpu,
    mend_guest,
    mend_host,
    troubles_of,
)
from provisioner.model.errors import HostUnreachable

GPU, DOMAIN = "0000:41:00.0", "hikube-default.a"
PATIENCE_S = 30.0
LASTING = [name for name in HOST_TROUBLES if name != "reboot"]
"""A reboot is over as soon as it is done; a crash leaves nothing wrong with the host either."""


class Ear:
    """A listener that can be waited for."""

    def __init__(self) -> None:
        self.heard: list[HostEvent] = []
        self._news = threading.Condition()

    def __call__(self, event: HostEvent) -> None:
        with self._news:
            self.heard.append(event)
            self._news.notify_all()

    def hears(self, kind: HostEventKind) -> bool:
        with self._news:
            return self._news.wait_for(lambda: any(event.kind is kind for event in self.heard), PATIENCE_S)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"simulated://gpu-01?preset=two-nodes&state={tmp_path}/gpu-01.json"


@pytest.fixture
def host() -> SimulatedHost:
    return SimulatedFleet(ManualClock()).add_host("a")


def wrong(host: SimulatedHost) -> list[tuple[str, str]]:
    with host.peek() as state:
        return [(found.subject, found.words) for found in troubles_of(state)]


def test_a_host_has_a_name_of_its_own_and_the_hardware_of_its_preset(uri: str) -> None:
    host = file_fleet().at(uri)
    host.set_link("down")
    with pytest.raises(HostUnreachable, match="Host gpu-01 cannot be reached"):
        file_connector().connect(uri)
    with host.peek() as state:
        assert sum(bool(function.product) for function in state.functions.values()) == len(PRESETS["two-nodes"].gpus)


@pytest.mark.slow
def test_what_another_process_does_is_heard(uri: str) -> None:
    ear, elsewhere = Ear(), file_fleet().at(uri)
    connector = file_connector()  # kept: the one who looks ends with it
    connector.connect(uri).subscribe(ear)
    elsewhere.lose(GPU)
    assert ear.hears(HostEventKind.DEVICES_CHANGED)
    elsewhere.set_link("down")
    assert ear.hears(HostEventKind.CONNECTION_LOST)


def test_looking_at_a_host_that_was_removed_does_not_make_it_again(uri: str, tmp_path: Path) -> None:
    fleet, ear = file_fleet(), Ear()
    host = fleet.at(uri)
    with host.peek() as state:
        host.watchers.add(self_ := object(), ear, state=state)
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(HostUnreachable, match="no such file"):
        host.notice()
    assert not (tmp_path / "gpu-01.json").exists()
    assert host.watchers.has(self_, ear)


@pytest.mark.parametrize("name", LASTING)
def test_every_trouble_of_a_host_shows_and_can_be_mended(host: SimulatedHost, name: str) -> None:
    HOST_TROUBLES[name].begin(host, "")
    assert [subject for subject, _ in wrong(host)] == ["host"]
    mend_host(host)
    assert wrong(host) == []


@pytest.mark.parametrize("name", GPU_TROUBLES)
def test_every_trouble_of_a_gpu_shows_and_can_be_mended(host: SimulatedHost, name: str) -> None:
    for mend in (lambda: mend_gpu(host, GPU), lambda: mend_host(host)):
        GPU_TROUBLES[name].begin(host, GPU)
        assert wrong(host) == [(GPU, GPU_TROUBLES[name].does)]
        mend()
        assert wrong(host) == []


@pytest.mark.parametrize("name", [name for name in GUEST_TROUBLES if name != "crash"])
def test_every_trouble_of_a_guest_shows_and_can_be_mended(host: SimulatedHost, name: str) -> None:
    for mend in (lambda: mend_guest(host, DOMAIN), lambda: mend_host(host)):
        GUEST_TROUBLES[name].begin(host, DOMAIN)
        assert wrong(host) == [(DOMAIN, GUEST_TROUBLES[name].does)]
        mend()
        assert wrong(host) == []


@pytest.mark.parametrize("name", READY_FLEETS)
def test_a_ready_fleet_has_hosts_of_known_presets_and_names_of_their_own(name: str) -> None:
    hosts = READY_FLEETS[name]
    assert len({host.name for host in hosts}) == len(hosts)
    for host in hosts:
        addresses = [f"0000:{0x41 + number:02x}:00.0" for number in range(len(PRESETS[host.preset].gpus))]
        assert set(host.dead_gpus) <= set(addresses)
