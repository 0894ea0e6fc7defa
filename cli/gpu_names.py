"""GPU models as people write them: `l40s`, `h100-sxm:2`, `10de:26b9`, `10de:26b9:2`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from provisioner.model.errors import InvalidInput

if TYPE_CHECKING:
    from provisioner.model.tables import Tables

GPUS_MAX = 16
_REQUEST = re.compile(r"(?P<model>[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}|[^:]+?)(?::(?P<count>[0-9]{1,3}))?")


def gpu_documents(tables: Tables, requests: Sequence[str]) -> list[dict[str, str]]:
    """`["h100-sxm:2"]` as the list that a document has under `gpus`, with canonical names.

    Raises:
        InvalidInput: no such model (the hint has the nearest), several (they are listed), or a count that cannot be.
    """
    names: list[str] = []
    for text in requests:
        match = _REQUEST.fullmatch(text.strip())
        if match is None:
            raise InvalidInput(f"--gpu {text!r} cannot be understood", hint="--gpu MODEL or --gpu MODEL:COUNT, such as l40s:2")
        count = int(match["count"] or 1)
        if not 1 <= count <= GPUS_MAX:
            raise InvalidInput(f"--gpu {text!r}: one VM has 1 to {GPUS_MAX} GPUs")
        names += [canonical(tables, match["model"])] * count
    return [{"name": name} for name in names]


def canonical(tables: Tables, word: str) -> str:
    """The canonical name of a model in any of its names. Raises InvalidInput as `gpu_documents`."""
    model = tables.gpus.resolve(word)
    if model is not None:
        return model.name
    if choices := tables.gpus.candidates(word):
        raise InvalidInput(f"--gpu {word!r} could be several models; say which", context={"allowed": list(choices)})
    meant = tables.gpus.suggest(word)
    hint = f"did you mean {label_of(tables, meant)}?" if meant else "`hikube gpu offers` shows the models that hosts have"
    context = {"did_you_mean": label_of(tables, meant)} if meant else {}
    raise InvalidInput(f"no GPU model is called {word!r}", hint=hint, context=context)


def label_of(tables: Tables, name: str) -> str:
    """The shortest word that `--gpu` understands for a canonical name."""
    model = tables.gpus.resolve(name)
    return model.short_names[0] if model is not None and model.short_names else name


def short_names(here: Iterable[str]) -> list[str]:
    """Words for `--gpu`: of the models named, or of every model that is known if none is."""
    from provisioner.model.tables import Tables

    tables = Tables.builtin()
    names = sorted(here) or [model.name for model in tables.gpus.models]
    return [label_of(tables, name) for name in names]
