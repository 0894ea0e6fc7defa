"""One object as text: what it is, what it shall be, what was observed, its conditions and its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.render.age import age
from cli.render.conditions import conditions_lines
from cli.render.differences import PRIVATE
from cli.render.events import events_table
from cli.render.resources import at

if TYPE_CHECKING:
    from provisioner.store.protocol import Event

_HEAD = (("Name", "metadata.name"), ("Namespace", "metadata.namespace"), ("Kind", "kind"), ("UID", "metadata.uid"))
_SHOWN_APART = ("conditions", "steps", "observedGeneration")


def description(item: Mapping[str, Any], events: Sequence[Event], *, now_s: float) -> str:
    """The whole text."""
    lines = [f"{title + ':':<12} {at(item, path)}" for title, path in _HEAD if at(item, path)]
    lines.append(f"{'Age:':<12} {age(at(item, 'metadata.creationTimestamp'), now_s)}")
    for title, path in (("Labels", "metadata.labels"), ("Annotations", "metadata.annotations")):
        lines += [f"{title + ':':<12} {name}={value}" for name, value in at(item, path, {}).items()]
    if at(item, "metadata.deletionTimestamp"):
        lines.append(f"{'Deleting:':<12} since {age(at(item, 'metadata.deletionTimestamp'), now_s)}")
    status = {name: value for name, value in at(item, "status", {}).items() if name not in _SHOWN_APART}
    for title, part in (("Spec", at(item, "spec", {})), ("Status", status)):
        lines += [f"{title}:", *_tree(part, depth=1)]
    lines += _steps(at(item, "status.steps", ()))
    lines += conditions_lines(at(item, "status.conditions", ()), now_s)
    lines.append("Events:" if events else "Events:      none")
    text = "\n".join(lines) + "\n"
    if not events:
        return text
    return text + "".join(f"  {line}\n" for line in events_table(events, now_s=now_s).splitlines())


def _tree(value: Any, *, depth: int) -> Iterator[str]:
    """Nested data, empty parts left out."""
    indent = "  " * depth
    for name, inner in value.items():
        if inner in ("", None, [], {}, ()):
            continue
        if isinstance(inner, Mapping):
            yield f"{indent}{name}:"
            yield from _tree(inner, depth=depth + 1)
        elif isinstance(inner, list) and not any(isinstance(each, Mapping) for each in inner):
            yield f"{indent}{name}: {', '.join(_scalar(each) for each in inner)}"
        elif isinstance(inner, list):
            yield f"{indent}{name}:"
            yield from _items(inner, depth=depth + 1)
        elif name in PRIVATE:
            yield f"{indent}{name}: ({len(inner):,} characters; `hikube get -o yaml` shows them)"
        elif isinstance(inner, str) and "\n" in inner:
            yield f"{indent}{name}: |"
            yield from (f"{indent}  {line}" for line in inner.splitlines())
        else:
            yield f"{indent}{name}: {_scalar(inner)}"


def _items(values: Sequence[Any], *, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for value in values:
        if isinstance(value, Mapping):
            lines = list(_tree(value, depth=depth + 1))
            yield from (f"{indent}- {line.lstrip()}" if index == 0 else line for index, line in enumerate(lines))
        else:
            yield f"{indent}- {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _steps(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    if not steps:
        return []
    done = [step["name"] for step in steps if step.get("finished")]
    under_way = [step["name"] for step in steps if not step.get("finished")]
    lines = ["Steps:", f"  done: {', '.join(done) or 'none'}"]
    return [*lines, f"  under way: {', '.join(under_way)}"] if under_way else lines
