"""Which store a command works on: the file of this user, or the API server of a Kubernetes cluster.

    hikube --store kubernetes --kubeconfig FILE --context NAME get vm          HIKUBE_STORE, HIKUBE_KUBECONFIG, HIKUBE_CONTEXT

What is said before the command wins over the environment, and is put there while the command runs. Reading it imports nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from provisioner.model.errors import InvalidInput

FILE, KUBERNETES = "file", "kubernetes"
STORE, KUBECONFIG, CONTEXT = "HIKUBE_STORE", "HIKUBE_KUBECONFIG", "HIKUBE_CONTEXT"
CLASS = "HIKUBE_CLASS"
"""Of the controller: which objects of a cluster it acts on."""
OPTIONS = {"--store": STORE, "--kubeconfig": KUBECONFIG, "--context": CONTEXT}


def is_kubernetes() -> bool:
    """Whether the store is an API server.

    Raises:
        InvalidInput: it is none that there is, or a cluster is named that would not be looked at.
    """
    chosen = os.environ.get(STORE) or FILE
    if chosen not in (FILE, KUBERNETES):
        hint = f"--store {KUBERNETES}, or --store {FILE}, which is the default; {STORE} says it for every command"
        raise InvalidInput(f"there is no store {chosen!r}", hint=hint)
    unused = [name for name in (KUBECONFIG, CONTEXT) if os.environ.get(name)]
    if chosen == FILE and unused:
        words = ", ".join(option for option, name in OPTIONS.items() if name in unused)
        hint = f"add --store {KUBERNETES}, or set {STORE}={KUBERNETES}"
        raise InvalidInput(f"{words} (or {', '.join(unused)}) is given, and the store is a file", hint=hint)
    return chosen == KUBERNETES


def kubeconfig() -> Path | None:
    """The file that names the cluster; None: as kubectl finds it, or the cluster that this process runs in."""
    given = os.environ.get(KUBECONFIG)
    return Path(given).expanduser() if given else None


def context() -> str:
    """Which of its contexts; empty: the current one."""
    return os.environ.get(CONTEXT, "")


def class_name() -> str:
    """The class whose objects a controller of a cluster acts on; empty: those without one.

    Raises:
        InvalidInput: it is no name for a class.
    """
    from provisioner.model.classes import class_name as checked

    return checked(os.environ.get(CLASS, ""))


def taken_from(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The choice that stands before the command, as variables of the environment, and the arguments without it.

    Raises:
        InvalidInput: an option without a value.
    """
    chosen: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0].partition("=")[0] in OPTIONS:
        option, has_value, value = rest.pop(0).partition("=")
        if not has_value:
            if not rest:
                raise InvalidInput(f"{option} needs a value")
            value = rest.pop(0)
        chosen[OPTIONS[option]] = value
    return chosen, rest


def put_in_place(chosen: Mapping[str, str]) -> Callable[[], None]:
    """Let the environment say so from now on; returns what brings back what it said before."""
    before = {name: os.environ.get(name) for name in chosen}
    os.environ.update(chosen)

    def undo() -> None:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    return undo
