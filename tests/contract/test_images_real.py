"""The real image cache against a real web server that cuts, changes, redirects and stalls."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.clocks import ManualClock, SystemClock
from provisioner.drivers.images.cache import ImageCache
from provisioner.drivers.images.download import DownloadLimits
from provisioner.drivers.images.protocol import LocalImage
from provisioner.model.errors import ImageError, ImageRefused, Retry
from tests.contract.image_server import ImageServer
from tests.unit.images.test_image_formats import qcow2

CONTENT = qcow2(size=5 << 30) + random.Random(1).randbytes(3_000_000)
OTHER = qcow2(size=6 << 30) + random.Random(2).randbytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
LIMITS = DownloadLimits(idle_s=5.0, connect_s=5.0)

Serve = Callable[..., ImageServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[ImageServer] = []

    def started(content: bytes = CONTENT, **behaviour: object) -> ImageServer:
        servers.append(ImageServer(content, **behaviour))  # type: ignore[arg-type]
        return servers[-1]

    yield started
    for server in servers:
        server.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(tmp_path: Path, clock: ManualClock) -> ImageCache:
    return ImageCache(tmp_path / "images", clock=clock, limits=LIMITS)


@pytest.fixture
def impatient(tmp_path: Path) -> ImageCache:
    """The same cache, in the hands of one who tries once."""
    return ImageCache(tmp_path / "images", clock=ManualClock(), limits=replace(LIMITS, attempts_in_all=1))


def left(tmp_path: Path) -> set[str]:
    return {path.suffix for path in (tmp_path / "images").iterdir()}


def complaint(cache: ImageCache, url: str, **arguments: str) -> ImageError:
    with pytest.raises(ImageError) as caught:
        cache.fetch(url, **arguments)  # type: ignore[arg-type]
    return caught.value


class TestDownload:
    def test_an_image_arrives_whole_and_is_fetched_once(self, cache: ImageCache, serve: Serve, tmp_path: Path) -> None:
        server = serve()
        told: list[tuple[int, int]] = []
        image = cache.fetch(server.url, sha256=DIGEST.upper(), progress=lambda done, total: told.append((done, total)))
        assert image == LocalImage(image.path, DIGEST, len(CONTENT), 5 << 30, "qcow2")
        assert image.path.read_bytes() == CONTENT
        assert image.path.stat().st_mode & 0o222 == 0
        assert told == sorted(told)
        assert told[-1] == (len(CONTENT), len(CONTENT))
        assert cache.fetch(server.url, sha256=DIGEST) == image
        assert cache.fetch(server.url) == image
        assert len(server.ranges) == 1
        assert left(tmp_path) == {".image", ".url", ".lock"}

    def test_the_same_content_behind_another_url_needs_no_download(self, cache: ImageCache, serve: Serve) -> None:
        image = cache.fetch(serve().url, sha256=DIGEST)
        mirror = serve()
        assert cache.fetch(mirror.url, sha256=DIGEST) == image
        assert mirror.ranges == []

    @pytest.mark.parametrize("validators", [{}, {"etag": "", "last_modified": "Sat, 21 Nov 2026 10:00:00 GMT"}])
    def test_a_download_that_was_cut_goes_on_where_it_was(
        self, cache: ImageCache, serve: Serve, clock: ManualClock, validators: dict[str, str]
    ) -> None:
        server = serve(cuts=[1_000_000, 900_000], **validators)
        assert cache.fetch(server.url).sha256 == DIGEST
        assert server.ranges == ["", "bytes=1000000-", "bytes=1900000-"]

    def test_what_has_arrived_outlives_the_process_that_fetched_it(
        self, cache: ImageCache, impatient: ImageCache, serve: Serve, tmp_path: Path
    ) -> None:
        server = serve(cuts=[1_000_000])
        complaint(impatient, server.url)
        assert left(tmp_path) == {".partial", ".validator", ".lock"}
        assert cache.fetch(server.url).sha256 == DIGEST
        assert server.ranges == ["", "bytes=1000000-"]

    def test_a_server_that_cannot_resume_is_asked_again_from_the_start(self, cache: ImageCache, serve: Serve) -> None:
        server = serve(cuts=[1_000_000], honours_range=False)
        assert cache.fetch(server.url).path.read_bytes() == CONTENT

    @pytest.mark.parametrize("etag", ["", 'W/"weak"'])
    def test_without_a_strong_validator_halves_are_not_joined(self, cache: ImageCache, serve: Serve, etag: str) -> None:
        server = serve(cuts=[1_000_000], etag=etag, ignores_if_range=True)
        assert cache.fetch(server.url).sha256 == DIGEST
        assert server.ranges == ["", ""]

    @pytest.mark.parametrize("ignores_if_range", [False, True])
    def test_content_that_changed_in_between_is_fetched_anew(
        self, cache: ImageCache, impatient: ImageCache, serve: Serve, ignores_if_range: bool
    ) -> None:
        server = serve(cuts=[1_000_000], ignores_if_range=ignores_if_range)
        complaint(impatient, server.url)
        server.content, server.etag = OTHER, '"v2"'
        assert cache.fetch(server.url).path.read_bytes() == OTHER

    def test_a_partial_file_that_is_complete_already_is_taken(
        self, cache: ImageCache, impatient: ImageCache, serve: Serve, tmp_path: Path
    ) -> None:
        server = serve(cuts=[len(CONTENT) - 1])
        complaint(impatient, server.url)
        with next((tmp_path / "images").glob("*.partial")).open("ab") as partial:
            partial.write(CONTENT[-1:])
        assert cache.fetch(server.url).sha256 == DIGEST
        assert server.ranges[-1] == f"bytes={len(CONTENT)}-"

    def test_an_image_that_became_shorter_is_fetched_anew(self, cache: ImageCache, impatient: ImageCache, serve: Serve) -> None:
        server = serve(cuts=[1_000_000])
        complaint(impatient, server.url)
        server.content = qcow2()
        assert cache.fetch(server.url).path.read_bytes() == qcow2()

    def test_a_length_that_nobody_tells(self, cache: ImageCache, serve: Serve) -> None:
        assert cache.fetch(serve(tells_length=False).url, sha256=DIGEST).size_bytes == len(CONTENT)

    def test_a_wrong_image_is_removed_and_both_digests_are_named(self, cache: ImageCache, serve: Serve, tmp_path: Path) -> None:
        error = complaint(cache, serve().url, sha256="ab" * 32)
        assert isinstance(error, ImageRefused)
        assert DIGEST in error.why
        assert "ab" * 32 in error.why
        assert left(tmp_path) == {".lock"}

    def test_a_page_instead_of_an_image_is_removed_and_said(self, cache: ImageCache, serve: Serve, tmp_path: Path) -> None:
        error = complaint(cache, serve(b"<html>log in first</html>").url)
        assert isinstance(error, ImageRefused)
        assert "no disk image" in error.why
        assert left(tmp_path) == {".lock"}

    def test_an_image_that_names_other_files_is_removed(self, cache: ImageCache, serve: Serve, tmp_path: Path) -> None:
        assert "backing file" in complaint(cache, serve(qcow2(backing=512)).url).why
        assert left(tmp_path) == {".lock"}

    def test_a_busy_server_is_asked_again_with_growing_pauses(
        self, cache: ImageCache, serve: Serve, clock: ManualClock
    ) -> None:
        began = clock.monotonic_s()
        assert cache.fetch(serve(statuses=[503, 429, 500]).url).sha256 == DIGEST
        assert clock.monotonic_s() - began == 1 + 2 + 4

    def test_a_server_that_stays_busy_is_given_up(self, cache: ImageCache, serve: Serve) -> None:
        server = serve(statuses=[503] * 50)
        error = complaint(cache, server.url)
        assert error.retry is Retry.LATER
        assert "503" in error.why
        assert len(server.ranges) == LIMITS.attempts

    def test_progress_earns_new_attempts_up_to_a_bound(self, cache: ImageCache, serve: Serve) -> None:
        server = serve(cuts=[1] * 1000)
        complaint(cache, server.url)
        assert len(server.ranges) == LIMITS.attempts_in_all

    @pytest.mark.parametrize("status", [403, 404, 410, 204])
    def test_a_clear_no_is_final(self, cache: ImageCache, serve: Serve, status: int) -> None:
        server = serve(statuses=[status])
        assert str(status) in complaint(cache, server.url).why
        assert len(server.ranges) == 1

    def test_redirects_are_followed_to_a_bound(self, cache: ImageCache, serve: Serve) -> None:
        loop = serve()
        loop.redirect_to = loop.url
        assert "redirects" in complaint(cache, loop.url).why
        assert len(loop.ranges) == LIMITS.redirects + 1
        target, moved = serve(), serve()
        moved.redirect_to = target.url
        assert cache.fetch(moved.url).sha256 == DIGEST

    def test_a_redirect_to_a_file_is_not_followed(self, cache: ImageCache, serve: Serve) -> None:
        complaint(cache, serve(redirect_to="file:///etc/passwd").url)

    def test_more_than_is_allowed_is_refused_before_it_arrives(self, serve: Serve, tmp_path: Path) -> None:
        small = ImageCache(tmp_path / "images", clock=ManualClock(), limits=replace(LIMITS, max_bytes=1000))
        assert "at most 1000 are allowed" in complaint(small, serve().url).why
        assert "more than the 1000 bytes" in complaint(small, serve(tells_length=False).url).why

    def test_compressed_answers_are_refused(self, cache: ImageCache, serve: Serve) -> None:
        assert "compressing" in complaint(cache, serve(content_encoding="gzip").url).why

    def test_a_server_that_falls_silent_is_given_up_in_time(self, serve: Serve, tmp_path: Path) -> None:
        released = threading.Event()
        server = serve(before_body=lambda: released.wait(20))
        hasty = ImageCache(tmp_path / "images", clock=ManualClock(), limits=replace(LIMITS, idle_s=0.3, attempts=2))
        assert "silent" in complaint(hasty, server.url).why
        released.set()

    def test_nobody_there(self, cache: ImageCache, serve: Serve) -> None:
        server = serve()
        server.close()
        assert "refused" in complaint(cache, server.url).why

    def test_a_full_disk_is_said_and_what_has_arrived_is_kept(self, serve: Serve, tmp_path: Path) -> None:
        """A file size limit of the process stands in for the full disk: the write fails in the same place."""
        program = (
            "import resource, signal, sys; from pathlib import Path\n"
            "from provisioner.clocks import SystemClock\n"
            "from provisioner.drivers.images.cache import ImageCache\n"
            "from provisioner.model.errors import ImageError\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1500000, 1500000))\n"
            "try:\n    ImageCache(Path(sys.argv[1]), clock=SystemClock()).fetch(sys.argv[2])\n"
            "except ImageError as error:\n    print(error.why)\n"
        )
        argv = [sys.executable, "-c", program, str(tmp_path / "images"), serve().url]
        root = Path(__file__).parents[2]
        answer = subprocess.run(argv, capture_output=True, text=True, cwd=root, timeout=60, check=True)
        assert "File too large" in answer.stdout
        assert ".partial" in left(tmp_path)


class TestTogether:
    def test_two_who_want_the_same_image_fetch_it_once(self, serve: Serve, tmp_path: Path) -> None:
        both_are_here = threading.Barrier(2, timeout=20)
        asked = threading.Event()

        def before_body() -> None:
            asked.set()
            both_are_here.wait()

        server = serve(before_body=before_body)
        caches = [ImageCache(tmp_path / "images", clock=SystemClock(), limits=LIMITS) for _ in range(2)]
        found: list[LocalImage] = []
        told: list[tuple[int, int]] = []

        def second() -> None:
            found.append(caches[1].fetch(server.url, progress=lambda done, total: (told.append((done, total)), arrive())))

        def arrive() -> None:
            if len(told) == 1:
                both_are_here.wait()

        first_thread = threading.Thread(target=lambda: found.append(caches[0].fetch(server.url)))
        first_thread.start()
        assert asked.wait(20), "the first one holds the lock and downloads"
        second_thread = threading.Thread(target=second)
        second_thread.start()
        first_thread.join(30)
        second_thread.join(30)
        assert [image.sha256 for image in found] == [DIGEST, DIGEST]
        assert server.ranges == [""]

    def test_a_holder_that_makes_no_progress_is_not_waited_for_without_end(
        self, cache: ImageCache, serve: Serve, tmp_path: Path, clock: ManualClock
    ) -> None:
        server = serve()
        complaint(cache, server.url, sha256="ab" * 32)
        lock = next((tmp_path / "images").glob("*.lock"))
        holder = subprocess.Popen(
            ["flock", "--no-fork", str(lock), "sh", "-c", "echo held; exec sleep 60"], stdout=subprocess.PIPE
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            assert "another process" in complaint(cache, server.url).why
        finally:
            holder.terminate()
            holder.communicate(timeout=10)
