"""The strings under the fields of the model's classes, which Python throws away: read from the source of the class."""

from __future__ import annotations

import ast
import enum
import inspect
import itertools
import textwrap
from functools import cache

from pydantic import BaseModel


@cache
def field_docstrings(owner: type) -> dict[str, str]:
    """The docstrings of a class's fields or members by name, inherited ones included, each on one line."""
    found: dict[str, str] = {}
    for base in reversed(owner.__mro__):
        if base.__module__.startswith("provisioner."):
            found |= _own(base)
    return found


def class_docstring(owner: type) -> str:
    """The first paragraph of the class's own docstring, on one line."""
    own = owner.__doc__ if issubclass(owner, BaseModel | enum.Enum) else ""
    return _one_line((own or "").split("\n\n")[0])


def _own(owner: type) -> dict[str, str]:
    """Strings that stand directly behind an assignment in the body of the class."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found: dict[str, str] = {}
    for statement, following in itertools.pairwise(body):
        name = _assigned(statement)
        if name and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            found[name] = _one_line(str(following.value.value))
    return found


def _assigned(statement: ast.stmt) -> str:
    if isinstance(statement, ast.AnnAssign):
        target: ast.expr = statement.target
    elif isinstance(statement, ast.Assign):
        target = statement.targets[0]
    else:
        return ""
    return target.id if isinstance(target, ast.Name) else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
