"""Content of volumes through libvirt streams: bytes up, bytes down, in pieces.

One piece is one message of libvirt's protocol; larger ones are cut by it. Whoever waits is told of each piece that moved, so
that a large file needs no large time limit. A stream that is not finished is aborted: the host then closes the file as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

import libvirt

from provisioner.model.errors import InvalidInput

_PIECE_BYTES = 256 * 1024


def upload(
    raw: libvirt.virConnect,
    volume: libvirt.virStorageVol,
    content: BinaryIO,
    *,
    size_bytes: int,
    on_sent: Callable[[int], None],
    offset: int = 0,
) -> None:
    """Write exactly `size_bytes` of `content` into the volume from `offset` on, telling `on_sent` how many bytes went so far.

    Raises:
        InvalidInput: the content has fewer bytes.
    """
    with _stream(raw) as stream:
        volume.upload(stream, offset, size_bytes, 0)
        sent = 0
        while sent < size_bytes:
            piece = content.read(min(_PIECE_BYTES, size_bytes - sent))
            if not piece:
                raise InvalidInput("cannot upload", why=f"the content ends after {sent} of {size_bytes} bytes")
            _send(stream, piece)
            sent += len(piece)
            on_sent(sent)


def download(raw: libvirt.virConnect, volume: libvirt.virStorageVol, *, offset: int, size_bytes: int) -> bytes:
    """Up to `size_bytes` of the volume's content from `offset` on; fewer if the volume ends before."""
    received = bytearray()
    with _stream(raw) as stream:
        volume.download(stream, offset, size_bytes, 0)
        while len(received) < size_bytes and (piece := stream.recv(_PIECE_BYTES)):
            received += piece
    return bytes(received)


@contextmanager
def _stream(raw: libvirt.virConnect) -> Iterator[libvirt.virStream]:
    """A stream that is finished at the end of the block, or aborted if either fails."""
    stream = raw.newStream()
    with ExitStack() as undo:
        undo.callback(_abort, stream)
        yield stream
        stream.finish()
        undo.pop_all()


def _send(stream: libvirt.virStream, piece: bytes) -> None:
    while piece:
        piece = piece[stream.send(piece) :]


def _abort(stream: libvirt.virStream) -> None:
    try:
        stream.abort()
    except libvirt.libvirtError:
        return  # nothing to abort: it never began, or went with its connection
