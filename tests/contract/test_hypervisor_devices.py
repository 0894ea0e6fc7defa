"""Devices: every sentence of drivers/hypervisor.py about them, on each implementation that has a device to spare.

The class may be imported by a suite that has a real host: it asks for nothing but a fixture `bench`.
"""

from __future__ import annotations

import pytest

from provisioner.drivers.hypervisor import DomainState
from provisioner.model.errors import DeviceBusy, HypervisorError, NotFound, Unsupported
from tests.contract.hypervisors import LIMIT_S

VFIO = "vfio-pci"
ABSENT_FUNCTION = "00fe:dc:1a.0"


class TestDevices:
    @pytest.fixture
    def gpu(self, bench):
        spare = bench.spare_gpu()
        yield spare
        for function in (spare.function, *spare.companions):
            bench.hypervisor.devices.restore(function.address, driver=function.driver, timeout_s=LIMIT_S)

    def test_functions_are_shown_in_the_order_asked(self, bench, gpu):
        addresses = [*(companion.address for companion in gpu.companions), gpu.address]
        shown = bench.hypervisor.devices.functions(addresses)
        assert [function.address for function in shown] == addresses
        assert shown[-1].id == gpu.function.id

    def test_a_function_that_is_not_there_is_not_found(self, bench, gpu):
        with pytest.raises(NotFound):
            bench.hypervisor.devices.functions([gpu.address, ABSENT_FUNCTION])
        with pytest.raises(NotFound):
            bench.hypervisor.devices.bind_vfio(ABSENT_FUNCTION, timeout_s=LIMIT_S)
        with pytest.raises(NotFound):
            bench.hypervisor.devices.restore(ABSENT_FUNCTION, driver="", timeout_s=LIMIT_S)
        with pytest.raises(NotFound):
            bench.hypervisor.devices.reset(ABSENT_FUNCTION, timeout_s=LIMIT_S)

    def test_binding_twice_and_going_home_twice(self, bench, gpu):
        devices = bench.hypervisor.devices
        for _ in range(2):
            devices.bind_vfio(gpu.address, timeout_s=LIMIT_S)
            assert devices.functions([gpu.address])[0].driver == VFIO
        for _ in range(2):
            devices.restore(gpu.address, driver=gpu.function.driver, timeout_s=LIMIT_S)
            assert devices.functions([gpu.address])[0].driver == gpu.function.driver

    def test_a_function_that_was_on_vfio_before_stays_there(self, bench, gpu):
        devices = bench.hypervisor.devices
        devices.bind_vfio(gpu.address, timeout_s=LIMIT_S)
        devices.restore(gpu.address, driver=VFIO, timeout_s=LIMIT_S)
        assert devices.functions([gpu.address])[0].driver == VFIO

    def test_a_free_function_can_be_reset_by_a_method_of_the_kernels(self, bench, gpu):
        bind_group(bench, gpu)
        method = bench.hypervisor.devices.reset(gpu.address, timeout_s=LIMIT_S)
        look = bench.hypervisor.inventory.examine([gpu.address], timeout_s=LIMIT_S)
        assert method == "" if not look.is_known else method in look.function(gpu.address).reset_methods
        assert not look.is_known or look.function(gpu.address).config_alive
        assert bench.hypervisor.devices.functions([gpu.address])[0].driver == VFIO

    def test_a_function_that_the_host_uses_itself_is_neither_reset_nor_scrubbed(self, bench, gpu):
        if not gpu.function.driver or not bench.hypervisor.inventory.examine([], timeout_s=LIMIT_S).is_known:
            pytest.skip(f"nobody can tell whether {gpu.address} on {bench.uri} is in use")
        with pytest.raises(DeviceBusy, match=gpu.function.driver):
            bench.hypervisor.devices.reset(gpu.address, timeout_s=LIMIT_S)
        with pytest.raises(DeviceBusy, match=gpu.function.driver):
            bench.hypervisor.devices.scrub(gpu.address, command="true", timeout_s=LIMIT_S)
        assert bench.hypervisor.devices.functions([gpu.address])[0].driver == gpu.function.driver

    def test_the_operators_command_is_run_for_a_free_function(self, bench, gpu):
        devices = bench.hypervisor.devices
        if not bench.hypervisor.inventory.examine([], timeout_s=LIMIT_S).is_known:
            with pytest.raises(Unsupported):
                devices.scrub(gpu.address, command="true", timeout_s=LIMIT_S)
            return
        devices.bind_vfio(gpu.address, timeout_s=LIMIT_S)
        result = devices.scrub(gpu.address, command="test -e /sys/bus/pci/devices/{address}", timeout_s=LIMIT_S)
        assert (result.exit_status, result.output_tail) == (0, "")

    def test_an_override_is_given_back_as_it_was(self, bench, gpu):
        devices, inventory = bench.hypervisor.devices, bench.hypervisor.inventory
        if not inventory.examine([], timeout_s=LIMIT_S).is_known:
            pytest.skip(f"overrides cannot be seen on {bench.uri}")
        for driver, override in ((VFIO, VFIO), (VFIO, ""), (gpu.function.driver, "")):
            devices.restore(gpu.address, driver=driver, override=override, timeout_s=LIMIT_S)
            now = inventory.examine([gpu.address], timeout_s=LIMIT_S).function(gpu.address)
            assert (now.driver, now.driver_override) == (driver, override)

    def test_what_a_running_domain_has_is_not_touched(self, bench, gpu):
        devices, addresses = bench.hypervisor.devices, bind_group(bench, gpu)
        bench.start(bench.name(), functions=addresses)
        with pytest.raises(DeviceBusy):
            devices.restore(gpu.address, driver=gpu.function.driver or "pci-stub", timeout_s=LIMIT_S)
        with pytest.raises(DeviceBusy):
            devices.reset(gpu.address, timeout_s=LIMIT_S)
        with pytest.raises((DeviceBusy, Unsupported)):
            devices.scrub(gpu.address, command="true", timeout_s=LIMIT_S)
        assert devices.functions([gpu.address])[0].driver == VFIO
        bench.clean()

    def test_a_domain_does_not_start_with_a_function_on_its_own_driver(self, bench, gpu):
        bench.define(bench.name(), functions=(gpu.address,))
        with pytest.raises(DeviceBusy):
            bench.hypervisor.domains.start(bench.name(), timeout_s=LIMIT_S)
        assert bench.state(bench.name()) is DomainState.OFF

    def test_a_domain_does_not_start_while_a_member_of_the_group_is_on_its_own_driver(self, bench, gpu):
        native = [companion for companion in gpu.companions if companion.driver not in {"", VFIO}]
        if not native:
            pytest.skip(f"{gpu.address} on {bench.uri} has no companion on a driver of its own")
        bench.hypervisor.devices.bind_vfio(gpu.address, timeout_s=LIMIT_S)
        bench.define(bench.name(), functions=(gpu.address,))
        with pytest.raises((DeviceBusy, HypervisorError)) as caught:
            bench.hypervisor.domains.start(bench.name(), timeout_s=LIMIT_S)
        assert "not viable" in caught.value.why
        assert bench.state(bench.name()) is DomainState.OFF

    def test_a_function_belongs_to_one_running_domain(self, bench, gpu):
        addresses = bind_group(bench, gpu)
        domains = bench.hypervisor.domains
        first = bench.start(bench.name("-1"), functions=addresses)
        second = bench.define(bench.name("-2"), functions=addresses)
        with pytest.raises(DeviceBusy) as caught:
            domains.start(second, timeout_s=LIMIT_S)
        assert first in caught.value.why
        domains.destroy(first, timeout_s=LIMIT_S)
        domains.start(second, timeout_s=LIMIT_S)
        assert bench.state(second) is DomainState.RUNNING
        bench.clean()

    def test_a_member_of_a_group_in_use_belongs_to_nobody_else(self, bench, gpu):
        addresses = bind_group(bench, gpu)
        if len(addresses) < 2:
            pytest.skip(f"{gpu.address} on {bench.uri} is alone in its group")
        bench.start(bench.name("-1"), functions=addresses[:1])
        second = bench.define(bench.name("-2"), functions=addresses[1:])
        with pytest.raises(DeviceBusy):
            bench.hypervisor.domains.start(second, timeout_s=LIMIT_S)
        bench.clean()

    def test_a_stopped_domain_leaves_its_functions_on_vfio(self, bench, gpu):
        addresses = bind_group(bench, gpu)
        name = bench.start(bench.name(), functions=addresses)
        assert set(bench.hypervisor.domains.look(name).functions) == set(addresses)
        bench.hypervisor.domains.destroy(name, timeout_s=LIMIT_S)
        assert all(function.driver == VFIO for function in bench.hypervisor.devices.functions(addresses))


def bind_group(bench, gpu) -> tuple[str, ...]:
    """Every function of the GPU's group, all of them on vfio-pci."""
    addresses = (gpu.address, *(companion.address for companion in gpu.companions))
    for address in addresses:
        bench.hypervisor.devices.bind_vfio(address, timeout_s=LIMIT_S)
    return addresses
