"""The seam to a host's storage: pools of files, and the volumes in them.

A part of drivers/hypervisor.py. Nothing is ever seen under its name before it is complete; every implementation passes
tests/contract/test_hypervisor_volumes.py. Whatever is called again while it holds already is success.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all); all is 0 where it is not known."""


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume in a storage pool."""

    name: str
    path: str
    capacity_bytes: int
    allocation_bytes: int


@dataclass(frozen=True, slots=True)
class PoolSpace:
    """What a storage pool has to give, as its host says at this moment; nothing where it is not active."""

    is_active: bool
    capacity_bytes: int
    available_bytes: int


class Volumes(Protocol):
    """Storage in the pools of the host. Whatever needs an active pool raises Conflict where it is not."""

    def find(self, pool: str, name: str) -> Volume | None:
        """The volume, or None. Refreshes the pool if it is not found at first."""
        ...

    def create(self, pool: str, name: str, *, size_bytes: int, base: str = "", image_format: str = "qcow2") -> Volume:
        """Make a volume, empty or as an overlay over the volume `base` of the same pool; one that exists is returned as it is.

        Raises:
            NotFound: the pool or the base does not exist.
        """
        ...

    def upload(
        self, pool: str, name: str, content: BinaryIO, *, size_bytes: int, identity: str = "", progress: Progress | None = None
    ) -> Volume:
        """Make a raw file volume of exactly this content (an ISO, a qcow2 file as it is).

        With an `identity` (a digest, of letters and digits, at most 64), one that breaks off because of the host or the
        connection is gone on with by the next upload of the same identity and size; the content must be seekable then.

        It appears under its name only when complete: a broken upload never looks like a good one. One that exists is replaced.
        A qcow2 file has the capacity that a guest will see.
        """
        ...

    def clone(self, pool: str, name: str, *, origin: str, origin_pool: str = "", progress: Progress | None = None) -> Volume:
        """Make a volume that is a full copy of `origin` (of the same pool, or of `origin_pool`), with nothing below it.

        Its format is that of the origin, told by the ending of the origin's name. It appears under its name only when
        complete; one that exists is replaced. Nothing may write to the origin meanwhile.

        Raises:
            NotFound: a pool or the origin does not exist.
            Unsupported: the origin's content pretends to be of another format than its name says.
            Conflict: the same is under way already.
        """
        ...

    def resize(self, pool: str, name: str, *, size_bytes: int) -> Volume:
        """Grow the volume; shrinking is refused with Unsupported."""
        ...

    def delete(self, pool: str, name: str) -> None:
        """Delete it if it exists."""
        ...

    def list(self, pool: str, *, prefix: str = "") -> tuple[Volume, ...]:
        """Volumes whose name begins with `prefix`, by name."""
        ...

    def space(self, pool: str) -> PoolSpace:
        """What is left in the pool.

        Raises:
            NotFound: there is no such pool.
        """
        ...
