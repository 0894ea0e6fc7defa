"""`hikube completion`: the script that makes a shell complete commands, names, GPU models and hosts."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.output import put
from provisioner.model.errors import InvalidInput

SHELLS = ("bash", "zsh", "fish")
COLONS = r"""
_hikube_whole_words() {
    local line=${COMP_LINE:0:COMP_POINT} word before
    word=${line##*[[:space:]]}
    if [[ $word != *:* ]]; then
        _hikube_completion "$@"
        return
    fi
    read -ra before <<< "${line%"$word"}"
    COMP_WORDS=("${before[@]}" "$word") COMP_CWORD=${#before[@]}
    _hikube_completion "$@"
    COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*:}"}"}")
}

complete -o default -F _hikube_whole_words hikube
"""
"""bash takes a colon for the end of a word, and PCI addresses have two: the word is put together again, and what stands before
its last colon is not offered once more."""


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
    if shell == "bash":
        put(COLONS)
