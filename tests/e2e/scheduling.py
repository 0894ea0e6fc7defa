"""Who gets the next file of tests, where one file takes minutes.

pytest-xdist hands out files well ahead, so that workers never wait for the controller; with files of minutes that means that
one worker still has three of them when the other has none left. Here a worker has what it runs and the one test that it must
know to come next, and not more. Invariant: the order of the files is that of the collection.
"""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]
from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

PENDING_MOST = 2
"""The test that runs, and the one after it: a worker starts no test before it knows that."""


class OneAhead(LoadFileScheduling):  # type: ignore[misc]
    """Files to workers, as late as can be."""

    def _reschedule(self, node: WorkerController) -> None:
        if self.workqueue and self._pending_of(self.assigned_work[node]) >= PENDING_MOST:
            return
        super()._reschedule(node)
