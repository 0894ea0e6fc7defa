"""The QEMU command line of one host in a box. Pure: a LabHost and paths in, arguments out.

    q35, virtual Intel IOMMU (it must be the first device)
      ├── disk, network, entropy                      on the main PCIe root
      └── root port per stand-in                      on the main root, or on the pxb-pcie of its NUMA node;
            │                                         without ACS: slots of one conventional bus below a bridge
            ├── function 0: bochs-display or nvme     the "GPU"
            └── function 1: ich9-intel-hda            its audio companion, in the same IOMMU group

caching-mode must be on for VFIO inside. There is no VGA, so that the only display devices are stand-ins.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provisioner.lab.topology import LabHost, StandIn, StandInModel

KERNEL_COMMAND_LINE = (
    "console=ttyS0 quiet panic=1 intel_iommu=on iommu=pt net.ifnames=0 mitigations=off lsm=capability audit=0 nowatchdog "
    "transparent_hugepage=always systemd.show_status=false TERM=dumb"
)
# A periodic tick, because on a busy machine timers of emulated hosts were seen to stop. A one-shot timer whose interrupt is
# lost is never set again; a periodic one comes again 4 ms later. How it is lost is not proven: do_vmexit of QEMU 10.0 changes a
# CPU's pending interrupts without the lock, which may be it. Later QEMUs assert that lock, and abort under nested UEFI.
EMULATION_COMMAND_LINE = "nohz=off highres=off"
FIRST_EXPANDER_BUS = 64
BUSES_PER_EXPANDER = 32
# Where root ports go on their bus: above what QEMU places by itself.
FIRST_PORT_SLOT = 8


@dataclass(frozen=True, slots=True)
class MachineFiles:
    """What a machine is started from, and what it writes."""

    kernel: Path
    initramfs: Path
    disk: Path
    host_key: Path
    authorized_keys: Path
    host_name: Path
    serial_log: Path
    monitor_socket: Path


def machine_arguments(host: LabHost, files: MachineFiles, *, kvm: bool, ssh_port: int) -> list[str]:
    """QEMU's arguments after its own name. SSH is forwarded from 127.0.0.1:`ssh_port` only."""
    return [
        *("-name", f"hikube-lab-{host.name}", "-nodefaults", "-no-user-config", "-no-reboot"),
        *("-display", "none", "-vga", "none"),
        *_processor(host, kvm=kvm),
        *("-device", "intel-iommu,intremap=on,caching-mode=on,device-iotlb=on"),
        *("-kernel", str(files.kernel), "-initrd", str(files.initramfs), "-append", _command_line(kvm=kvm)),
        *("-drive", f"file={_escaped(files.disk)},if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap"),
        *("-device", "virtio-blk-pci,drive=disk,addr=02.0"),
        *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{ssh_port}-:22"),
        *("-device", "virtio-net-pci,netdev=net,romfile=,addr=03.0"),
        *("-device", "virtio-rng-pci,addr=04.0"),
        *_expanders(host),
        *_bridge(host),
        *(argument for index, gpu in enumerate(host.gpus) for argument in _stand_in(index, gpu, acs=host.acs)),
        *_identity(files),
        *("-serial", f"file:{files.serial_log}"),
        *("-qmp", f"unix:{files.monitor_socket},server=on,wait=off"),
    ]


def _command_line(*, kvm: bool) -> str:
    return KERNEL_COMMAND_LINE if kvm else f"{KERNEL_COMMAND_LINE} {EMULATION_COMMAND_LINE}"


def _processor(host: LabHost, *, kvm: bool) -> list[str]:
    accelerator, model = ("kvm", "host") if kvm else ("tcg,thread=multi", "max,+svm")
    arguments = [
        *("-machine", "q35,kernel-irqchip=split", "-accel", accelerator, "-cpu", model),
        *("-m", f"{host.memory_mib}M", "-smp", str(host.vcpus)),
    ]
    for node in range(host.numa_nodes if host.numa_nodes > 1 else 0):
        memory_mib = _share(host.memory_mib, node, host.numa_nodes)
        first = sum(_share(host.vcpus, earlier, host.numa_nodes) for earlier in range(node))
        last = first + _share(host.vcpus, node, host.numa_nodes) - 1
        arguments += [
            *("-object", f"memory-backend-ram,id=memory{node},size={memory_mib}M"),
            *("-numa", f"node,nodeid={node},cpus={first}-{last},memdev=memory{node}"),
        ]
    return arguments


def _share(total: int, index: int, parts: int) -> int:
    return total // parts + (1 if index < total % parts else 0)


def _expanders(host: LabHost) -> list[str]:
    if host.numa_nodes == 1:
        return []
    nodes = sorted({gpu.numa_node for gpu in host.gpus if gpu.numa_node is not None})
    return [
        argument
        for node in nodes
        for argument in (
            "-device",
            f"pxb-pcie,id=node{node},bus=pcie.0,addr={5 + node:02x}.0,numa_node={node},"
            f"bus_nr={FIRST_EXPANDER_BUS + node * BUSES_PER_EXPANDER}",
        )
    ]


def _bridge(host: LabHost) -> list[str]:
    """A conventional bus has no ACS: nothing on it is isolated from anything else on it."""
    if host.acs:
        return []
    return [
        *("-device", f"pcie-root-port,id=trunk,bus=pcie.0,chassis=100,slot=100,addr={FIRST_PORT_SLOT:02x}.0"),
        *("-device", "pcie-pci-bridge,id=bridge,bus=trunk"),
    ]


def _place(index: int, gpu: StandIn, *, acs: bool) -> tuple[list[str], str]:
    """What has to be there first, and bus and slot of the stand-in."""
    if not acs:
        return [], f"bus=bridge,addr={index + 1:02x}"
    bus = "pcie.0" if gpu.numa_node is None else f"node{gpu.numa_node}"
    chassis, slot = index + 1, FIRST_PORT_SLOT + index + 1
    port = f"pcie-root-port,id=port{index},bus={bus},chassis={chassis},slot={chassis},addr={slot:02x}.0"
    return ["-device", port], f"bus=port{index},addr=00"


def _stand_in(index: int, gpu: StandIn, *, acs: bool) -> list[str]:
    before, place = _place(index, gpu, acs=acs)
    function_0 = {
        StandInModel.BOCHS: "bochs-display",
        StandInModel.NVME: f"nvme,serial=hikube{index}",
    }[gpu.model]
    return [
        *before,
        *("-device", f"{function_0},{place}.0,multifunction=on"),
        *("-device", f"ich9-intel-hda,{place}.1"),
    ]


def _identity(files: MachineFiles) -> list[str]:
    given = {"hostname": files.host_name, "authorized_keys": files.authorized_keys, "host_key": files.host_key}
    return [
        argument for name, path in given.items() for argument in ("-fw_cfg", f"name=opt/hikube/{name},file={_escaped(path)}")
    ]


def _escaped(path: Path) -> str:
    """A path inside a comma-separated option: QEMU reads a doubled comma as one."""
    return str(path).replace(",", ",,")
