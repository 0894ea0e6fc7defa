"""Writing to stdout and stderr: data to the one, talk to the other, colour only where a person looks at it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any


def put(text: str) -> None:
    """Data, to stdout, as it is."""
    sys.stdout.write(text)


def put_line(text: str) -> None:
    """One line of data, at once: whoever reads a watch wants it now."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(text: str = "") -> None:
    """One line of talk, to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def talks_to_a_person() -> bool:
    """Whether questions can be asked: stdin and stderr are terminals."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def has_live_line() -> bool:
    """Whether stderr is a terminal on which a line can be rewritten."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb" and not os.environ.get("NO_COLOR")


def as_json(value: Any) -> str:
    """Indented JSON with a final newline, keys in the order given."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def as_json_line(value: Any) -> str:
    """One line of JSON, for watches."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_yaml(value: Any) -> str:
    """One YAML document."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts of several lines as blocks, as people do."""

    def text(dumper: yaml.SafeDumper, data: str) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)

    Dumper.add_representer(str, text)
    return str(yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110))


def as_list(items: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Objects wrapped the way kubectl wraps them."""
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}
