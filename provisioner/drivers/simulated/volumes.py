"""Simulated storage: pools with a capacity, volumes with their content as long as it is small."""

from __future__ import annotations

import copy
from typing import BinaryIO

from provisioner.drivers.simulated.booting import find_volume
from provisioner.drivers.simulated.link import Link
from provisioner.drivers.simulated.state import HostState, PoolState, VolumeState
from provisioner.drivers.volumes import PoolSpace, Progress, Volume
from provisioner.model.errors import Conflict, HypervisorError, InvalidInput, NotFound, Unsupported

KEPT_BYTES = 4 * 1024**2
"""Content above this is only counted: a seed is kept, a base image is not."""
CHUNK_BYTES = 1024**2
QCOW2_BYTES = 196_608
"""What an empty qcow2 file takes."""
HEAD_BYTES = 64
QCOW2_MAGIC = b"QFI\xfb"
QCOW2_SIZE = slice(24, 32)
"""Where the header says how large a disk the guest sees."""


class SimulatedVolumes:
    """See drivers.volumes.Volumes."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def find(self, pool: str, name: str) -> Volume | None:
        """See the protocol."""
        with self._link.call("volumes.find", subject=name) as state:
            volume = _pool(state, pool).volumes.get(name)
            return None if volume is None else _seen(volume)

    def create(self, pool: str, name: str, *, size_bytes: int, base: str = "", image_format: str = "qcow2") -> Volume:
        """See the protocol."""
        with self._link.call("volumes.create", subject=name) as state:
            found = _pool(state, pool)
            if name in found.volumes:
                return _seen(found.volumes[name])
            if base:
                _volume(found, base)
            allocation = QCOW2_BYTES if image_format == "qcow2" else 0
            path = f"{found.path}/{name}"
            return _add(found, VolumeState(name, path, size_bytes, allocation, image_format=image_format, base=base))

    def upload(
        self, pool: str, name: str, content: BinaryIO, *, size_bytes: int, identity: str = "", progress: Progress | None = None
    ) -> Volume:
        """See the protocol. A broken upload leaves nothing here, so the next one of the same begins anew."""
        with self._link.call("volumes.upload", subject=name) as state:
            found = _pool(state, pool)
            found.volumes.pop(name, None)
            if identity:
                content.seek(0)
            head, kept = _receive(content, size_bytes=size_bytes, progress=progress or _ignore)
            volume = VolumeState(name, f"{found.path}/{name}", size_bytes, size_bytes, is_uploaded=True)
            volume.keep(kept)
            if head.startswith(QCOW2_MAGIC) and len(head) > QCOW2_SIZE.stop:
                volume.image_format = "qcow2"
                volume.capacity_bytes = int.from_bytes(head[QCOW2_SIZE], "big")
            return _add(found, volume)

    def clone(self, pool: str, name: str, *, origin: str, origin_pool: str = "", progress: Progress | None = None) -> Volume:
        """See the protocol. The host's own tool makes it, which is refused what a running guest writes to."""
        with self._link.call("volumes.clone", subject=name) as state:
            place = _pool(state, origin_pool or pool)
            source, found = _volume(place, origin), _pool(state, pool)
            if _is_in_use(state, source):
                raise HypervisorError(
                    f"Volume {origin} cannot be copied", why='Failed to get shared "write" lock: is another process using it?'
                )
            found.volumes.pop(name, None)
            volume = _copied(source, place, VolumeState(name, f"{found.path}/{name}", 0, 0))
            made = _add(found, volume)
            if progress is not None:
                progress(volume.capacity_bytes, volume.capacity_bytes)
            return made

    def resize(self, pool: str, name: str, *, size_bytes: int) -> Volume:
        """See the protocol. A running domain holds the lock of its image."""
        with self._link.call("volumes.resize", subject=name) as state:
            volume = _volume(_pool(state, pool), name)
            if size_bytes < volume.capacity_bytes:
                raise Unsupported(f"Volume {name} cannot be shrunk", why=f"it has {volume.capacity_bytes} bytes")
            if size_bytes > volume.capacity_bytes and _is_in_use(state, volume):
                raise HypervisorError(
                    f"Volume {name} cannot be resized", why='Failed to get "write" lock: is another process using it?'
                )
            volume.capacity_bytes = size_bytes
            return _seen(volume)

    def delete(self, pool: str, name: str) -> None:
        """See the protocol. Like libvirt it asks nobody who uses it."""
        with self._link.call("volumes.delete", subject=name) as state:
            _pool(state, pool).volumes.pop(name, None)

    def list(self, pool: str, *, prefix: str = "") -> tuple[Volume, ...]:
        """See the protocol."""
        with self._link.call("volumes.list", subject=prefix) as state:
            volumes = _pool(state, pool).volumes
            return tuple(_seen(volumes[name]) for name in sorted(volumes) if name.startswith(prefix))

    def space(self, pool: str) -> PoolSpace:
        """See the protocol."""
        with self._link.call("volumes.space", subject=pool) as state:
            found = _known_pool(state, pool)
            if not found.is_active:
                return PoolSpace(is_active=False, capacity_bytes=0, available_bytes=0)
            return PoolSpace(is_active=True, capacity_bytes=found.capacity_bytes, available_bytes=found.available_bytes)


