"""Programs that hikube runs on hosts, as text: they look at devices, and act on them, from inside.

A program is one text: the modules that it imports are put into it, so that nothing has to be installed on a host,
or left there.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_LOOKING = ("guarding", "kernel_files", "processes")
_MODULES = {"examine": _LOOKING, "device": (*_LOOKING, "function", "scrubbing")}
"""Those that a program imports, each after what it imports itself."""
_MODULE = """\
module = type(sys)("templates.host.{name}")
sys.modules[module.__name__] = module
exec(compile({text!a}, "{name}", "exec"), module.__dict__)
"""


@cache
def host_program(name: str) -> str:
    """The text of `examine` or `device`; it finds what it is asked in the global `ARGUMENTS` and prints one JSON document."""
    folder = files("templates.host")
    texts = {each: folder.joinpath(f"{each}.py").read_text(encoding="utf-8") for each in (*_MODULES[name], name)}
    modules = "".join(_MODULE.format(name=each, text=texts[each]) for each in _MODULES[name])
    return f'import sys\n{modules}exec(compile({texts[name]!a}, "{name}", "exec"))\n'


__all__ = ["host_program"]
