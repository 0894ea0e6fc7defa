"""Events: every sentence of drivers/host_events.py, on each implementation.

The class may be imported by a suite that has a real host: it asks for nothing but a fixture `bench`.
"""

from __future__ import annotations

import pytest

from provisioner.clocks import ManualClock
from provisioner.drivers.host_events import HostEvent, HostEventKind
from provisioner.drivers.hypervisor import DomainState
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.model.errors import HostUnreachable
from tests.contract.hypervisors import LIMIT_S, Bench, DomainText

STARTED, STOPPED = HostEventKind.DOMAIN_STARTED, HostEventKind.DOMAIN_STOPPED
CHANGED, LOST = HostEventKind.DEVICES_CHANGED, HostEventKind.CONNECTION_LOST


class Ear:
    """A listener that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[HostEvent] = []

    def __call__(self, event: HostEvent) -> None:
        self.told.append(event)

    def about(self, subject: str) -> list[HostEventKind]:
        """What it was told about that domain or function."""
        return [event.kind for event in tuple(self.told) if event.subject == subject]

    def kinds(self) -> list[HostEventKind]:
        """What it was told at all."""
        return [event.kind for event in tuple(self.told)]


class TestEvents:
    def test_a_start_and_a_stop_are_told(self, bench: Bench) -> None:
        ear = Ear()
        bench.hypervisor.subscribe(ear)
        name = bench.start(bench.name())
        bench.until(lambda: ear.about(name) == [STARTED])
        bench.hypervisor.domains.destroy(name, timeout_s=LIMIT_S)
        bench.until(lambda: ear.about(name) == [STARTED, STOPPED])

    def test_the_end_of_a_domain_that_ran_before_is_told(self, bench: Bench) -> None:
        name = bench.start(bench.name())
        ear = Ear()
        bench.hypervisor.subscribe(ear)
        bench.hypervisor.domains.destroy(name, timeout_s=LIMIT_S)
        bench.until(lambda: STOPPED in ear.about(name))
        assert ear.about(name) in ([STOPPED], [STARTED, STOPPED]), "what happened a moment before may be told as well"

    def test_a_listener_that_subscribes_twice_is_told_once(self, bench: Bench) -> None:
        ear, other = Ear(), Ear()
        for _ in range(2):
            bench.hypervisor.subscribe(ear)
        bench.hypervisor.subscribe(other)
        name = bench.start(bench.name())
        bench.until(lambda: other.about(name) == [STARTED])
        assert ear.about(name) == [STARTED]

    def test_a_definition_is_no_event(self, bench: Bench) -> None:
        ear = Ear()
        bench.hypervisor.subscribe(ear)
        quiet, loud = bench.define(bench.name("-quiet")), bench.name("-loud")
        bench.hypervisor.domains.undefine(quiet)
        bench.start(loud)
        bench.until(lambda: ear.about(loud) == [STARTED])
        assert ear.about(quiet) == []

    def test_a_qemu_that_dies_is_told(self, bench: Bench) -> None:
        if bench.kill is None:
            pytest.skip("there is no QEMU to kill")
        ear = Ear()
        bench.hypervisor.subscribe(ear)
        name = bench.start(bench.name())
        bench.kill(name)
        bench.until(lambda: ear.about(name) == [STARTED, STOPPED])
        assert bench.state(name) is DomainState.CRASHED


class TestSimulatedEvents:
    """What only the twin can be made to do."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def connector(self, clock: ManualClock) -> SimulatedConnector:
        self.fleet = SimulatedFleet(clock, seed=1)
        self.fleet.add_host("a")
        return SimulatedConnector(self.fleet)

    @pytest.fixture
    def host(self, connector: SimulatedConnector) -> SimulatedHost:
        return self.fleet.host("a")

    @pytest.fixture
    def ear(self, connector: SimulatedConnector, host: SimulatedHost) -> Ear:
        made = Ear()
        connector.connect(host.uri).subscribe(made)
        return made

    def test_a_death_that_was_staged_is_told_when_somebody_looks(self, clock, connector, host, ear) -> None:
        domains = connector.connect(host.uri).domains
        domains.define(DomainText("vm", "kvm").text())
        domains.start("vm", timeout_s=1)
        host.kill_qemu("vm", after_s=5.0)
        clock.advance(4.0)
        assert domains.look("vm").state is DomainState.RUNNING
        assert ear.about("vm") == [STARTED]
        clock.advance(1.0)
        assert domains.look("vm").state is DomainState.CRASHED
        assert ear.about("vm") == [STARTED, STOPPED]

    def test_a_reset_where_that_means_destroy_is_a_stop(self, connector, host, ear) -> None:
        domains = connector.connect(host.uri).domains
        domains.define(DomainText("vm", "kvm").text().replace("<devices>", "<on_reboot>destroy</on_reboot><devices>"))
        domains.start("vm", timeout_s=1)
        host.reset_guest("vm")
        assert ear.about("vm") == [STARTED, STOPPED]

    def test_a_function_that_goes_and_comes_back_is_told_and_a_change_of_driver_is_not(self, connector, host, ear) -> None:
        with host.peek() as state:
            address = next(address for address, function in state.functions.items() if function.pci_class.startswith("03"))
        connector.connect(host.uri).devices.bind_vfio(address, timeout_s=1)
        assert ear.told == []
        host.lose(address)
        host.bring_back(address)
        assert ear.about(address) == [CHANGED, CHANGED]

    def test_a_lost_connection_is_told_once_and_is_the_last_that_is_told(self, connector, host, ear) -> None:
        host.set_link("down")
        with pytest.raises(HostUnreachable):
            connector.connect(host.uri)
        host.set_link("up")
        host.lose(next(iter(_addresses(host))))
        assert ear.kinds() == [LOST]
        connector.connect(host.uri).subscribe(ear)
        host.bring_back(next(iter(_addresses(host))))
        assert ear.kinds() == [LOST, CHANGED]

    def test_a_host_that_hangs_is_noticed_by_a_call(self, connector, host, ear) -> None:
        hypervisor = connector.connect(host.uri)
        host.set_link("hangs")
        assert ear.told == []
        with pytest.raises(HostUnreachable):
            hypervisor.domains.owned()
        assert ear.kinds() == [LOST]

    def test_a_connection_that_we_close_tells_nothing_more(self, connector, host, ear) -> None:
        connector.hang_up()
        host.lose(next(iter(_addresses(host))))
        host.set_link("down")
        assert ear.told == []


def _addresses(host: SimulatedHost) -> list[str]:
    with host.peek() as state:
        return sorted(state.functions)
