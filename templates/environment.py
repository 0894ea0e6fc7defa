"""The one place of jinja2: it finds a template in this package and fills it in.

Files whose name ends in `.xml.j2` are escaped for XML, so that a hostile name stays text; every other file is written as it
is, and whoever renders YAML builds it with a YAML library instead. A value that a template names and nobody gave is a bug and
raises `jinja2.UndefinedError`: nothing is ever silently empty. Rendering has no effect and reads only the package's own
files.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

_XML = "xml.j2"


def render(name: str, **values: Any) -> str:
    """The text of the template `name` (a path below this package, as in `domain/domain.xml.j2`) with these values.

    Output depends on the arguments only. XML templates escape every value: `<`, `>`, `&` and both quotes.
    """
    return _environment().get_template(name).render(values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("templates", package_path=""),
        autoescape=select_autoescape(enabled_extensions=(_XML,), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
