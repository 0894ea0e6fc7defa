"""What the heir of a controller that died meets: every call again, on what the dead one left, on each implementation.

The steps of a VM's life rest on these sentences (provisioner/lifecycle/virtual_machine); tests/crashes shows that they do. The
classes may be imported by a suite that has a real host: they ask for nothing but a fixture `bench`.
"""

from __future__ import annotations

import io

import pytest

from provisioner.drivers.host_events import HostEventKind
from provisioner.drivers.hypervisor import DomainState
from provisioner.model.errors import HikubeError, HostUnreachable, HypervisorError, NotFound
from tests.contract.hypervisors import LIMIT_S, Bench
from tests.contract.test_hypervisor_events import Ear

MIB = 1024**2
NOWHERE = "no-such-network"
ELSEWHERE = "0000:dc:1a.0"
UUID = "33333333-3333-4333-8333-333333333333"


class TestHeirsOfDomains:
    def test_a_running_domain_that_is_defined_anew_goes_on_as_it_was_started(self, bench):
        name, domains = bench.start(bench.name(), owner_uid="uid-1", uuid=UUID), bench.hypervisor.domains
        before = domains.look(name)
        anew = bench.domain_xml(name, owner_uid="uid-2", uuid=UUID, functions=(ELSEWHERE,))
        assert domains.define(anew) == before
        assert domains.look(name) == before
        assert before in domains.owned()
        domains.destroy(name, timeout_s=LIMIT_S)
        after = domains.look(name)
        assert (after.owner_uid, after.functions, after.state) == ("uid-2", (ELSEWHERE,), DomainState.OFF)

    def test_the_record_of_a_running_domain_is_that_of_its_definition(self, bench):
        name, hypervisor = bench.start(bench.name(), uuid=UUID), bench.hypervisor
        hypervisor.records.write(name, "as it was started")
        hypervisor.domains.define(bench.domain_xml(name, uuid=UUID))
        assert hypervisor.records.read(name) == ""
        hypervisor.records.write(name, "handed over")
        assert hypervisor.records.read(name) == "handed over"
        hypervisor.domains.destroy(name, timeout_s=LIMIT_S)
        assert hypervisor.records.read(name) == "handed over"

    def test_a_domain_that_crashed_stays_crashed_until_it_starts(self, bench):
        name, domains = crashed_domain(bench), bench.hypervisor.domains
        domains.shutdown(name)
        domains.destroy(name, timeout_s=LIMIT_S)
        assert bench.state(name) is DomainState.CRASHED
        domains.define(bench.domain_xml(name, uuid=UUID))
        assert bench.state(name) is DomainState.CRASHED
        domains.start(name, timeout_s=LIMIT_S)
        domains.destroy(name, timeout_s=LIMIT_S)
        assert bench.state(name) is DomainState.OFF

    def test_a_domain_that_crashed_is_forgotten_like_any_other(self, bench):
        name, domains = crashed_domain(bench), bench.hypervisor.domains
        domains.undefine(name)
        assert domains.look(name) is None
        domains.define(bench.domain_xml(name, uuid=UUID))
        assert bench.state(name) is DomainState.OFF

    def test_a_start_that_fails_leaves_it_off_whatever_it_was_before(self, bench):
        bench.needs("volumes.upload")
        name, domains, volumes = bench.name(), bench.hypervisor.domains, bench.hypervisor.volumes
        disk = volumes.create(bench.pool, bench.name("-disk.qcow2"), size_bytes=MIB)
        crashed_domain(bench, disk=disk.path)
        volumes.delete(bench.pool, disk.name)
        with pytest.raises((HypervisorError, NotFound)):
            domains.start(name, timeout_s=LIMIT_S)
        assert bench.state(name) is DomainState.OFF

    def test_a_domain_needs_the_seed_that_is_in_its_drive(self, bench):
        bench.needs("volumes.upload")
        volumes, seed = bench.hypervisor.volumes, bench.name("-seed.iso")
        path = volumes.upload(bench.pool, seed, io.BytesIO(b"s" * MIB), size_bytes=MIB).path
        name = bench.define(bench.name(), cdrom=path)
        volumes.delete(bench.pool, seed)
        with pytest.raises((HypervisorError, NotFound)):
            bench.hypervisor.domains.start(name, timeout_s=LIMIT_S)
        assert bench.state(name) is DomainState.OFF
        volumes.upload(bench.pool, seed, io.BytesIO(b"s" * MIB), size_bytes=MIB)
        bench.hypervisor.domains.start(name, timeout_s=LIMIT_S)
        assert bench.state(name) is DomainState.RUNNING

    def test_a_seed_is_ejected_from_a_domain_that_is_off(self, bench):
        bench.needs("volumes.upload", "domains.eject")
        domains, volumes, seed = bench.hypervisor.domains, bench.hypervisor.volumes, bench.name("-seed.iso")
        path = volumes.upload(bench.pool, seed, io.BytesIO(b"s" * MIB), size_bytes=MIB).path
        name = bench.define(bench.name(), cdrom=path)
        domains.eject(name, "sda")
        volumes.delete(bench.pool, seed)
        domains.start(name, timeout_s=LIMIT_S)
        assert bench.state(name) is DomainState.RUNNING

    def test_a_domain_that_boots_by_uefi_goes_with_its_variables(self, bench):
        if "efi" not in bench.hypervisor.inventory.survey(()).capabilities.firmwares:
            pytest.skip(f"{bench.uri} has no UEFI firmware")
        domains = bench.hypervisor.domains
        name = bench.start(bench.name(), firmware="efi")
        domains.destroy(name, timeout_s=LIMIT_S)
        domains.undefine(name)
        assert domains.look(name) is None

    def test_a_start_that_fails_is_not_told_as_one(self, bench):
        bench.needs("domains.start.refusals")
        ear, loud = Ear(), bench.name("-loud")
        bench.hypervisor.subscribe(ear)
        name = bench.define(bench.name(), network=NOWHERE)
        with pytest.raises(HikubeError):
            bench.hypervisor.domains.start(name, timeout_s=LIMIT_S)
        bench.start(loud)
        bench.until(lambda: HostEventKind.DOMAIN_STARTED in ear.about(loud))
        assert HostEventKind.DOMAIN_STARTED not in ear.about(name)


