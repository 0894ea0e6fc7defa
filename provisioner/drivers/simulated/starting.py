"""What libvirt, QEMU and the kernel check when a domain starts, in their order and with their words.

define() checks none of this; that two stopped domains name the same GPU is fine until the second one starts.
"""

from __future__ import annotations

from provisioner.drivers.simulated.booting import find_volume
from provisioner.drivers.simulated.function_state import FunctionState
from provisioner.drivers.simulated.huge_pages import has_pages
from provisioner.drivers.simulated.state import DomainConfig, HostState, NetworkInterface, VolumeState
from provisioner.model.errors import Conflict, DeviceBusy, HikubeError, HypervisorError, NotFound, Unsupported

VFIO = "vfio-pci"
_BESIDE_VFIO = frozenset({VFIO, "pci-stub", "pcieport", ""})
"""Drivers that a member of a group may have while another member is open through VFIO."""


def check(state: HostState, config: DomainConfig) -> None:
    """Refuse to start what cannot run.

    Raises:
        DeviceBusy: a passed function, or a member of its group, is in use or on another driver than vfio-pci.
        Unsupported: the CPU mode does not exist for this kind of domain, or the host lacks the firmware, or cannot pass this
            function, or any.
        NotFound, Conflict: a network is missing, or not active.
        HypervisorError: a function or a volume is missing, or memory is short.
    """
    _check_cpu(config)
    _check_firmware(state, config)
    for interface in config.interfaces:
        _check_interface(state, config, interface)
    if config.devices and not any(function.iommu_group is not None for function in state.functions.values()):
        why = "unsupported configuration: host doesn't support passthrough of host PCI devices"
        raise Unsupported(f"Domain {config.name} cannot start", why=why)
    functions = [_function(state, config, device.host_address) for device in config.devices]
    for function in functions:
        _check_free(state, config, function)
    for function in functions:
        _check_driver(config, function)
    for disk in config.disks:
        if not disk.is_empty:
            found = find_volume(state, disk)
            _check_volume(state, config, None if found is None else found[1], named=disk.path or f"{disk.pool}/{disk.volume}")
            if found is not None and not disk.is_cdrom:
                _check_lock(state, config, found[1])
    _check_memory(state, config)
    for function in functions:
        _check_group(state, config, function)


def _check_cpu(config: DomainConfig) -> None:
    if config.domain_type != "kvm" and config.cpu_mode == "host-passthrough":
        raise Unsupported(
            f"Domain {config.name} cannot start",
            why="CPU mode 'host-passthrough' for x86_64 qemu domain on x86_64 host is not supported by hypervisor",
        )


def _check_interface(state: HostState, config: DomainConfig, interface: NetworkInterface) -> None:
    if interface.network:
        _check_network(state, config, interface.network)
    elif interface.source not in state.wires.interfaces:
        why = f"Cannot get interface MTU on '{interface.source}': No such device"
        raise _refusal(config, why)
    if interface.filter_name and interface.filter_name not in state.wires.filters:
        raise _refusal(config, f"internal error: referenced filter '{interface.filter_name}' is missing")


def _check_firmware(state: HostState, config: DomainConfig) -> None:
    if config.firmware not in state.firmwares:
        why = f"operation failed: Unable to find '{config.firmware}' firmware that is compatible with the current configuration"
        raise Unsupported(f"Domain {config.name} cannot start", why=why)


def _check_network(state: HostState, config: DomainConfig, network: str) -> None:
    if network not in state.networks:
        why = f"Network not found: no network with matching name '{network}'"
        raise NotFound(f"Domain {config.name} cannot start", why=why)
    if not state.networks[network]:
        raise Conflict(f"Domain {config.name} cannot start", why=f"network '{network}' is not active")


def _function(state: HostState, config: DomainConfig, address: str) -> FunctionState:
    function = state.functions.get(address)
    if function is None or not function.is_present:
        raise _refusal(config, f"Device {address} not found: could not access /sys/bus/pci/devices/{address}/config")
    if not function.config_alive:
        raise _refusal(config, f"internal error: Unknown PCI header type '127' for device '{address}'")
    if function.is_bridge:
        why = f"Non-endpoint PCI devices cannot be assigned to guests: {address}"
        raise Unsupported(f"Domain {config.name} cannot start", why=why)
    return function


def _check_free(state: HostState, config: DomainConfig, function: FunctionState) -> None:
    for member in state.group_of(function):
        user = state.user_of(member.address)
        if user and user != config.name:
            raise _busy(
                config,
                function,
                f"Requested operation is not valid: PCI device {member.address} is in use by driver QEMU, domain {user}",
            )


def _check_driver(config: DomainConfig, function: FunctionState) -> None:
    if function.driver != VFIO:
        raise _busy(config, function, f"Unmanaged PCI device {function.address} must be manually detached from the host")


def _check_volume(state: HostState, config: DomainConfig, volume: VolumeState | None, *, named: str) -> None:
    if volume is None:
        raise _refusal(config, f"Cannot access storage file '{named}': No such file or directory")
    if volume.base:
        pool = next(pool for pool in state.pools.values() if pool.volumes.get(volume.name) is volume)
        _check_volume(state, config, pool.volumes.get(volume.base), named=f"{pool.path}/{volume.base}")


def _check_lock(state: HostState, config: DomainConfig, volume: VolumeState) -> None:
    """QEMU locks what it writes to; what lies below an overlay it only reads."""
    for _, live in state.running():
        for disk in live.disks:
            found = None if disk.is_cdrom or disk.is_empty else find_volume(state, disk)
            if found is not None and found[1] is volume:
                raise _refusal(config, 'Failed to get "write" lock: is another process using the image?', volume=volume.name)


def _check_memory(state: HostState, config: DomainConfig) -> None:
    if not has_pages(state, config):
        why = "process exited while connecting to monitor: unable to map backing store for guest RAM: Cannot allocate memory"
        raise _refusal(config, why, hugepage_kib=config.hugepage_kib)
    taken = sum(live.memory_mib for _, live in state.running())
    if taken + config.memory_mib > state.memory_mib:
        raise _refusal(
            config,
            "process exited while connecting to monitor: cannot set up guest memory 'pc.ram': Cannot allocate memory",
            needed_mib=config.memory_mib,
            free_mib=state.memory_mib - taken,
        )


def _check_group(state: HostState, config: DomainConfig, function: FunctionState) -> None:
    for member in state.group_of(function):
        if member.driver not in _BESIDE_VFIO:
            raise _busy(
                config,
                function,
                f"vfio {function.address}: group {function.iommu_group} is not viable; "
                "Please ensure all devices within the iommu_group are bound to their vfio bus driver.",
                member=member.address,
                driver=member.driver,
            )
        if member.holder:
            raise _busy(
                config,
                function,
                f"vfio {function.address}: failed to open /dev/vfio/{function.iommu_group}: Device or resource busy",
            )


def _refusal(config: DomainConfig, why: str, **context: object) -> HypervisorError:
    return HypervisorError(f"Domain {config.name} cannot start", why=why, context={"domain": config.name, **context})


def _busy(config: DomainConfig, function: FunctionState, why: str, **context: object) -> HikubeError:
    facts = {"domain": config.name, "address": function.address, **context}
    return DeviceBusy(f"Domain {config.name} cannot start", why=why, context=facts)
