"""Reading what `-f` names: files, directories, stdin. All mistakes of all files are reported together."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.output import say
from cli.render.failure import mistake_line
from cli.session import Session
from provisioner.model.errors import InvalidDocuments, InvalidInput, NotAllowed, NotFound
from provisioner.model.metadata import Resource

SUFFIXES = (".yaml", ".yml", ".json")
READ_BYTES_MAX = (4 << 20) + 1
"""One more than the door accepts in all: enough for it to see that it is too much."""
FILES_MAX = 1_000
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """One file's content and the name that mistakes are reported under."""

    name: str
    content: bytes


def read_resources(
    session: Session, files: Sequence[str], *, recursive: bool = False, namespace: str = "default"
) -> tuple[Resource, ...]:
    """Every resource of the files, in their order; warnings are said on stderr. `namespace` is for objects that name none.

    Raises:
        InvalidInput, NotFound, NotAllowed: a file cannot be read.
        InvalidDocuments: with the mistakes of all files.
    """
    resources: list[Resource] = []
    errors: list[InvalidDocuments] = []
    sources = read_sources(files, recursive=recursive)
    for source in sources:
        try:
            resources += _parsed(session, source, namespace)
        except InvalidDocuments as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else _together(errors, sources)
    return tuple(resources)


def from_options(session: Session, document: dict[str, Any]) -> Resource:
    """The resource that a command's options describe, through the same door as a file.

    Raises:
        InvalidDocuments: with mistakes that name fields and no lines, since there is no file.
    """
    from provisioner.model.documents import parse

    try:
        parsed = parse(json.dumps(document, indent=1, ensure_ascii=False), source="the options", tables=session.tables)
    except InvalidDocuments as error:
        mistakes = [{**mistake, "file": "", "line": 0, "column": 0} for mistake in error.context["mistakes"]]
        what = error.what.replace(" in the options", " in the options given")
        raise InvalidDocuments(what, hint=error.hint, context={"mistakes": mistakes}) from error
    for warning in parsed.warnings:
        say(f"warning: {warning.path}: {warning.message}" if warning.path else f"warning: {warning.message}")
    return parsed.resources[0]


def _parsed(session: Session, source: Source, namespace: str) -> tuple[Resource, ...]:
    from provisioner.model.documents import decode, parse

    text = decode(source.content, source=source.name)
    parsed = parse(text, source=source.name, tables=session.tables, namespace=namespace)
    for warning in parsed.warnings:
        say(f"warning: {mistake_line(warning.as_dict())}")
    return parsed.resources


def _together(errors: Sequence[InvalidDocuments], sources: Sequence[Source]) -> InvalidDocuments:
    mistakes: list[dict[str, Any]] = [mistake for error in errors for mistake in error.context["mistakes"]]
    what = f"{len(mistakes)} mistakes in {len(errors)} of {len(sources)} files"
    return InvalidDocuments(what, context={"mistakes": mistakes})


def read_sources(files: Sequence[str], *, recursive: bool) -> tuple[Source, ...]:
    """The contents of everything that `-f` names."""
    if not files:
        raise InvalidInput("no file was given", hint="-f FILE, -f DIRECTORY, or -f - for stdin")
    if list(files).count(STDIN) > 1:
        raise InvalidInput("stdin can be read only once")
    sources: list[Source] = []
    for name in files:
        if name == STDIN:
            sources.append(Source("<stdin>", sys.stdin.buffer.read(READ_BYTES_MAX)))
        else:
            sources += [_read(path) for path in _paths(Path(name), recursive=recursive)]
    return tuple(sources)


def _paths(path: Path, *, recursive: bool) -> list[Path]:
    if not path.is_dir():
        return [path]
    found: Iterable[Path] = path.rglob("*") if recursive else path.iterdir()
    paths = sorted(each for each in found if each.suffix in SUFFIXES and each.is_file())
    if not paths:
        deeper = "" if recursive else ", or -R to look deeper"
        raise InvalidInput(f"no YAML files in {path}", hint=f"files end in {', '.join(SUFFIXES)}{deeper}")
    if len(paths) > FILES_MAX:
        raise InvalidInput(f"{len(paths)} files in {path}", why=f"at most {FILES_MAX} are read at once")
    return paths


def _read(path: Path) -> Source:
    try:
        with path.open("rb") as file:
            return Source(str(path), file.read(READ_BYTES_MAX))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"no file {path}") from error
    except PermissionError as error:
        raise NotAllowed(f"{path} may not be read", why=str(error)) from error
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read", why=str(error)) from error
