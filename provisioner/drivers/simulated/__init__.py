"""The simulated twin of every edge: hosts with GPUs, the guests on them, and base images.

It obeys the rules that libvirt, QEMU and the kernel enforce, refuses what they refuse with their words, and takes its time from
the Clock that it is given and its chance from one seed: the same calls give the same history. It must not read any other clock,
draw any other randomness, start threads, or know what a VM's life is.

    SimulatedFleet ── SimulatedHost ── HostState (plain data, in memory or in a file that processes share)
         │                 └── call(): log, staged faults, time, lock: every call of every driver goes through it
         ├── SimulatedConnector ── SimulatedHypervisor: inventory, volumes, devices, domains, console
         ├── SimulatedGuests       what answers on SSH in a started domain
         └── faults, calls         what shall go wrong, and what was asked
    SimulatedHost ── Watchers      who is told what happens on it
"""

from provisioner.drivers.simulated.sandbox import file_connector, file_guests

__all__ = ["file_connector", "file_guests"]
