"""From a plan that fails to the shortest part of it that was found to fail in the same way.

    all that had struck ──halving──> the shortest beginning that fails ──leaving out one by one, last first──> what is left

Every step is a trial of its own, since what is left out changes all that follows: a beginning that is shorter need not fail
where a longer one does. So the answer is the shortest *found*; the search is bounded in trials and in seconds, and its answer
was seen to fail.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.simulation.happening import Happening
from tests.simulation.runner import Finding

TRIALS_MAX = 80
SECONDS_MAX = 60.0
"""Of CPU, so that a busy machine finds what an idle one finds."""

Attempt = Callable[[Sequence[Happening]], Finding | None]
"""Lives through a part of the plan."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A part of a plan that fails."""

    happenings: tuple[Happening, ...]
    finding: Finding
    """What it failed with: the same check as the whole plan."""
    trials: int


def shrink(
    plan: Sequence[Happening],
    finding: Finding,
    attempt: Attempt,
    *,
    trials_max: int = TRIALS_MAX,
    seconds_max: float = SECONDS_MAX,
    spent_s: Callable[[], float] = time.process_time,
) -> Shrunk:
    """The shortest part found that fails with the check that `finding` failed with; the whole plan if none does."""
    search = _Search(tuple(plan), finding, attempt, trials_max=trials_max, ends_s=spent_s() + seconds_max, now=spent_s)
    search.cut_the_end()
    search.leave_out()
    return Shrunk(search.best, search.finding, search.trials)


class _Search:
    def __init__(
        self,
        plan: tuple[Happening, ...],
        finding: Finding,
        attempt: Attempt,
        *,
        trials_max: int,
        ends_s: float,
        now: Callable[[], float],
    ) -> None:
        self.best = plan
        self.finding = finding
        self.trials = 0
        self._attempt = attempt
        self._trials_max = trials_max
        self._ends_s = ends_s
        self._now = now

    def cut_the_end(self) -> None:
        """What had not struck first, then by halves: the beginning must fail, and a shorter one that was tried did not."""
        struck = {number for number, _ in self.finding.told}
        last = max((index for index, happening in enumerate(self.best) if happening.number in struck), default=-1)
        self._fails(self.best[: last + 1])
        passes = -1  # so long a beginning is known, or taken, to pass
        while self._may_go_on() and len(self.best) - passes > 1:
            middle = (passes + len(self.best)) // 2
            if not self._fails(self.best[:middle]):
                passes = middle

    def leave_out(self) -> None:
        """One by one, from the last to the first, until none can be spared."""
        spared = True
        while spared:
            spared = False
            for happening in reversed(self.best):
                if not self._may_go_on():
                    return
                spared = self._fails(tuple(each for each in self.best if each != happening)) or spared

    def _may_go_on(self) -> bool:
        return self.trials < self._trials_max and self._now() < self._ends_s

    def _fails(self, part: tuple[Happening, ...]) -> bool:
        """Whether that part fails in the same way; it is the best from then on."""
        if len(part) == len(self.best) or not self._may_go_on():
            return False
        self.trials += 1
        finding = self._attempt(part)
        if finding is None or finding.check != self.finding.check:
            return False
        self.best, self.finding = part, finding
        return True