def _pool(state: HostState, name: str) -> PoolState:
    found = _known_pool(state, name)
    if not found.is_active:
        raise Conflict(f"Storage pool {name} on {state.name} cannot be used", why=f"storage pool '{name}' is not active")
    return found


def _known_pool(state: HostState, name: str) -> PoolState:
    if name not in state.pools:
        raise NotFound(f"There is no storage pool {name} on {state.name}", context={"pool": name})
    return state.pools[name]


def _volume(pool: PoolState, name: str) -> VolumeState:
    if name not in pool.volumes:
        raise NotFound(f"There is no volume {name} in pool {pool.name}", context={"pool": pool.name, "volume": name})
    return pool.volumes[name]


def _add(pool: PoolState, volume: VolumeState) -> Volume:
    if "/" in volume.name or not volume.name:
        raise InvalidInput(f"{volume.name!r} is no name of a volume", why="volume name cannot be empty or contain '/'")
    if volume.allocation_bytes > pool.available_bytes:
        raise HypervisorError(
            f"Volume {volume.name} does not fit into pool {pool.name}",
            why="No space left on device",
            context={"needed_bytes": volume.allocation_bytes, "available_bytes": pool.available_bytes},
        )
    pool.volumes[volume.name] = volume
    return _seen(volume)


def _copied(source: VolumeState, place: PoolState, copied: VolumeState) -> VolumeState:
    """The copy holds all that is read through the origin, and lies over nothing."""
    below = [source]
    while below[-1].base in place.volumes and len(below) <= len(place.volumes):
        below.append(place.volumes[below[-1].base])
    copied.capacity_bytes = source.capacity_bytes
    copied.allocation_bytes = min(source.capacity_bytes, sum(volume.allocation_bytes for volume in below))
    copied.image_format = source.image_format
    copied.is_uploaded = below[-1].is_uploaded
    copied.packed = source.packed
    copied.guest = copy.deepcopy(source.guest)
    return copied


def _receive(content: BinaryIO, *, size_bytes: int, progress: Progress) -> tuple[bytes, bytes]:
    """Its first bytes, and all of it if it is small enough to be kept; exactly `size_bytes` must arrive."""
    done, head, kept = 0, b"", bytearray()
    while done < size_bytes:
        chunk = content.read(min(CHUNK_BYTES, size_bytes - done))
        if not chunk:
            raise InvalidInput("The upload broke off", why=f"the content ended after {done} of {size_bytes} bytes")
        done, head = done + len(chunk), head or chunk[:HEAD_BYTES]
        if size_bytes <= KEPT_BYTES:
            kept += chunk
        progress(done, size_bytes)
    return head, bytes(kept)


def _ignore(_done: int, _all: int) -> None:
    return


def _is_in_use(state: HostState, volume: VolumeState) -> bool:
    for _, live in state.running():
        for disk in live.disks:
            found = None if disk.is_empty else find_volume(state, disk)
            if found is not None and found[1] is volume:
                return True
    return False


def _seen(volume: VolumeState) -> Volume:
    return Volume(volume.name, volume.path, volume.capacity_bytes, volume.allocation_bytes)
