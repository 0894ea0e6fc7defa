"""The report of a simulated guest: what the report command would print in it right now."""

from __future__ import annotations

from provisioner.drivers.simulated.function_state import FunctionState
from provisioner.drivers.simulated.state import Boot, DomainConfig, DomainRecord, GuestBehaviour, HostState
from provisioner.drivers.simulated.world import World
from provisioner.model.guest_report import CloudInitState, GuestFunction, GuestReport, NvidiaGpu, NvidiaState, Xid

NVIDIA = "10de"
_DISPLAY = "03"
_NETWORK_CARD = GuestFunction(address="0000:00:05.0", vendor="1af4", device="1041", pci_class="020000", driver="virtio-pci")


def report_of(state: HostState, record: DomainRecord, behaviour: GuestBehaviour, *, world: World) -> GuestReport:
    """What the guest of a running domain, whose SSH answers, says about itself."""
    live, boot, now_s = record.live, record.boot, world.clock.now_s()
    if live is None or boot is None:
        raise AssertionError("only a running guest is asked")
    cloud_init = _cloud_init(boot, behaviour, now_s=now_s)
    is_installed = bool(behaviour.nvidia_driver) and cloud_init.status in {"done", "degraded"}
    passed = _passed(state, live, missing_gpus=behaviour.missing_gpus)
    nodes = {device.guest_address: device.numa_node for device in live.devices}
    return GuestReport(
        boot_id=boot.id,
        hostname=live.name,
        kernel="6.12.0-simulated",
        uptime_s=now_s - boot.started_s,
        memory_mib=live.memory_mib,
        cpus=live.vcpus,
        cloud_init=cloud_init,
        functions=(
            _NETWORK_CARD,
            *(_function(address, f, numa_node=nodes[address], is_installed=is_installed) for address, f in passed),
        ),
        nvidia=_nvidia(state, passed, behaviour, is_installed=is_installed, world=world),
    )


def _cloud_init(boot: Boot, behaviour: GuestBehaviour, *, now_s: float) -> CloudInitState:
    if boot.cloud_init_s is None or now_s < boot.cloud_init_s or behaviour.cloud_init == "hangs":
        return CloudInitState(status="running", output_tail="Cloud-init running 'modules:final'")
    if behaviour.cloud_init == "error":
        return CloudInitState(
            status="error", errors=("('scripts_user', RuntimeError('1 of 1 scripts failed'))",), output_tail="failed"
        )
    return CloudInitState(status=behaviour.cloud_init)


def _passed(state: HostState, live: DomainConfig, *, missing_gpus: int) -> list[tuple[str, FunctionState]]:
    """Guest address and function of each that shows up in the guest."""
    found = [
        (device.guest_address, state.functions[device.host_address])
        for device in live.devices
        if state.functions[device.host_address].is_present
    ]
    gpus = [function.address for _, function in found if function.pci_class.startswith(_DISPLAY)]
    hidden = set(gpus[len(gpus) - missing_gpus :]) if missing_gpus else set()
    return [(address, function) for address, function in found if function.address not in hidden]


def _function(address: str, function: FunctionState, *, numa_node: int | None, is_installed: bool) -> GuestFunction:
    has_nvidia = function.vendor == NVIDIA and function.pci_class.startswith(_DISPLAY)
    native = "" if has_nvidia else function.native_driver
    return GuestFunction(
        address=address,
        vendor=function.vendor,
        device=function.device,
        pci_class=function.pci_class,
        driver="nvidia" if has_nvidia and is_installed else native,
        numa_node=numa_node,
    )


def _nvidia(
    state: HostState, passed: list[tuple[str, FunctionState]], behaviour: GuestBehaviour, *, is_installed: bool, world: World
) -> NvidiaState:
    gpus = [(address, f) for address, f in passed if f.vendor == NVIDIA and f.pci_class.startswith(_DISPLAY)]
    if not is_installed:
        return NvidiaState()
    if not gpus:
        return NvidiaState(error="NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.")
    rows = tuple(
        NvidiaGpu(
            uuid=f"GPU-{world.chance.uuid('gpu', state.name, function.address)}",
            name=function.product,
            address=address,
            serial=str(int.from_bytes(world.chance.digest("serial", state.name, function.address)[:5], "big")),
            driver_version=behaviour.nvidia_driver,
            memory_mib=function.memory_mib,
            ecc_mode="Enabled",
            vbios="96.00.74.00.11",
            temperature_c=38,
            ecc_uncorrected_volatile=0,
            ecc_uncorrected_aggregate=0,
            row_remap_pending=False,
            row_remap_failure=False,
            pcie_link_gen=4,
            pcie_link_width=function.link_width,
        )
        for address, function in gpus
    )
    xids = tuple(Xid(code=function.xid, address=address, text="simulated") for address, function in gpus if function.xid)
    return NvidiaState(driver_loaded=True, driver_version=behaviour.nvidia_driver, nvidia_smi=True, gpus=rows, xids=xids)
