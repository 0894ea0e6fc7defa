"""All mistakes of one command line together, as a file's mistakes are: a person mends them in one go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from provisioner.model.errors import HikubeError, InvalidDocuments, InvalidInput, NotFound


class Mistakes:
    """Collects what would end the command, and ends it once."""

    def __init__(self) -> None:
        self._found: list[HikubeError] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Note the mistake that ends the block."""
        try:
            yield
        except (InvalidInput, NotFound) as error:
            self._found.append(error)

    def raise_any(self) -> None:
        """End the command if there was a mistake.

        Raises:
            InvalidInput, NotFound: the only one, as it was raised.
            InvalidDocuments: with all of them.
        """
        if not self._found:
            return
        if len(self._found) == 1:
            raise self._found[0]
        mistakes = [mistake for error in self._found for mistake in _mistakes_of(error)]
        raise InvalidDocuments(f"{len(mistakes)} mistakes in the options given", context={"mistakes": mistakes})


def _mistakes_of(error: HikubeError) -> list[dict[str, Any]]:
    if isinstance(error, InvalidDocuments):
        return list(error.context["mistakes"])
    known = {name: error.context[name] for name in ("allowed", "did_you_mean") if error.context.get(name)}
    hint = f" ({error.hint})" if error.hint and not known else ""
    return [{"file": "", "line": 0, "column": 0, "path": "", "message": f"{error}{hint}", **known}]
