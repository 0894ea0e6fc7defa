"""`hikube store rotate-key`: every Secret sealed anew with another key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import NAMELESS, NamelessOutput, output_format
from cli.output import as_json, as_yaml, put, say
from cli.session import Session

KeyFile = Annotated[
    str, typer.Option("--key-file", metavar="FILE", help="The key file in use, instead of HIKUBE_KEY_FILE or the default")
]


def rotate_key(
    to: Annotated[
        str, typer.Option("--to", metavar="FILE", help="Go over to the key in this file; it is made if it does not exist")
    ] = "",
    key_file: KeyFile = "",
    output: NamelessOutput = "table",
) -> None:
    """Seal every Secret anew, with a new key in the key file, or with that of another file.

    May be interrupted at any moment, and other commands and the controller may go on meanwhile. With --to, start the controller
    anew with the new file afterwards: HIKUBE_KEY_FILE or --key-file. The old file is left as it is.
    """
    form = output_format(output, allowed=NAMELESS)
    session = Session(key_file=key_file)
    target = Path(to).expanduser() if to else None
    key_id, count = session.file_store.rotate_key(to=target)
    path = str(target or session.key_path)
    if form != "table":
        value = {"keyId": key_id, "keyFile": path, "secrets": count}
        put(as_json(value) if form == "json" else as_yaml(value))
        return
    put(f"{count} {'Secret' if count == 1 else 'Secrets'} sealed with key {key_id} in {path}\n")
    if target is not None and target != session.key_path:
        say(f"from now on: HIKUBE_KEY_FILE={path}")
