"""Tells objects whether they were understood: noted by whoever reads them, written by the leader alone, in a thread of its own.

    read: refused ──> condition Accepted=False, and an event ┐
          mended  ──> condition taken away                   ├──> one task for each object, the newest ──> written, at a rate
          accepted, worked on, not recorded ──> the record   ┘

What is read again says what is still to be done, so nothing is remembered of what was written: an object that bears its
answer costs a look. Too many tasks: the oldest are forgotten, and noted again at the next list. A write names the version that
was read.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from provisioner.model.classes import CLASSED
from provisioner.model.clock import timestamp
from provisioner.model.errors import Conflict, ControllerBusy, HikubeError, NotFound, StoreUnavailable
from provisioner.model.kinds import WORDS
from provisioner.rate import Rate
from provisioner.store.kubernetes import acceptance
from provisioner.store.kubernetes.api_server import APPLY_PATCH, MERGE_PATCH
from provisioner.store.kubernetes.documents import WRITTEN
from provisioner.store.kubernetes.paths import path_of
from provisioner.store.protocol import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provisioner.model.clock import Clock
    from provisioner.model.metadata import Key
    from provisioner.store.kubernetes.api_server import ApiServer

log = logging.getLogger(__name__)

TASKS_MAX = 2_000
WRITES_PER_S = 20.0
BURST = 100
PAUSE_S = 1.0
"""After a write that the server did not answer, or while leading is in doubt."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Task:
    """One write. With a status: applied (without conditions it takes ours away); with a record: annotated."""

    identity: Document = field(default_factory=dict)
    """uid and resourceVersion that were read."""
    status: Document | None = None
    record: str = ""
    told: str = ""
    """The message of the event; empty: it was told before."""
    reason: str = ""


class Answers:
    """Safe to use from several threads. Notes nothing before `begin`."""

    def __init__(self, server: ApiServer, *, clock: Clock, tell: Callable[[Event], None]) -> None:
        self._server = server
        self._clock = clock
        self._tell = tell
        self._rate = Rate(clock, per_s=WRITES_PER_S, burst=BURST)
        self._tasks: OrderedDict[Key, _Task] = OrderedDict()
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._class_name = ""

    def begin(self, fence: Callable[[], None], *, class_name: str) -> None:
        """Write from now on what is noted of that class, while the fence allows it. Repeating it is harmless."""
        with self._news:
            self._class_name = class_name
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._run, args=(fence,), name="answers", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Write nothing more. Idempotent."""
        with self._news:
            self._is_closed = True
            self._news.notify_all()

    def understood(self, key: Key, document: Mapping[str, Any], *, record: Callable[[], str]) -> None:
        """The object is as it should be; `record` makes the text that says so."""
        if not self._serves(key, document):
            return
        if (change := acceptance.class_change(document)) is not None:
            self.refused(key, document, change)
        elif acceptance.is_marked(document):
            self._note(key, _Task(_identity(document), status={"conditions": []}))
        elif acceptance.is_worked_on(document) and not acceptance.is_recorded(document) and (text := record()):
            self._note(key, _Task(_identity(document), record=text))

    def refused(self, key: Key, document: Mapping[str, Any], error: HikubeError) -> None:
        """Nobody understands the object as it is."""
        if not self._serves(key, document):
            return
        condition = acceptance.condition_of(error, document, now=timestamp(self._clock.now_s()))
        if acceptance.says(document, condition):
            return
        told = condition["message"] if condition["message"] != acceptance.message_of(document) else ""
        status = acceptance.status_of_refused(document, condition)
        self._note(key, _Task(_identity(document), status=status, told=told, reason=condition["reason"]))

    def _serves(self, key: Key, document: Mapping[str, Any]) -> bool:
        """Whether it is ours to answer. What belongs to no tenant and to no class may be answered by the leaders of all."""
        if self._thread is None or key.kind not in WRITTEN:
            return False
        is_anybodys = key.kind not in CLASSED and not acceptance.labelled(document)
        return is_anybodys or acceptance.class_of(document) == self._class_name

    def _note(self, key: Key, task: _Task) -> None:
        with self._news:
            self._tasks[key] = task
            self._tasks.move_to_end(key)
            if len(self._tasks) > TASKS_MAX:
                self._tasks.popitem(last=False)
            self._news.notify_all()

    def _run(self, fence: Callable[[], None]) -> None:
        while (taken := self._next()) is not None:
            key, task = taken
            try:
                self._rate.take()
                fence()
                self._write(key, task)
            except (Conflict, NotFound):
                continue  # it has changed since, which is heard and read anew
            except (StoreUnavailable, ControllerBusy) as error:
                log.info("%s: its answer waits: %s", key, error)
                self._put_back(key, task)
            except HikubeError as error:
                log.warning("%s cannot be answered: %s", key, error)

    def _next(self) -> tuple[Key, _Task] | None:
        with self._news:
            self._news.wait_for(lambda: self._tasks or self._is_closed)
            return None if self._is_closed else self._tasks.popitem(last=False)

    def _put_back(self, key: Key, task: _Task) -> None:
        """To be tried again after a pause, unless something newer is to be written."""
        with self._news:
            self._tasks.setdefault(key, task)
            self._news.wait_for(lambda: self._is_closed, PAUSE_S)

    def _write(self, key: Key, task: _Task) -> None:
        if task.record:
            metadata = {**task.identity, "annotations": {acceptance.ACCEPTED: task.record}}
            self._server.request("PATCH", path_of(key), body={"metadata": metadata}, content_type=MERGE_PATCH)
            return
        names = {"name": key.name} | ({"namespace": key.namespace} if key.namespace else {})
        head = {"apiVersion": WORDS[key.kind].api_version, "kind": key.kind, "metadata": {**names, **task.identity}}
        query = {"fieldManager": acceptance.FIELD_MANAGER, "force": "true"}
        body = {**head, "status": task.status}
        self._server.request("PATCH", f"{path_of(key)}/status", query=query, body=body, content_type=APPLY_PATCH)
        if task.told:
            self._tell(Event(key, "Warning", task.reason, task.told))


def _identity(document: Mapping[str, Any]) -> Document:
    metadata = document["metadata"]
    return {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
