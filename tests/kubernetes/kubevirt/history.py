"""What became of VMs, as watches told it: one line for each change that a reader of this package cares about.

        VM Stopped, VM Starting, ...   a printableStatus        VMI Pending, VMI Running, ...  a phase
        VM marked, VMI marked, Pod marked   a deletionTimestamp     VM gone, VMI gone, Pod gone
        Pod made, Pod bound, Pod Running, Pod Succeeded, ...

Lines are in the order of the API server's versions, which are one sequence for all kinds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial

from tests.kubernetes.kubevirt.fields import Document, Key, at, is_deleting, key_of, uid_of
from tests.kubernetes.kubevirt.mirror import Mirror

KEPT_MAX = 100_000
WORDS = {"VirtualMachine": "VM", "VirtualMachineInstance": "VMI", "Pod": "Pod"}


class History:
    """Listens from its making; the mirrors must not have been started."""

    def __init__(self, mirrors: Sequence[Mirror]) -> None:
        self._lines: list[tuple[int, Key, str]] = []
        self._last: dict[str, list[str]] = {}
        self._lock = threading.Lock()
        for mirror in mirrors:
            if mirror.resource.kind in WORDS:
                mirror.listen(partial(self._record, mirror))

    def story(self, key: Key) -> list[str]:
        """Of the VM of this name, its instances and pods; a line that repeats the one before it of an object is left out."""
        with self._lock:
            return [line for _, of, line in sorted(self._lines) if of == key]

    def _record(self, mirror: Mirror, document: Document) -> None:
        kind = WORDS[mirror.resource.kind]
        gone = mirror.get(key_of(document)) is None
        name = (
            at(document, "metadata", "annotations", "kubevirt.io/domain", default="") if kind == "Pod" else key_of(document)[1]
        )
        version = int(document["metadata"]["resourceVersion"])
        with self._lock:
            told = self._last.setdefault(uid_of(document), [])
            for word in [*_words(kind, document), *(["gone"] if gone else [])]:
                if not told or word != _last_of(told, word):
                    told.append(word)
                    self._lines.append((version, (key_of(document)[0], name), f"{kind} {word}"))
            del self._lines[:-KEPT_MAX]


def _words(kind: str, document: Document) -> Iterator[str]:
    if is_deleting(document):
        yield "marked"
    if kind == "VM":
        state = at(document, "status", "printableStatus")
    elif kind == "VMI":
        state = at(document, "status", "phase")
    else:
        phase = at(document, "status", "phase")
        bound = "bound" if at(document, "spec", "nodeName") else "made"
        state = bound if phase == "Pending" else phase
    if state:
        yield state


def _last_of(told: list[str], word: str) -> str:
    """A mark stands beside a state: each is compared with the last of its own sort."""
    sort = word in ("marked", "gone")
    return next((each for each in reversed(told) if (each in ("marked", "gone")) == sort), "")
