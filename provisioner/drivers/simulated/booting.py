"""A guest's boot: what will have happened by when, decided at the moment when it begins.

    boot ──▶ address ──▶ SSH answers ──▶ cloud-init done
    no system disk, KVM broken, or told not to boot: nothing of it ever happens

The system leaves its mark on the disk that it boots from (`GuestDisk`): a restart is a restart, and a new
disk is a new guest. As cloud-init does: the host key belongs to the instance, set anew only when the instance id is; the
controller's key is put in place at every boot from the seed that is in the drive, and stays away when there is none.
"""

from __future__ import annotations

from provisioner.drivers.simulated.network_state import lease
from provisioner.drivers.simulated.seed import SeedFacts, read_seed
from provisioner.drivers.simulated.state import (
    Boot,
    DiskDevice,
    DomainConfig,
    DomainRecord,
    GuestDisk,
    HostState,
    NetworkInterface,
    PoolState,
    VolumeState,
)
from provisioner.drivers.simulated.world import World


def boot(state: HostState, record: DomainRecord, *, world: World) -> None:
    """Begin a boot of this running domain."""
    live = record.live
    if live is None:
        return
    record.boots += 1
    disk = system_disk(state, live)
    behaviour = state.behaviour_of(live.name)
    now_s = world.clock.now_s()
    begun = Boot(id=world.chance.uuid("boot", state.name, live.name, live.uuid, record.boots, now_s), started_s=now_s)
    record.boot = begun
    if disk is None or not _is_bootable(state, disk):
        begun.console = "Booting from Hard Disk...\nBoot failed: not a bootable disk\nNo bootable device.\n"
        return
    if not behaviour.boots or (live.domain_type == "kvm" and state.kvm == "broken"):
        begun.console = "Booting from Hard Disk...\n"
        return
    _take_seed(state, live, disk=disk)
    if behaviour.gets_address and live.interfaces:
        _plan(begun, live, state=state, world=world)


def system_disk(state: HostState, live: DomainConfig) -> VolumeState | None:
    """The volume that the domain boots from: its first disk that is no CD-ROM."""
    disks = [disk for disk in live.disks if not disk.is_cdrom]
    found = find_volume(state, disks[0]) if disks else None
    return found[1] if found else None


def find_volume(state: HostState, disk: DiskDevice) -> tuple[PoolState, VolumeState] | None:
    """The volume that a disk names, by its path or by pool and name."""
    for pool in state.pools.values():
        for volume in pool.volumes.values():
            if volume.path == disk.path or (pool.name, volume.name) == (disk.pool, disk.volume):
                return pool, volume
    return None


def lease_of(state: HostState, interface: NetworkInterface) -> str:
    """The address that this interface has, or the next one of its network."""
    return lease(state.network(interface.network), state.leases, mac_address=interface.mac_address)


def _is_bootable(state: HostState, disk: VolumeState) -> bool:
    """Whether a system was ever put on it: it, or what it is an overlay of, was uploaded."""
    pool = next(pool for pool in state.pools.values() if pool.volumes.get(disk.name) is disk)
    seen: set[str] = set()
    while disk.base and disk.name not in seen:
        seen.add(disk.name)
        if disk.base not in pool.volumes:
            return False
        disk = pool.volumes[disk.base]
    return disk.is_uploaded


def _take_seed(state: HostState, live: DomainConfig, *, disk: VolumeState) -> None:
    guest = disk.guest = disk.guest or GuestDisk()
    seed = _seed(state, live)
    if seed is None:
        return
    if seed.instance_id != guest.instance_id:
        guest.instance_id, guest.host_public_key = seed.instance_id, seed.host_public_key
    guest.controller_keys, guest.was_handed_over = seed.controller_keys, False


def _seed(state: HostState, live: DomainConfig) -> SeedFacts | None:
    for disk in live.disks:
        found = find_volume(state, disk) if disk.is_cdrom and not disk.is_empty else None
        facts = read_seed(found[1].content()) if found else None
        if facts is not None:
            return facts
    return None


def _plan(begun: Boot, live: DomainConfig, *, state: HostState, world: World) -> None:
    if not any([lease_of(state, interface) for interface in live.interfaces]):
        return
    timing, chance = world.timing, world.chance
    begun.address_s = begun.started_s + chance.within(timing.address, "address", begun.id)
    begun.ssh_s = begun.address_s + chance.within(timing.ssh, "ssh", begun.id)
    begun.cloud_init_s = begun.ssh_s + chance.within(timing.cloud_init, "cloud-init", begun.id)
