"""Uploads that go on where an earlier one broke off: in segments, each acknowledged by the host and then noted in the mark.

    mark with a note -> create, or keep what is there -> segment, note, segment, note … -> unmark

The note is the beginning of the mark's content: which content it is (its digest), its size, and how many bytes of it the host
has acknowledged. Whatever was sent after the last note is sent again. A mark without a note, or with the note of another
content, is that of another upload: everything begins anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import libvirt

from provisioner.drivers.libvirt import pools, streams, upload_mark, volume_xml
from provisioner.model.errors import Conflict, ImageRefused, InvalidInput

SEGMENT_BYTES = 32 * 1024**2
_NOTE_BYTES = 128


@dataclass(frozen=True, slots=True)
class Content:
    """What shall be sent; `identity` is the same only for the same bytes."""

    file: BinaryIO
    size_bytes: int
    identity: str


def upload(
    raw: libvirt.virConnect,
    pool: libvirt.virStoragePool,
    name: str,
    content: Content,
    *,
    on_sent: Callable[[int], None],
    what: str,
) -> libvirt.virStorageVol:
    """The volume of that name, complete; `on_sent` is told the bytes that are there, those of earlier uploads included.

    Raises:
        InvalidInput: the content is shorter than it should be.
        Conflict: another upload took this one's place.
    """
    with _marked(raw, pool, name, content, what=what) as done:
        volume = _kept(pool, name) if done else _fresh(pool, name, content.size_bytes)
        content.file.seek(done)
        while done < content.size_bytes:
            length = min(SEGMENT_BYTES, content.size_bytes - done)
            tell = _shifted(on_sent, done)
            streams.upload(raw, volume, content.file, offset=done, size_bytes=length, on_sent=tell)
            done += length
            _note(raw, pool, name, content, done, what=what)
    return volume


@contextlib.contextmanager
def _marked(raw: libvirt.virConnect, pool: libvirt.virStoragePool, name: str, content: Content, *, what: str) -> Iterator[int]:
    """Hide the volume while the block runs; gives how much of it is there already. A block that fails leaves what it has."""
    token = _token(content)
    done = _noted(raw, pool, name, content)
    if done and _kept(pool, name) is None:
        done = 0
    if not done:
        upload_mark.put(pool, name, token)
    try:
        yield done
    except (InvalidInput, ImageRefused):  # the content's own fault: nobody will go on with it
        upload_mark.give_up(pool, name, token)
        raise
    upload_mark.take_away(pool, name, token, what=what)


def _token(content: Content) -> int:
    digest = hashlib.sha256(f"{content.identity} {content.size_bytes}".encode()).digest()
    return upload_mark.token_of(int.from_bytes(digest[:8], "big"))


def _noted(raw: libvirt.virConnect, pool: libvirt.virStoragePool, name: str, content: Content) -> int:
    mark = upload_mark.find(pool, name, _token(content))
    if mark is None:
        return 0
    words = streams.download(raw, mark, offset=0, size_bytes=_NOTE_BYTES).rstrip(b"\0").decode("ascii", "replace").split()
    if words[:2] != [content.identity, str(content.size_bytes)] or len(words) != 3 or not words[2].isdecimal():
        return 0
    done = int(words[2])
    return done if done <= content.size_bytes else 0


def _note(raw: libvirt.virConnect, pool: libvirt.virStoragePool, name: str, content: Content, done: int, *, what: str) -> None:
    mark = upload_mark.find(pool, name, _token(content))
    if mark is None:
        raise Conflict(what, why="another upload of the same name, or its deletion, overtook this one")
    text = f"{content.identity} {content.size_bytes} {done}".encode().ljust(_NOTE_BYTES, b"\0")
    streams.upload(raw, mark, io.BytesIO(text), size_bytes=_NOTE_BYTES, on_sent=lambda _sent: None)


def _kept(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol | None:
    return pools.lookup(pool, name)


def _fresh(pool: libvirt.virStoragePool, name: str, size_bytes: int) -> libvirt.virStorageVol:
    pools.delete(pool, name)
    return pool.createXML(volume_xml.render(name, size_bytes=size_bytes, image_format="raw", allocation_bytes=0), 0)


def _shifted(on_sent: Callable[[int], None], before: int) -> Callable[[int], None]:
    return lambda sent: on_sent(before + sent)
