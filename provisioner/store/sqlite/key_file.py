"""The key file: what a store's Secrets are sealed with, in a file of its own that may lie on another disk.

One key per line, the one in use first; during a change of keys the old one stays in the file until nothing needs it:

    hikube-key-1:<32 bytes, base64>

A key has an id, computed from it and safe to show, so that a store can say which key it needs. A new file is whole and on the
disk before anybody reads it: written beside, flushed, then given its name. A file that exists is never overwritten by chance.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from provisioner.model.errors import SecretsLocked
from provisioner.store.sqlite import files

KEY_BYTES = 32
_PREFIX = "hikube-key-1:"
_FILE_BYTES_MAX = 64 * 1024
_HEAD = "# Seals the Secrets of a hikube store. They are lost without it; keep a copy, and not beside the store.\n"

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class SealingKey:
    """One key for AES-256-GCM."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """16 hexadecimal digits that say which key it is and nothing of what it is."""
        return hashlib.sha256(b"hikube key id\0" + self.secret).hexdigest()[:16]


def new_key(random_bytes: RandomBytes = os.urandom) -> SealingKey:
    """A key that nobody has."""
    return SealingKey(random_bytes(KEY_BYTES))


class KeyFile:
    """The file at one path; it need not exist yet."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)

    def read(self) -> tuple[SealingKey, ...]:
        """The keys in it, the one in use first; none if there is no such file. Narrows a file of ours that others may read.

        Raises:
            SecretsLocked: it cannot be read, or is no key file.
        """
        with self._trouble("cannot be read"):
            with contextlib.suppress(PermissionError):  # a stick with FAT knows no modes
                files.narrow(self.path)
            try:
                with open(self.path, "rb") as file:
                    content = file.read(_FILE_BYTES_MAX)
            except FileNotFoundError:
                return ()
        found = tuple(_parsed(line) for line in content.splitlines() if line.strip() and not line.startswith(b"#"))
        if not found or None in found:
            raise locked(self.path, why="it is no key file, or is damaged", hint="restore it from a copy")
        return tuple(key for key in found if key is not None)

    def create(self, key: SealingKey) -> tuple[SealingKey, ...]:
        """Make it with that key, on the disk when this returns; one that is there already is left as it is and read instead."""
        with self._trouble("cannot be made"), self._written_beside((key,)) as beside:
            try:
                _name(beside, self.path)
            except FileExistsError:
                return self.read()
            _flush_directory(self.path)
        return (key,)

    def replace(self, keys: tuple[SealingKey, ...]) -> None:
        """Put these keys in its place: readers see the old file or the new one, also after a crash."""
        with self._trouble("cannot be written"), self._written_beside(keys) as beside:
            os.replace(beside, self.path)
            _flush_directory(self.path)

    @contextmanager
    def _written_beside(self, keys: tuple[SealingKey, ...]) -> Iterator[str]:
        files.make_directories(os.path.dirname(self.path))
        beside = f"{self.path}.new-{os.getpid()}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                with contextlib.suppress(PermissionError):
                    os.chmod(beside, 0o600)
                file.write(_HEAD + "".join(f"{_PREFIX}{base64.b64encode(key.secret).decode()}\n" for key in keys))
                file.flush()
                os.fsync(file.fileno())
            yield beside
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)

    @contextmanager
    def _trouble(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = "check the path, and that this user may use the file; HIKUBE_KEY_FILE names another one"
            raise locked(self.path, why=f"it {what}: {error.strerror or error}", hint=hint) from error


def locked(path: str, *, why: str, hint: str, **facts: str) -> SecretsLocked:
    """The error for Secrets that cannot be sealed or read with the key file at `path`."""
    what = f"the Secrets of the store are locked: key file {path}"
    return SecretsLocked(what, why=why, hint=hint, context={"key_file": path, **facts})


def _parsed(line: bytes) -> SealingKey | None:
    if not line.startswith(_PREFIX.encode()):
        return None
    try:
        secret = base64.b64decode(line.strip()[len(_PREFIX) :], validate=True)
    except binascii.Error:
        return None
    return SealingKey(secret) if len(secret) == KEY_BYTES else None


def _name(beside: str, path: str) -> None:
    """Give the file its name, unless something has it. Without hard links, two at the same moment may both succeed."""
    try:
        os.link(beside, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from error
        os.rename(beside, path)


def _flush_directory(path: str) -> None:
    """Make the name last over a crash of the machine, where directories can be opened for that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
