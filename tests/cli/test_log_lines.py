"""Log lines as JSON: one object a line whatever is logged, with its key and its step, and without private keys."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from cli.logs import AsJson
from cli.step_log import StepLog
from provisioner.model.metadata import Key
from provisioner.model.redaction import KEY_REMOVED

KEY = Key("VirtualMachine", "default", "train")
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n"
"""Cut off: nothing says where it ends."""


class Caught(logging.Handler):
    """Keeps the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(AsJson())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def entry(message: str, *arguments: object, **settings: Any) -> dict[str, Any]:
    log, caught = logging.Logger("hikube.test"), Caught()
    log.addHandler(caught)
    log.warning(message, *arguments, **settings)
    (line,) = caught.lines
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_says_when_where_and_what() -> None:
    found = entry("nothing %s", "special")
    assert found.pop("time").endswith("Z")
    assert found == {"level": "warning", "logger": "hikube.test", "message": "nothing special"}


def test_the_object_that_a_line_is_about_stands_apart() -> None:
    found = entry("%s: %s", KEY, "broken")
    assert (found["key"], found["message"]) == (str(KEY), "VirtualMachine default/train: broken")


def test_steps_stand_apart() -> None:
    observer, caught = StepLog(), Caught()
    log = logging.getLogger("hikube.steps")
    log.addHandler(caught)
    level, log.level = log.level, logging.DEBUG
    try:
        observer.step_started(KEY, "bind")
        observer.step_waiting(KEY, "bind", "busy")
        observer.step_finished(KEY, "bind", 1.5, "1 GPU")
        observer.step_undone(KEY, "bind")
        observer.failed(KEY, "bind", "gone")
    finally:
        log.level = level
        log.removeHandler(caught)
    entries = [json.loads(line) for line in caught.lines]
    assert [(found["key"], found["step"]) for found in entries] == [(str(KEY), "bind")] * 5
    assert [found["level"] for found in entries] == ["debug", "debug", "info", "info", "warning"]


def test_a_traceback_is_one_value() -> None:
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError:
        found = entry("a pass over %s broke", KEY, exc_info=sys.exc_info())
    assert found["error"].startswith("Traceback") and found["error"].endswith("ZeroDivisionError: a bug")


def test_private_keys_are_taken_out_and_the_line_stays_json() -> None:
    found = entry("%s said: %s", KEY, PRIVATE, extra={"step": "seed"})
    assert found["message"] == f"VirtualMachine default/train said: {KEY_REMOVED}"
    assert (found["key"], found["step"]) == (str(KEY), "seed")


def test_text_of_any_kind_fits_into_a_line() -> None:
    assert entry("%s", 'a "quoted"\n line\t\u2028 with \x00 and \ud800')["message"].startswith('a "quoted"\n line')
