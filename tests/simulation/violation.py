"""What a trial ends with when something is as it must never be."""

from __future__ import annotations


class Violation(BaseException):
    """Something that must never be so was so, or something that must come did not.

    A BaseException: it may come up in the middle of a pass, and the control loop, which survives every Exception, must not
    catch it.

    Args:
        check: The name of the check that found it.
        what: In one sentence, with names and numbers.
    """

    def __init__(self, check: str, what: str) -> None:
        super().__init__(f"{check}: {what}")
        self.check = check
        self.what = what