class TestHeirsOfConnections:
    def test_what_one_caller_gives_up_stays_open_for_the_others(self, bench):
        mine, theirs = bench.connector.connect(bench.uri), bench.connector.connect(bench.uri)
        ear = Ear()
        theirs.subscribe(ear)
        mine.close()
        name = bench.define(bench.name())
        theirs.domains.start(name, timeout_s=LIMIT_S)
        assert theirs.domains.look(name).state is DomainState.RUNNING
        bench.until(lambda: HostEventKind.DOMAIN_STARTED in ear.about(name))

    def test_a_lost_connection_stays_dead_and_the_next_caller_gets_a_living_one(self, bench):
        old, ear = bench.hypervisor, lost_connection(bench)
        with pytest.raises(HostUnreachable):
            old.domains.owned()
        name = bench.start(bench.name())
        assert name in {domain.name for domain in bench.hypervisor.domains.owned()}
        assert ear.about(name) == [], "whoever listens has to subscribe again"

    def test_domains_run_on_without_their_daemon_which_forgets_who_crashed(self, bench):
        running, crashed = bench.start(bench.name("-running")), crashed_domain(bench)
        lost_connection(bench)
        assert bench.state(running) is DomainState.RUNNING
        assert bench.state(crashed) is DomainState.OFF


def lost_connection(bench: Bench) -> Ear:
    """The daemon has died and is there again; whoever listened was told."""
    if bench.restart_daemon is None:
        pytest.skip(f"nobody can restart the daemon of {bench.uri}")
    ear = Ear()
    bench.hypervisor.subscribe(ear)
    bench.restart_daemon()
    bench.until(lambda: ear.kinds() == [HostEventKind.CONNECTION_LOST])
    return ear


def crashed_domain(bench: Bench, **parts: str) -> str:
    """A domain whose QEMU has died; its name."""
    if bench.kill is None:
        pytest.skip(f"no way is known to kill a QEMU of {bench.uri}")
    name = bench.start(bench.name(), uuid=UUID, **parts)
    bench.kill(name)
    bench.until(lambda: bench.state(name) is DomainState.CRASHED, limit_s=20)
    return name
