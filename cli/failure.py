"""What happens to an error that ends a command: text or JSON on stderr, and its exit code."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from cli.render.failure import error_text
from provisioner.model.errors import HikubeError, InvalidInput
from provisioner.model.redaction import without_private_keys

CRASH_LOGS_KEPT = 20


def report(error: Exception, arguments: Sequence[str]) -> int:
    """Print the error to stderr the way the command line asked for, and return its exit code."""
    ours = _translated(error, arguments)
    if wants_json(arguments):
        sys.stderr.write(json.dumps(_safe({"error": ours.as_dict(), "exitCode": ours.exit_code}), ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(without_private_keys(error_text(ours)))
    sys.stderr.flush()
    return ours.exit_code


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the output format asked for is JSON; read from the raw arguments, since they may be what is wrong."""
    before_dashes = list(arguments)[: list(arguments).index("--")] if "--" in arguments else list(arguments)
    pairs = zip(before_dashes, [*before_dashes[1:], ""], strict=True)
    return any(
        word in ("-ojson", "-o=json", "--output=json") or (word in ("-o", "--output") and value == "json")
        for word, value in pairs
    )


def _safe(value: Any) -> Any:
    """The data with private keys taken out of every text in it."""
    if isinstance(value, str):
        return without_private_keys(value)
    if isinstance(value, Mapping):
        return {name: _safe(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(inner) for inner in value]
    return value


def _translated(error: Exception, arguments: Sequence[str]) -> HikubeError:
    if isinstance(error, HikubeError):
        return error
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "hikube"
        return InvalidInput(error.format_message().rstrip("."), hint=f"`{command} --help` lists what it takes")
    return _bug(error, arguments)


def _bug(error: Exception, arguments: Sequence[str]) -> HikubeError:
    path = _crash_log(error, arguments)
    return HikubeError(
        f"a bug in hikube: {type(error).__name__}: {str(error)[:300]}",
        why=f"the traceback is in {path}" if path else "the traceback could not be written anywhere",
        hint="please report it with that file; what was already accepted stays as it is" if path else "",
        context={"log": str(path or "")},
    )


def _crash_log(error: Exception, arguments: Sequence[str]) -> Path | None:
    import tempfile

    from cli.places import data_dir

    text = "".join(traceback.format_exception(error))
    lines = f"hikube {_shown(arguments)}\n\n{text}"
    name = f"crash-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}.log"
    for directory in (data_dir() / "logs", Path(tempfile.gettempdir())):
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = directory / name
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(without_private_keys(lines))
            _forget_old(directory)
            return path
        except OSError:
            continue
    return None


def _forget_old(directory: Path) -> None:
    for old in sorted(directory.glob("crash-*.log"))[:-CRASH_LOGS_KEPT]:
        old.unlink(missing_ok=True)


def _shown(arguments: Sequence[Any]) -> str:
    import shlex

    words = [str(word) for word in arguments]
    if "--" in words:  # what follows is the user's own, such as a command for a guest
        words = [*words[: words.index("--") + 1], "…"]
    return shlex.join(words)
