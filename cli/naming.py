"""What a command line names: `vm demo`, `vm/demo host/a`, `vm a b c`. Understood without importing a resource class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provisioner.model.errors import InvalidInput
from provisioner.model.kinds import KindWords, find_words

if TYPE_CHECKING:
    from provisioner.model.metadata import Key


@dataclass(frozen=True, slots=True)
class Named:
    """A kind, and names of that kind; no name means all of them."""

    words: KindWords
    names: tuple[str, ...]

    def scope(self, namespace: str) -> str:
        """The namespace to look in: none for kinds that have none."""
        return namespace if self.words.is_namespaced else ""

    def keys(self, namespace: str) -> tuple[Key, ...]:
        """The keys of the names."""
        from provisioner.model.metadata import Key

        return tuple(Key(self.words.kind, self.scope(namespace), name) for name in self.names)


def named(kind: str, names: Sequence[str]) -> tuple[Named, ...]:
    """Understand `KIND [NAME…]` or `KIND/NAME [KIND/NAME…]`.

    Raises:
        InvalidInput: the two are mixed, or a kind is unknown.
    """
    if "/" not in kind:
        if any("/" in name for name in names):
            raise InvalidInput(
                f"{kind} and {next(n for n in names if '/' in n)} cannot be mixed", hint="KIND NAME…, or KIND/NAME…"
            )
        return (Named(find_words(kind), tuple(names)),)
    pairs = [word.partition("/") for word in (kind, *names)]
    if any(not separator or not name for _, separator, name in pairs):
        raise InvalidInput("after KIND/NAME every word is KIND/NAME", hint="KIND NAME…, or KIND/NAME…")
    return tuple(Named(find_words(word), (name,)) for word, _, name in pairs)
