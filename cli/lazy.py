"""Groups of commands that import a command's module only when that command runs.

`hikube --help` and a quick `hikube gpu vm list` must not pay for libvirt, SSH or YAML, so a group knows its entries by name,
one line of help, and where the code is; the code is imported when the entry is called. For the same reason plain text
parameters do not pass through typer's own coercion, which would import pydantic only to hand back the same text.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from cli import store_choice


@dataclass(frozen=True, slots=True)
class Leaf:
    """One command: `module:function`, or `module:app` for a whole typer application."""

    target: str
    help: str


@dataclass(frozen=True, slots=True)
class Branch:
    """A group of commands."""

    help: str
    entries: Mapping[str, Leaf | Branch]


_TEXT: tuple[Any, ...] = (str, str | None, bool, bool | None, list[str])


class _AsGiven:
    """Stands in for typer's coercion of parameters that are text already."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        return () if value is None and (getattr(param, "multiple", False) or param.nargs == -1) else value


def _lighten(parameter: Any) -> Any:
    """Spare a parameter that is text or a flag typer's coercion."""
    descriptor = getattr(parameter, "type_descriptor", None)
    if descriptor is not None and descriptor.annotation in _TEXT and not descriptor.is_choice:
        parameter._runtime_param = _AsGiven()  # typer has no public way
    return parameter


class PlainCommand(TyperCommand):
    """A command that costs no pydantic unless a parameter is more than text."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        for parameter in self.params:
            _lighten(parameter)

    def get_help_option(self, ctx: Any) -> Any:
        """The `--help` that typer adds by itself."""
        return _lighten(super().get_help_option(ctx))


class _Entries(MutableMapping[str, Any]):
    """The commands of a group as typer wants them, each made on first use."""

    def __init__(self, entries: Mapping[str, Leaf | Branch]) -> None:
        self.entries = entries
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _make(name, self.entries[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        self._made.pop(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


class LazyGroup(TyperGroup):
    """A group whose help and completion come from the table, without importing a command."""

    def __init__(self, name: str, branch: Branch) -> None:
        super().__init__(
            name=name,
            help=branch.help,
            rich_markup_mode=None,
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        )
        self.branch = branch
        self.commands = _Entries(branch.entries)

    def get_help_option(self, ctx: Any) -> Any:
        """The `--help` that typer adds by itself."""
        return _lighten(super().get_help_option(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        return list(self.branch.entries)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """A group without arguments shows its help, which is what was wanted. The first one takes the choice of a store."""
        if ctx.parent is None:
            chosen, args = store_choice.taken_from(args)
            ctx.call_on_close(store_choice.put_in_place(chosen))
        if not args and not ctx.resilient_parsing:
            args = ["--help"]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list in the help text."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.branch.entries.items()])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Complete names of commands."""
        from typer._click.shell_completion import CompletionItem

        items = [
            CompletionItem(name, help=entry.help)
            for name, entry in self.branch.entries.items()
            if name.startswith(incomplete) and not incomplete.startswith("-")
        ]
        return items or super(TyperGroup, self).shell_complete(ctx, incomplete)


def _make(name: str, entry: Leaf | Branch) -> Any:
    if isinstance(entry, Branch):
        return LazyGroup(name, entry)
    module, _, attribute = entry.target.partition(":")
    target = getattr(importlib.import_module(module), attribute)
    if isinstance(target, typer.Typer):
        return get_command(target)
    return command_of(name, target)


def command_of(name: str, function: Any) -> Any:
    """The typer command of one function; its docstring is its help."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    settings = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
    app.command(name, cls=PlainCommand, context_settings=getattr(function, "context_settings", settings))(function)
    return get_command(app)
