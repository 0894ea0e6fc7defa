"""Volumes: every sentence of drivers/hypervisor.py about them, on each implementation.

The class may be imported by a suite that has a real host: it asks for nothing but a fixture `bench`.
"""

from __future__ import annotations

import io

import pytest

from provisioner.model.errors import HikubeError, NotFound, Unsupported
from tests.disk_images import qcow2

MIB = 1024**2


class Broken(io.RawIOBase):
    """Content that breaks off with an error of the reader's."""

    def __init__(self, good_bytes: int) -> None:
        self._left = good_bytes

    def read(self, size: int = -1) -> bytes:
        if self._left <= 0:
            raise OSError("the disk that this was read from is gone")
        chunk = b"x" * min(self._left, size if size >= 0 else self._left)
        self._left -= len(chunk)
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        return offset


class TestVolumes:
    def test_there_is_none_at_first(self, bench):
        assert bench.hypervisor.volumes.find(bench.pool, bench.name()) is None

    def test_what_was_made_is_found(self, bench):
        volumes, name = bench.hypervisor.volumes, bench.name()
        made = volumes.create(bench.pool, name, size_bytes=8 * MIB)
        assert (made.name, made.capacity_bytes) == (name, 8 * MIB)
        assert made.path.endswith(f"/{name}")
        found = volumes.find(bench.pool, name)
        assert found is not None
        assert (found.name, found.path, found.capacity_bytes) == (made.name, made.path, made.capacity_bytes)

    def test_one_that_exists_is_returned_as_it_is(self, bench):
        volumes, name = bench.hypervisor.volumes, bench.name()
        volumes.create(bench.pool, name, size_bytes=8 * MIB)
        assert volumes.create(bench.pool, name, size_bytes=16 * MIB).capacity_bytes == 8 * MIB

    def test_an_overlay_lies_over_its_base(self, bench):
        volumes, name = bench.hypervisor.volumes, bench.name()
        volumes.create(bench.pool, f"{name}-base", size_bytes=8 * MIB)
        assert volumes.create(bench.pool, name, size_bytes=16 * MIB, base=f"{name}-base").capacity_bytes == 16 * MIB

    def test_no_base_no_overlay(self, bench):
        with pytest.raises(NotFound):
            bench.hypervisor.volumes.create(bench.pool, bench.name(), size_bytes=MIB, base=bench.name("-nothing"))
        assert bench.hypervisor.volumes.find(bench.pool, bench.name()) is None

    def test_no_pool_no_volume(self, bench):
        with pytest.raises(NotFound):
            bench.hypervisor.volumes.create("no-such-pool", bench.name(), size_bytes=MIB)

    def test_an_upload_is_there_when_it_is_complete(self, bench):
        bench.needs("volumes.upload")
        volumes, name, content = bench.hypervisor.volumes, bench.name(), b"seed" * (MIB // 2)
        told: list[tuple[int, int]] = []
        made = volumes.upload(
            bench.pool,
            name,
            io.BytesIO(content),
            size_bytes=len(content),
            progress=lambda done, all_: told.append((done, all_)),
        )
        assert made.capacity_bytes == len(content)
        assert volumes.find(bench.pool, name) is not None
        assert told[-1][0] == len(content)
        assert [done for done, _ in told] == sorted(done for done, _ in told)

    def test_an_upload_replaces_what_was_there(self, bench):
        bench.needs("volumes.upload")
        volumes, name = bench.hypervisor.volumes, bench.name()
        volumes.upload(bench.pool, name, io.BytesIO(b"a" * MIB), size_bytes=MIB)
        assert volumes.upload(bench.pool, name, io.BytesIO(b"b" * 2 * MIB), size_bytes=2 * MIB).capacity_bytes == 2 * MIB
        assert [volume.name for volume in volumes.list(bench.pool, prefix=name)] == [name]

    def test_content_that_ends_too_soon_leaves_nothing(self, bench):
        bench.needs("volumes.upload")
        volumes, name = bench.hypervisor.volumes, bench.name()
        with pytest.raises(HikubeError):
            volumes.upload(bench.pool, name, io.BytesIO(b"a" * MIB), size_bytes=2 * MIB)
        assert volumes.find(bench.pool, name) is None
        assert volumes.list(bench.pool, prefix=name) == ()

    def test_a_reader_that_fails_leaves_nothing_and_the_next_upload_goes_well(self, bench):
        bench.needs("volumes.upload")
        volumes, name = bench.hypervisor.volumes, bench.name()
        with pytest.raises((HikubeError, OSError)):
            volumes.upload(bench.pool, name, Broken(MIB), size_bytes=2 * MIB)
        assert volumes.find(bench.pool, name) is None
        assert volumes.upload(bench.pool, name, io.BytesIO(b"a" * MIB), size_bytes=MIB).capacity_bytes == MIB

    def test_a_replacement_that_breaks_off_does_not_look_like_a_good_one(self, bench):
        bench.needs("volumes.upload")
        volumes, name = bench.hypervisor.volumes, bench.name()
        volumes.upload(bench.pool, name, io.BytesIO(b"a" * MIB), size_bytes=MIB)
        with pytest.raises(HikubeError):
            volumes.upload(bench.pool, name, io.BytesIO(b"b" * MIB), size_bytes=2 * MIB)
        assert volumes.find(bench.pool, name) is None

    def test_an_upload_with_an_identity_breaks_off_out_of_sight_and_the_next_one_completes_it(self, bench):
        bench.needs("volumes.upload")
        volumes, name, content = bench.hypervisor.volumes, bench.name(), b"a" * 2 * MIB
        with pytest.raises((HikubeError, OSError)):
            volumes.upload(bench.pool, name, Broken(MIB), size_bytes=2 * MIB, identity="0a")
        assert volumes.find(bench.pool, name) is None
        assert volumes.list(bench.pool, prefix=name) == ()
        told: list[tuple[int, int]] = []
        volumes.upload(
            bench.pool,
            name,
            io.BytesIO(content),
            size_bytes=len(content),
            identity="0b",
            progress=lambda done, all_: told.append((done, all_)),
        )
        assert volumes.find(bench.pool, name).capacity_bytes == 2 * MIB
        assert told[-1] == (2 * MIB, 2 * MIB)

    def test_a_volume_grows(self, bench):
        bench.needs("volumes.resize")
        volumes, name = bench.hypervisor.volumes, bench.name()
        volumes.create(bench.pool, name, size_bytes=8 * MIB)
        assert volumes.resize(bench.pool, name, size_bytes=16 * MIB).capacity_bytes == 16 * MIB
        assert volumes.resize(bench.pool, name, size_bytes=16 * MIB).capacity_bytes == 16 * MIB

    def test_a_volume_does_not_shrink(self, bench):
        volumes, name = bench.hypervisor.volumes, bench.name()
        volumes.create(bench.pool, name, size_bytes=8 * MIB)
        with pytest.raises(Unsupported):
            volumes.resize(bench.pool, name, size_bytes=4 * MIB)

    def test_deleting_twice_is_success(self, bench):
        volumes, name = bench.hypervisor.volumes, bench.name()
        volumes.create(bench.pool, name, size_bytes=MIB)
        volumes.delete(bench.pool, name)
        volumes.delete(bench.pool, name)
        assert volumes.find(bench.pool, name) is None

    def test_the_list_is_by_name_and_by_prefix(self, bench):
        volumes = bench.hypervisor.volumes
        for suffix in ("-b", "-a", "-c", ""):
            volumes.create(bench.pool, bench.name(suffix), size_bytes=MIB)
        names = [volume.name for volume in volumes.list(bench.pool, prefix=bench.name("-"))]
        assert names == [bench.name("-a"), bench.name("-b"), bench.name("-c")]
        assert set(names) < {volume.name for volume in volumes.list(bench.pool)}

    def test_an_uploaded_qcow2_file_has_the_size_that_a_guest_sees(self, bench):
        bench.needs("volumes.upload")
        volumes, name, content = bench.hypervisor.volumes, bench.name(".qcow2"), qcow2(64 * MIB)
        volumes.upload(bench.pool, name, io.BytesIO(content), size_bytes=len(content))
        assert volumes.find(bench.pool, name).capacity_bytes == 64 * MIB

    def test_a_copy_is_as_large_as_its_origin_and_outlives_it(self, bench):
        volumes, origin, name = bench.hypervisor.volumes, bench.name("-origin.qcow2"), bench.name("-copy.qcow2")
        volumes.create(bench.pool, origin, size_bytes=8 * MIB)
        copied = volumes.clone(bench.pool, name, origin=origin)
        assert (copied.name, copied.capacity_bytes) == (name, 8 * MIB)
        volumes.delete(bench.pool, origin)
        assert volumes.find(bench.pool, name) is not None

    def test_a_copy_of_an_overlay_needs_no_base(self, bench):
        volumes, base = bench.hypervisor.volumes, bench.name("-base.qcow2")
        origin, name = bench.name("-origin.qcow2"), bench.name("-copy.qcow2")
        volumes.create(bench.pool, base, size_bytes=8 * MIB)
        volumes.create(bench.pool, origin, size_bytes=16 * MIB, base=base)
        volumes.clone(bench.pool, name, origin=origin)
        volumes.delete(bench.pool, origin)
        volumes.delete(bench.pool, base)
        assert volumes.find(bench.pool, name).capacity_bytes == 16 * MIB

    def test_a_copy_of_a_copy_grows_like_any_other(self, bench):
        bench.needs("volumes.resize")
        volumes, name = bench.hypervisor.volumes, bench.name("-copy.qcow2")
        volumes.create(bench.pool, bench.name("-origin.qcow2"), size_bytes=8 * MIB)
        volumes.clone(bench.pool, name, origin=bench.name("-origin.qcow2"))
        assert volumes.resize(bench.pool, name, size_bytes=16 * MIB).capacity_bytes == 16 * MIB

    def test_a_copy_replaces_what_was_there(self, bench):
        volumes, origin, name = bench.hypervisor.volumes, bench.name("-origin.qcow2"), bench.name("-copy.qcow2")
        volumes.create(bench.pool, origin, size_bytes=16 * MIB)
        volumes.create(bench.pool, name, size_bytes=8 * MIB)
        assert volumes.clone(bench.pool, name, origin=origin).capacity_bytes == 16 * MIB

    def test_no_origin_no_copy(self, bench):
        volumes, name = bench.hypervisor.volumes, bench.name("-copy.qcow2")
        with pytest.raises(NotFound):
            volumes.clone(bench.pool, name, origin=bench.name("-nothing.qcow2"))
        assert volumes.find(bench.pool, name) is None

    def test_a_copy_of_what_a_running_guest_writes_to_is_refused_and_leaves_nothing(self, bench):
        bench.needs("volumes.lock")
        volumes, origin, name = bench.hypervisor.volumes, bench.name("-origin.qcow2"), bench.name("-copy.qcow2")
        disk = volumes.create(bench.pool, origin, size_bytes=8 * MIB)
        bench.start(bench.name(), disk=disk.path)
        with pytest.raises(HikubeError):
            volumes.clone(bench.pool, name, origin=origin)
        assert volumes.find(bench.pool, name) is None

    def test_a_pool_says_what_is_left_in_it(self, bench):
        space = bench.hypervisor.volumes.space(bench.pool)
        assert space.is_active
        assert 0 < space.available_bytes <= space.capacity_bytes

    def test_no_pool_no_space(self, bench):
        with pytest.raises(NotFound):
            bench.hypervisor.volumes.space("no-such-pool")
