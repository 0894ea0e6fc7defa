"""Connections and the inventory: every sentence of drivers/hypervisor.py about them, on each implementation.

The class may be imported by a suite that has a real host: it asks for nothing but a fixture `bench`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from provisioner.model.errors import HostUnreachable, InvalidInput
from provisioner.model.gpu_host import GpuRule

MIB = 1024**2


class TestConnector:
    def test_a_living_connection_is_shared(self, bench):
        first, second = (bench.connector.connect(bench.uri) for _ in range(2))
        first.domains.define(bench.domain_xml(bench.name()))
        assert second.domains.look(bench.name()) == first.domains.look(bench.name())

    def test_closing_twice_is_fine_and_the_next_caller_gets_a_working_one(self, bench):
        bench.hypervisor.close()
        bench.hypervisor.close()
        assert bench.hypervisor.inventory.survey(()).reachable

    @pytest.mark.parametrize("uri", ["", "nonsense", "qemo+ssh://host/system", "simulated:"])
    def test_a_uri_that_cannot_be_understood_is_invalid(self, bench, uri):
        with pytest.raises(InvalidInput):
            bench.connector.connect(uri)

    def test_nobody_answers(self, bench):
        if not bench.dead_uri:
            pytest.skip(f"no address is known to be dead for {bench.uri}")
        with pytest.raises(HostUnreachable):
            bench.connector.connect(bench.dead_uri)

    def test_several_threads_may_use_one_connection(self, bench):
        hypervisor, names = bench.hypervisor, [bench.name(f"-{n}") for n in range(8)]

        def live(name: str) -> bool:
            hypervisor.domains.define(bench.domain_xml(name, owner_uid=name))
            hypervisor.volumes.create(bench.pool, name, size_bytes=MIB)
            found = hypervisor.domains.look(name)
            return found is not None and found.owner_uid == name

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(live, names))
        assert {domain.name for domain in hypervisor.domains.owned()} >= set(names)


class TestInventory:
    def test_it_says_what_the_host_has(self, bench):
        status = bench.hypervisor.inventory.survey(bench.rules)
        assert status.reachable
        assert status.cpus > 0
        assert status.memory_mib > 0
        assert status.hostname
        assert status.capabilities.libvirt_version
        pool = next(pool for pool in status.storage_pools if pool.name == bench.pool)
        assert pool.active
        assert pool.path.startswith("/")
        if bench.network:
            assert any(network.name == bench.network and network.active for network in status.networks)

    def test_what_is_the_callers_is_left_alone(self, bench):
        status = bench.hypervisor.inventory.survey(bench.rules)
        assert status.kvm.works is None
        assert status.quarantined == ()
        assert status.conditions == ()

    def test_it_starts_nothing(self, bench):
        before = bench.hypervisor.domains.owned()
        bench.hypervisor.inventory.survey(bench.rules)
        assert bench.hypervisor.domains.owned() == before

    def test_the_same_host_looks_the_same_twice(self, bench):
        first, second = (bench.hypervisor.inventory.survey(bench.rules) for _ in range(2))
        assert first.gpus == second.gpus
        assert first.host_uuid == second.host_uuid
        assert first.numa_nodes == second.numa_nodes

    def test_no_rule_no_gpu(self, bench):
        assert bench.hypervisor.inventory.survey(()).gpus == ()
        assert bench.hypervisor.inventory.survey((GpuRule(vendor="ffff"),)).gpus == ()

    def test_a_gpu_comes_with_its_group(self, bench):
        spare = bench.spare_gpu()
        (gpu,) = bench.hypervisor.inventory.survey((GpuRule(addresses=(spare.address,)),)).gpus
        assert gpu.name == gpu.function.id == f"{gpu.function.vendor}:{gpu.function.device}"
        assert gpu.address not in {companion.address for companion in gpu.companions}
        assert not any(companion.is_bridge for companion in gpu.companions)

    def test_proving_kvm_gives_a_verdict_and_leaves_nothing_behind(self, bench):
        bench.needs("inventory.prove_kvm")
        hypervisor = bench.hypervisor
        before = hypervisor.domains.owned(), hypervisor.volumes.list(bench.pool)
        verdict = hypervisor.inventory.prove_kvm(timeout_s=30)
        assert verdict.works in {True, False}
        assert verdict.works or verdict.message
        assert (hypervisor.domains.owned(), hypervisor.volumes.list(bench.pool)) == before
