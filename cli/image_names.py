"""Images as people name them: built in, of the operator's tables, or added."""

from __future__ import annotations

from cli.session import Session
from provisioner.model.errors import InvalidInput
from provisioner.model.suggestions import nearest


def check_image(session: Session, name: str) -> None:
    """Whether there is an image of that name.

    Raises:
        InvalidInput: there is none; the hint has the nearest.
    """
    known = [*(item["metadata"]["name"] for item in session.raw("Image")), *session.tables.images]
    if name not in known:
        meant = nearest(name, known)
        hint = f"did you mean {meant}?" if meant else "`hikube image list` shows all"
        context = {"did_you_mean": meant} if meant else {}
        raise InvalidInput(f"no image is called {name!r}", hint=hint, context=context)
