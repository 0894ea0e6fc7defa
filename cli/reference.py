"""The reference of every command, made from their own help: `python -m cli.reference > docs/reference/cli.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from cli.lazy import LazyGroup
from cli.main import PROGRAM
from cli.tree import ROOT

WIDTH = 110
HEAD = """# Commands

Every command as its `--help` has it. This page is generated: `python -m cli.reference > docs/reference/cli.md`.

Data goes to stdout, everything else to stderr; nothing is asked without a terminal. What the exit codes mean is in
[exit-codes.md](exit-codes.md), what `-o json` prints in [json.md](json.md), what the error codes mean in
[../errors.md](../errors.md).

| variable | meaning |
|---|---|
| `HIKUBE_DATA_DIR` | where the store, logs, labs and generated keys are; `~/.local/share/hikube` otherwise |
| `HIKUBE_CACHE_DIR` | where downloaded images are; `~/.cache/hikube` otherwise |
| `HIKUBE_CONFIG_DIR` | where `tables.d/*.yaml` adds GPUs, instance types and images; `~/.config/hikube` otherwise |
| `HIKUBE_KEY_FILE` | the file with the key that Secrets are sealed with; `hikube.db.key` beside the store otherwise |
| `HIKUBE_STORE` | `kubernetes`: the store is the API server of a cluster (`--store`); `file` otherwise |
| `HIKUBE_KUBECONFIG`, `HIKUBE_CONTEXT` | which cluster (`--kubeconfig`, `--context`); as kubectl finds it otherwise |
| `HIKUBE_LISTEN` | where the controller serves metrics and health (`--listen`); nowhere otherwise |
| `HIKUBE_NAMESPACE` | the namespace where `-n` is not given; `default` otherwise |
| `NO_COLOR` | no line on a terminal is rewritten |
"""


def reference() -> str:
    """The whole page."""
    root = LazyGroup(PROGRAM, ROOT)
    return HEAD + "".join(f"\n## {path}\n\n```\n{text.rstrip()}\n```\n" for path, text in _texts(root, PROGRAM, None))


def _texts(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
    context = command.make_context(
        name, [], parent=parent, resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH
    )
    yield context.command_path, command.get_help(context)
    for child in getattr(command, "commands", {}):
        yield from _texts(command.commands[child], child, context)


if __name__ == "__main__":
    sys.stdout.write(reference())
