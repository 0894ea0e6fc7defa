"""A child that may get stuck in the kernel: it is left alone if it does, and what it was to do is then known to hang.

Plain Python 3.9, standard library only, as everything that is sent to hosts.

The trap that shapes it: while an unbind or a reset of a device hangs, the kernel holds the device's lock, and whoever then
reads `config`, `driver_override` or `sriov_numvfs`, or writes anything, hangs too and cannot be killed. So all of that happens
in a child that bears the device's address as its name, and nothing is asked of a device as long as such a child of an earlier
look is still stuck: there is never more than one. Links and directories take no lock.
"""

from __future__ import annotations

import json
import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

HELPER, READER = "hk-", "lk-"
"""A process named so, with an address behind it, acts on that device, or reads it: 15 characters, all that a name may have."""
ANSWER_LIMIT = 1024 * 1024


class TimedOut(Exception):
    """The child did not answer in its time; it was left alone."""


class Failed(Exception):
    """The child met an error of the kernel's."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number
        self.text = text


def call_itself(name: str) -> None:
    """Bear this name, for whoever looks at the processes of the host."""
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as file:
            file.write(name)
    except OSError:
        pass  # only the protection against a second one is lost


def guarded(name: str, work: Callable[[], Any], *, limit_s: float) -> Any:
    """What `work` returns, from a child of this name that is left alone if it does not answer in time.

    Raises:
        TimedOut: no answer; the child may hang for ever, in a session of its own and with none of our files.
        Failed: an OSError in it, or it died.
    """
    ours, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(name, work, its)
    os.close(its)
    try:
        document = json.loads(_answer(ours, limit_s) or b"{}")
    finally:
        os.close(ours)
        _bury(pid)
    if "answer" not in document:
        raise Failed(document.get("number", 0), document.get("text", "the helper died without a word"))
    return document["answer"]


def _be_child(name: str, work: Callable[[], Any], descriptor: int) -> None:
    """Do the work and tell what came of it; never returns."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        if name:
            call_itself(name)
        try:
            document = {"answer": work()}
        except OSError as error:
            document = {"number": error.errno or 0, "text": error.strerror or str(error)}
        left = json.dumps(document).encode()
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os._exit(0)


def _answer(descriptor: int, limit_s: float) -> bytes:
    """Everything until the other end is closed."""
    answer = b""
    deadline_s = time.monotonic() + limit_s
    while len(answer) < ANSWER_LIMIT:
        if not select.select([descriptor], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
            raise TimedOut
        chunk = os.read(descriptor, 65536)
        if not chunk:
            break
        answer += chunk
    return answer


def _bury(pid: int) -> None:
    """Kill what still runs, and forget it; one that is stuck goes when the kernel lets it."""
    try:
        os.kill(pid, 9)
        os.waitpid(pid, os.WNOHANG)
    except OSError:
        pass
