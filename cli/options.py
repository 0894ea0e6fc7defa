"""Options that many commands share, and the readers of their texts. Every reader raises InvalidInput with what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from cli.completing import complete_kinds, complete_namespaces
from provisioner.model.errors import InvalidInput

Namespace = Annotated[
    str,
    typer.Option(
        "--namespace",
        "-n",
        metavar="NAMESPACE",
        envvar="HIKUBE_NAMESPACE",
        help="Namespace",
        autocompletion=complete_namespaces,
    ),
]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces")]
Output = Annotated[str, typer.Option("--output", "-o", metavar="FORMAT", help="table, wide, json, yaml or name")]
NarrowOutput = Annotated[str, typer.Option("--output", "-o", metavar="FORMAT", help="table, json, yaml or name")]
NamelessOutput = Annotated[str, typer.Option("--output", "-o", metavar="FORMAT", help="table, json or yaml")]
Selector = Annotated[
    list[str], typer.Option("--selector", "-l", metavar="KEY=VALUE", help="Only objects with this label; repeatable")
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on printing what changes")]
Files = Annotated[
    list[str], typer.Option("--filename", "-f", metavar="FILE|DIR|-", help="YAML file, directory, or - for stdin; repeatable")
]
Recursive = Annotated[bool, typer.Option("--recursive", "-R", help="Look for YAML files in sub-directories too")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Plan with the real planner, print the plan, change nothing")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the end, or return at once")]
Timeout = Annotated[
    str, typer.Option("--timeout", metavar="DURATION", help="Stop waiting after this time, such as 90s, 30m, 2h")
]
ErrorUnchanged = Annotated[bool, typer.Option("--error-unchanged", help="Exit 3 if there was nothing to change")]
IgnoreNotFound = Annotated[bool, typer.Option("--ignore-not-found", help="An absent object is no error")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")]
Kind = Annotated[
    str, typer.Argument(metavar="KIND[/NAME]", help="A kind, such as vm, host, image, disk", autocompletion=complete_kinds)
]

FORMATS = ("table", "wide", "json", "yaml", "name")
NARROW = ("table", "json", "yaml", "name")
"""Of commands that say the same with `wide`."""
NAMELESS = ("table", "json", "yaml")
"""Of commands whose answer is no list of names."""
UNCHANGED_EXIT_CODE = 3
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")
_LABEL_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_./-]{0,314}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


def output_format(text: str, *, allowed: Sequence[str] = FORMATS) -> str:
    """Check the value of `-o`."""
    if text not in allowed:
        raise InvalidInput(f"{text!r} is no output format of this command", context={"allowed": list(allowed)})
    return text


def duration_s(text: str) -> float:
    """Seconds of `90`, `90s`, `30m`, `1h30m`; 0 means not at all."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise InvalidInput(f"{text!r} is no duration", hint="write it as 90s, 30m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def labels(pairs: Iterable[str], *, option: str = "--selector") -> dict[str, str]:
    """`["zone=a,rack=2", "gpu=yes"]` as a mapping."""
    out: dict[str, str] = {}
    for text in pairs:
        for pair in text.split(","):
            name, separator, value = pair.strip().partition("=")
            if not separator or not _LABEL_KEY.fullmatch(name) or not _LABEL_VALUE.fullmatch(value):
                raise InvalidInput(f"{option} {pair!r} is no label", hint="write it as KEY=VALUE, for example zone=a")
            out[name] = value
    return out
