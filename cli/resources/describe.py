"""`hikube describe`: one object with everything that is known about it."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.naming import named
from cli.options import Kind, Namespace
from cli.output import put
from cli.render.describe import description
from cli.render.resources import without_secrets
from cli.session import Session


def describe(
    kind: Kind,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Which; all of them if none is named")] = [],  # noqa: B006
    namespace: Namespace = "default",
) -> None:
    """Show resources with their spec, status, conditions and events."""
    session = Session()
    texts = []
    for group in named(kind, names):
        scope = group.scope(namespace)
        words = group.words
        every = session.raw(words.kind, namespace=scope) if not group.names else []
        items = every or [session.raw_one(words.kind, name, namespace=scope) for name in group.names]
        texts += [describe_item(session, dict(without_secrets(item))) for item in items]
    put("\n".join(texts))


def describe_item(session: Session, item: dict[str, object]) -> str:
    """The text of one object with its events."""
    from provisioner.model.metadata import Key

    metadata = item["metadata"]
    assert isinstance(metadata, dict)
    key = Key(str(item["kind"]), str(metadata.get("namespace", "")), str(metadata["name"]))
    return description(item, session.store.events(key), now_s=session.now_s)
