"""`hikube completion`: the script that makes a shell complete commands, names, GPU models and hosts."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.output import put
from provisioner.model.errors import InvalidInput

SHELLS = ("bash", "zsh", "fish")


def prepare() -> None:
    """Teach typer the shells that it speaks to; needed only in a process that completes."""
    from typer._completion_classes import completion_init

    completion_init()


def completion(shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell")]) -> None:
    """Print the completion script of a shell.

    For bash, put this into ~/.bashrc: source <(hikube completion bash)
    """
    from typer._completion_shared import get_completion_script

    if shell not in SHELLS:
        raise InvalidInput(f"no completion for the shell {shell!r}", context={"allowed": list(SHELLS)})
    put(get_completion_script(prog_name="hikube", complete_var="_HIKUBE_COMPLETE", shell=shell) + "\n")
