"""Questions to a person at a terminal. Prompts go to stderr; without a terminal the command ends with a hint instead."""

from __future__ import annotations

import sys

import typer

from cli.output import say, talks_to_a_person
from provisioner.model.errors import InvalidInput

REFUSED_EXIT_CODE = 130
"""A no is an end by the person, like Ctrl-C at the question: a script can tell it from done."""


def ask(question: str, *, default: str = "") -> str:
    """One line of answer; the default for an empty one.

    Raises:
        typer.Abort: the input ended.
    """
    sys.stderr.write(f"{question} [{default}] " if default else f"{question} ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        raise typer.Abort
    return answer.strip() or default


def agrees(question: str) -> bool:
    """Whether the answer is yes; anything else is no."""
    return ask(f"{question} [y/N]").lower() in ("y", "yes")


def require(question: str, *, yes: bool) -> None:
    """Go on only with a yes, from `-y` or from a person.

    Raises:
        InvalidInput: there is nobody to ask.
        typer.Exit: 130, the answer was no.
    """
    if yes:
        return
    if not talks_to_a_person():
        raise InvalidInput(question.rstrip("?") + " needs a yes", hint="there is no terminal to ask on: repeat with --yes")
    if not agrees(question):
        say("nothing was changed")
        raise typer.Exit(REFUSED_EXIT_CODE)
