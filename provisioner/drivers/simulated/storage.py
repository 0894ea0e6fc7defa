"""Where a host's state is kept: in this process, or in a file that several processes share.

Whoever opens it is alone with it until the block ends; whatever the block did is kept, also when it raised, as a real host
keeps what was done before an error. A file is replaced whole under a lock, so that a process that is killed leaves the old or
the new state, never half of one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from provisioner.drivers.simulated.state import HostState
from provisioner.file_locks import file_lock
from provisioner.model.errors import HostUnreachable, HypervisorError


class Storage(Protocol):
    """Keeps the state of one host."""

    def open(self, *, only_if_there: bool = False) -> AbstractContextManager[HostState]:
        """The state, to be read and changed inside the block; made if it is not there. Blocks must not be nested.

        Raises:
            HostUnreachable: it cannot be had; with `only_if_there` also if it would have to be made.
        """
        ...


class MemoryStorage:
    """State of this process."""

    def __init__(self, state: HostState) -> None:
        self._state = state
        self._lock = threading.Lock()

    @contextmanager
    def open(self, *, only_if_there: bool = False) -> Iterator[HostState]:
        """See Storage."""
        with self._lock:
            yield self._state


class FileStorage:
    """State in a JSON file, loaded and stored at every block, under a lock on a file beside it."""

    def __init__(self, path: Path, *, first: Callable[[], HostState]) -> None:
        self._path = path
        self._first = first
        self._lock = threading.Lock()
        self._between_processes = file_lock(f"{path}.lock")

    @contextmanager
    def open(self, *, only_if_there: bool = False) -> Iterator[HostState]:
        """See Storage.

        Raises:
            HostUnreachable: the file cannot be read or written.
            HypervisorError: it holds no state of a simulated host.
        """
        with self._lock, self._file_lock(only_if_there=only_if_there):
            before = self._read()
            if before is None and only_if_there:
                raise self._unreachable("there is no such file")
            state = self._first() if before is None else _decode(before, path=self._path)
            try:
                yield state
            finally:
                after = _adapter().dump_json(state)
                if after != before:
                    self._write(after)

    @contextmanager
    def _file_lock(self, *, only_if_there: bool) -> Iterator[None]:
        try:
            if not only_if_there:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            self._between_processes.acquire()
        except OSError as error:
            raise self._unreachable(error) from error
        try:
            yield
        finally:
            self._between_processes.release()

    def _read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreachable(error) from error

    def _write(self, data: bytes) -> None:
        draft = self._path.with_name(f"{self._path.name}.new")
        try:
            draft.write_bytes(data)
            draft.replace(self._path)
        except OSError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: OSError | str) -> HostUnreachable:
        return HostUnreachable(f"The state of the simulated host in {self._path} is not to be had", why=str(error))


@cache
def _adapter() -> TypeAdapter[HostState]:
    """Made when first needed: it takes a moment, and hosts in memory never need it."""
    return TypeAdapter(HostState)


def _decode(data: bytes, *, path: Path) -> HostState:
    try:
        return _adapter().validate_json(data)
    except ValidationError as error:
        raise HypervisorError(
            f"{path} holds no state of a simulated host",
            why=f"{error.error_count()} mistakes; the first: {error.errors()[0]['msg']}",
            hint="Remove the file to begin with a fresh host.",
        ) from error
