"""The entry of the `hikube` command: runs it, turns what it raises into text and an exit code, and never shows a traceback.

An error of ours has its own exit code (docs/reference/exit-codes.md). Anything else is a bug: exit 1, and the traceback goes
to a file whose path is printed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

import typer

from cli.lazy import LazyGroup
from cli.tree import ROOT

PROGRAM = "hikube"


def main() -> None:
    """The console script. Ends the process at once: jobs of the control loop that are under way end with it, by design."""
    code = run(sys.argv[1:])
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    arguments = ["version"] if list(arguments) == ["--version"] else list(arguments)
    if f"_{PROGRAM.upper()}_COMPLETE" in os.environ:
        from cli.completion import prepare

        prepare()
    try:
        code = LazyGroup(PROGRAM, ROOT).main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        return _reader_has_gone()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except typer.Abort:
        sys.stderr.write("\n")
        return 130
    except Exception as error:  # noqa: BLE001 - the one place where everything ends
        from cli.failure import report

        return report(error, arguments)


def _reader_has_gone() -> int:
    """Whoever read our output has enough (`hikube … | head`); keep the interpreter from complaining about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
