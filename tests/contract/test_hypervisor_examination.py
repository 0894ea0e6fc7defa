"""The look at a host from inside: every sentence of drivers/hypervisor.py about it, on each implementation.

The class may be imported by a suite that has a real host: it asks for nothing but a fixture `bench`.
"""

from __future__ import annotations

import pytest

from tests.contract.hypervisors import LIMIT_S
from tests.contract.test_hypervisor_devices import ABSENT_FUNCTION, VFIO, bind_group


class TestExamination:
    @pytest.fixture
    def gpu(self, bench):
        spare = bench.spare_gpu()
        if not bench.hypervisor.inventory.examine([], timeout_s=LIMIT_S).is_known:
            pytest.skip(f"{bench.uri} cannot be looked into")
        yield spare
        for function in (spare.function, *spare.companions):
            bench.hypervisor.devices.restore(function.address, driver=function.driver, timeout_s=LIMIT_S)

    def test_it_says_how_the_host_was_asked_or_why_it_could_not_be(self, bench):
        found = bench.hypervisor.inventory.examine([], timeout_s=LIMIT_S)
        assert bool(found.source) != bool(found.why_not)
        assert found.functions == ()
        assert bool(found.boot_id) == bool(found.kernel_release) == found.is_known

    def test_the_whole_group_comes_and_what_is_not_there_is_left_out(self, bench, gpu):
        found = bench.hypervisor.inventory.examine([gpu.address, ABSENT_FUNCTION], timeout_s=LIMIT_S)
        endpoints = [function for function in found.functions if not function.is_bridge]
        assert sorted(each.address for each in endpoints) == sorted([gpu.address, *(each.address for each in gpu.companions)])
        assert {each.group_members for each in endpoints} == {tuple(each.address for each in found.functions)}
        assert {each.iommu_group for each in found.functions} == {gpu.iommu_group}

    def test_it_agrees_with_the_survey(self, bench, gpu):
        found = bench.hypervisor.inventory.examine([gpu.address], timeout_s=LIMIT_S).function(gpu.address)
        function = gpu.function
        assert (found.vendor, found.device, found.pci_class) == (function.vendor, function.device, function.pci_class)
        assert (found.driver, found.numa_node, found.parent) == (function.driver, gpu.numa_node, gpu.pcie_parent)
        assert found.link_width == gpu.link_width

    def test_a_healthy_gpu_shows_what_passthrough_needs(self, bench, gpu):
        found = bench.hypervisor.inventory.examine([gpu.address], timeout_s=LIMIT_S)
        device = found.function(gpu.address)
        assert found.interrupt_remapping
        assert found.iommu_units
        assert found.iommu_address_width_bits >= 39
        assert found.has_vfio_module
        assert device.config_alive
        assert device.reset_methods
        assert (device.holders, device.virtual_functions, device.driver_override) == ((), 0, "")
        assert device.bars
        assert all(bar.size_bytes & (bar.size_bytes - 1) == 0 and bar.start % bar.size_bytes == 0 for bar in device.bars)

    def test_it_changes_nothing_and_looks_the_same_twice(self, bench, gpu):
        first, second = (bench.hypervisor.inventory.examine([gpu.address], timeout_s=LIMIT_S) for _ in range(2))
        assert first.functions == second.functions
        assert first.boot_id == second.boot_id
        assert bench.hypervisor.devices.functions([gpu.address]) == (gpu.function,)

    def test_a_running_domain_is_named_as_the_holder_of_its_group(self, bench, gpu):
        addresses = bind_group(bench, gpu)
        name = bench.start(bench.name(), functions=addresses)
        found = bench.hypervisor.inventory.examine(addresses, timeout_s=LIMIT_S)
        for address in addresses:
            (holder,) = {each.pid: each for each in found.function(address).holders}.values()
            assert holder.pid > 0
            assert holder.command.startswith("qemu")
            assert name in holder.command
            assert holder.path.startswith("/dev/vfio/")
        bench.hypervisor.domains.destroy(name, timeout_s=LIMIT_S)
        after = bench.hypervisor.inventory.examine(addresses, timeout_s=LIMIT_S)
        assert [(each.holders, each.driver) for each in after.functions if not each.is_bridge] == [((), VFIO)] * len(addresses)
