"""Ready-made hosts: one L40S, four L40S on two NUMA nodes, a board of eight H100, and the stand-ins of the lab."""

from __future__ import annotations

from dataclasses import replace

from provisioner.drivers.simulated.hardware import SimulatedFunction, SimulatedGpu, SimulatedHardware

L40S = SimulatedGpu(companions=(SimulatedFunction(id="10de:22ba"),))
"""With the audio function that cards with a display engine have."""

H100 = SimulatedGpu(id="10de:2330", product="NVIDIA H100 80GB HBM3", memory_mib=81559)
"""SXM5, 80 GB: a 3D controller alone in its group."""

STAND_IN = SimulatedGpu(
    id="1234:1111",
    product="",
    memory_mib=0,
    pci_class="038000",
    driver="bochs-drm",
    companions=(SimulatedFunction(id="8086:293e"),),
    subsystem="1af4:1100",
    revision="02",
    reset_methods=("bus",),
)
"""A display function without any driver of NVIDIA's, as the GPU host in a box has."""

ONE_L40S = SimulatedHardware(gpus=(L40S,))

EIGHT_H100 = SimulatedHardware(
    gpus=tuple(
        SimulatedGpu(
            id=H100.id,
            product=H100.product,
            memory_mib=H100.memory_mib,
            numa_node=index // 4,
            pcie_parent=f"0000:{0x50 + index // 2:02x}:00.0",
        )
        for index in range(8)
    ),
    memory_mib=2 * 1024 * 1024,
    cpus=192,
    numa_nodes=2,
    pools={"default": 8 * 1024**4},
)
"""Four GPUs on each of two NUMA nodes, two below each PCIe switch."""

TWO_NODES = SimulatedHardware(
    gpus=tuple(replace(L40S, numa_node=node) for node in (0, 0, 1, 1)),
    memory_mib=512 * 1024,
    cpus=64,
    numa_nodes=2,
)
"""Two L40S on each of two NUMA nodes, each below a root port of its own."""

LAB = SimulatedHardware(gpus=(STAND_IN, STAND_IN), memory_mib=6144, cpus=2, pools={"default": 64 * 1024**3})
"""Two stand-ins on a small host."""

PRESETS: dict[str, SimulatedHardware] = {"l40s": ONE_L40S, "two-nodes": TWO_NODES, "h100": EIGHT_H100, "lab": LAB}
"""By the name that stands for them in a URI: `simulated://l40s?state=…`."""
