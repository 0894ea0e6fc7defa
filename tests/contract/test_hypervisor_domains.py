"""Domains: every sentence of drivers/hypervisor.py about them, on each implementation.

The class may be imported by a suite that has a real host: it asks for nothing but a fixture `bench`.
"""

from __future__ import annotations

import io

import pytest

from provisioner.drivers.hypervisor import DomainState
from provisioner.model.errors import Conflict, DeviceBusy, HypervisorError, InvalidInput, NotFound, Unsupported
from tests.contract.hypervisors import LIMIT_S

MIB = 1024**2


class TestDomains:
    def test_there_is_none_at_first(self, bench):
        assert bench.hypervisor.domains.look(bench.name()) is None

    def test_a_definition_is_not_a_start(self, bench):
        defined = bench.hypervisor.domains.define(bench.domain_xml(bench.name(), owner_uid="uid-7"))
        assert (defined.name, defined.owner_uid, defined.state) == (bench.name(), "uid-7", DomainState.OFF)
        assert bench.hypervisor.domains.look(bench.name()) == defined

    def test_defining_again_replaces(self, bench):
        domains = bench.hypervisor.domains
        first = domains.define(bench.domain_xml(bench.name(), owner_uid="uid-1"))
        again = domains.define(bench.domain_xml(bench.name(), owner_uid="uid-2", uuid=first.uuid))
        assert (again.uuid, again.owner_uid) == (first.uuid, "uid-2")

    def test_a_name_or_a_uuid_is_one_domains_only(self, bench):
        domains = bench.hypervisor.domains
        one, other = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
        domains.define(bench.domain_xml(bench.name("-1"), uuid=one))
        with pytest.raises((Conflict, HypervisorError)):
            domains.define(bench.domain_xml(bench.name("-1"), uuid=other))
        with pytest.raises((Conflict, HypervisorError)):
            domains.define(bench.domain_xml(bench.name("-2"), uuid=one))

    @pytest.mark.parametrize("xml", ["", "no XML", "<domain/>", "<domain type='kvm'><name>x</name></domain>", "<network/>"])
    def test_what_is_no_domain_is_refused(self, bench, xml):
        with pytest.raises(InvalidInput):
            bench.hypervisor.domains.define(xml)

    def test_an_element_that_the_schema_does_not_know_is_refused(self, bench):
        with pytest.raises(InvalidInput):
            bench.hypervisor.domains.define(bench.domain_xml(bench.name()).replace("<vcpu>", "<gpus>1</gpus><vcpu>"))
        assert bench.hypervisor.domains.look(bench.name()) is None

    def test_a_definition_asks_no_device(self, bench):
        bench.hypervisor.domains.define(bench.domain_xml(bench.name(), functions=("0000:dc:1a.0",)))
        assert bench.hypervisor.domains.look(bench.name()).functions == ("0000:dc:1a.0",)

    def test_a_device_that_does_not_exist_is_found_out_at_the_start(self, bench):
        bench.needs("devices")
        bench.define(bench.name(), functions=("0000:dc:1a.0",))
        with pytest.raises((NotFound, HypervisorError, DeviceBusy, Unsupported)):
            bench.hypervisor.domains.start(bench.name(), timeout_s=LIMIT_S)
        assert bench.state(bench.name()) is DomainState.OFF

    def test_starting_twice_is_success(self, bench):
        name = bench.start(bench.name())
        bench.hypervisor.domains.start(name, timeout_s=LIMIT_S)
        assert bench.state(name) is DomainState.RUNNING

    def test_only_what_is_defined_can_start(self, bench):
        with pytest.raises(NotFound):
            bench.hypervisor.domains.start(bench.name(), timeout_s=LIMIT_S)

    def test_stopping_hard(self, bench):
        name = bench.start(bench.name())
        for _ in range(2):
            bench.hypervisor.domains.destroy(name, timeout_s=LIMIT_S)
            assert bench.state(name) is DomainState.OFF

    def test_there_is_nothing_to_stop_where_nothing_runs(self, bench):
        name = bench.define(bench.name())
        for domain in (name, bench.name("-absent")):
            bench.hypervisor.domains.shutdown(domain)
            bench.hypervisor.domains.destroy(domain, timeout_s=LIMIT_S)
        assert bench.state(name) is DomainState.OFF

    def test_asking_a_guest_to_power_off_returns_at_once(self, bench):
        name = bench.start(bench.name())
        bench.hypervisor.domains.shutdown(name)
        bench.hypervisor.domains.shutdown(name)
        assert bench.state(name) in {DomainState.RUNNING, DomainState.OFF}

    def test_a_definition_goes_twice(self, bench):
        name = bench.define(bench.name())
        for _ in range(2):
            bench.hypervisor.domains.undefine(name)
            assert bench.hypervisor.domains.look(name) is None

    def test_a_running_domain_keeps_its_definition(self, bench):
        name = bench.start(bench.name())
        with pytest.raises((Conflict, HypervisorError)):
            bench.hypervisor.domains.undefine(name)
        bench.hypervisor.domains.destroy(name, timeout_s=LIMIT_S)
        assert bench.state(name) is DomainState.OFF

    def test_ours_is_what_bears_the_mark_whatever_its_name(self, bench):
        ours = bench.define(bench.name("-ours"), owner_uid="uid-9")
        foreign = bench.define(bench.name("-foreign"), owner_uid="")
        owned = {domain.name: domain.owner_uid for domain in bench.hypervisor.domains.owned()}
        assert owned.get(ours) == "uid-9"
        assert foreign not in owned
        assert bench.hypervisor.domains.look(foreign).owner_uid == ""
        bench.hypervisor.domains.undefine(foreign)

    def test_a_qemu_that_died_is_a_crash_and_can_be_started_again(self, bench):
        if bench.kill is None:
            pytest.skip(f"no way is known to kill a QEMU of {bench.uri}")
        name = bench.start(bench.name())
        bench.kill(name)
        bench.until(lambda: bench.state(name) is DomainState.CRASHED, limit_s=20)
        bench.hypervisor.domains.start(name, timeout_s=LIMIT_S)
        assert bench.state(name) is DomainState.RUNNING

    def test_a_seed_is_ejected_for_good(self, bench):
        bench.needs("volumes.upload", "domains.eject")
        domains, volumes, seed = bench.hypervisor.domains, bench.hypervisor.volumes, bench.name("-seed.iso")
        path = volumes.upload(bench.pool, seed, io.BytesIO(b"s" * MIB), size_bytes=MIB).path
        name = bench.start(bench.name(), cdrom=path)
        for _ in range(2):
            domains.eject(name, "sda")
        volumes.delete(bench.pool, seed)
        domains.destroy(name, timeout_s=LIMIT_S)
        domains.start(name, timeout_s=LIMIT_S)  # a definition that still named the seed could not start any more
        assert bench.state(name) is DomainState.RUNNING

    def test_an_empty_drive_is_success_and_a_missing_one_is_not_found(self, bench):
        bench.needs("domains.eject")
        name = bench.start(bench.name(), has_cdrom=True)
        bench.hypervisor.domains.eject(name, "sda")
        with pytest.raises(NotFound):
            bench.hypervisor.domains.eject(name, "sdq")
        with pytest.raises(NotFound):
            bench.hypervisor.domains.eject(bench.name("-absent"), "sda")

    def test_a_domain_needs_its_disk(self, bench):
        bench.needs("volumes.upload")
        volumes, disk = bench.hypervisor.volumes, bench.name("-disk.qcow2")
        path = volumes.create(bench.pool, disk, size_bytes=MIB).path
        name = bench.define(bench.name(), disk=path)
        volumes.delete(bench.pool, disk)
        with pytest.raises((HypervisorError, NotFound)):
            bench.hypervisor.domains.start(name, timeout_s=LIMIT_S)
        assert bench.state(name) is DomainState.OFF

    def test_who_does_not_run_has_no_address(self, bench):
        name = bench.define(bench.name())
        assert bench.hypervisor.domains.addresses(name, mac_address="52:54:00:00:00:01") == ()
        assert bench.hypervisor.domains.addresses(bench.name("-absent"), mac_address="52:54:00:00:00:01") == ()
