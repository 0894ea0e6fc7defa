"""The kinds that exist, the words for them, and how a stored object becomes one again.

The words are a table of their own, so that a command can understand `vm` or `gpuhosts` without importing a single resource
class; a class is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provisioner.model.errors import InvalidInput
from provisioner.model.suggestions import nearest

if TYPE_CHECKING:
    from provisioner.model.metadata import Resource

_APPS = "apps.cozystack.io/v1alpha1"
_HIKUBE = "hikube.cloud/v1alpha1"


@dataclass(frozen=True, slots=True)
class KindWords:
    """A kind in words; equal to the attributes of its class."""

    kind: str
    plural: str
    short_names: tuple[str, ...]
    module: str
    """Below provisioner.model."""
    api_version: str = _APPS
    is_namespaced: bool = True

    @property
    def singular(self) -> str:
        """Lower case, as kubectl has it."""
        return self.kind.lower()


WORDS: Mapping[str, KindWords] = {
    words.kind: words
    for words in (
        KindWords("VirtualMachine", "virtualmachines", ("vm", "vms"), "virtual_machine"),
        KindWords("VMInstance", "vminstances", ("vmi",), "virtual_machine"),
        KindWords("VMDisk", "vmdisks", ("vmd", "disk", "disks"), "vm_disk"),
        KindWords("Kubernetes", "kuberneteses", ("k8s",), "kubernetes"),
        KindWords("KubernetesNodes", "kubernetesnodeses", ("kn", "nodes"), "kubernetes"),
        KindWords("GPUHost", "gpuhosts", ("host", "hosts", "gh"), "gpu_host", _HIKUBE, is_namespaced=False),
        KindWords("GPUClaim", "gpuclaims", ("claim", "claims", "gc"), "gpu_claim", _HIKUBE, is_namespaced=False),
        KindWords("GPUHistory", "gpuhistories", ("history", "histories"), "gpu_history", _HIKUBE, is_namespaced=False),
        KindWords("GPUQuota", "gpuquotas", ("quota", "quotas", "gq"), "gpu_quota", _HIKUBE),
        KindWords("Image", "images", ("img",), "image", _HIKUBE, is_namespaced=False),
        KindWords("Secret", "secrets", (), "secret", "v1"),
    )
}


class _Kinds(Mapping[str, "type[Resource]"]):
    """The classes by kind; each is imported when it is first asked for."""

    def __getitem__(self, kind: str) -> type[Resource]:
        module = importlib.import_module(f"provisioner.model.{WORDS[kind].module}")
        found: type[Resource] = getattr(module, kind)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(WORDS)

    def __len__(self) -> int:
        return len(WORDS)


KINDS: Mapping[str, type[Resource]] = _Kinds()


def find_words(word: str) -> KindWords:
    """The kind that a word of the command line means, without importing its class. Raises as `find_kind`."""
    wanted = word.strip().lower()
    spoken: dict[str, KindWords] = {}
    for words in WORDS.values():
        for name in (words.singular, words.plural, *words.short_names):
            spoken[name] = words
    if wanted in spoken:
        return spoken[wanted]
    meant = nearest(wanted, spoken)
    raise InvalidInput(
        f"There is no kind {word.strip()[:60]!r}",
        hint=f"did you mean {meant}?" if meant else f"kinds are {', '.join(words.singular for words in WORDS.values())}",
        context={"allowed": sorted(spoken), "did_you_mean": meant},
    )


def find_kind(word: str) -> type[Resource]:
    """The class for a kind, its plural, singular or a short name, in any case.

    Raises:
        InvalidInput: no kind has that name; the hint has the nearest one.
    """
    return KINDS[find_words(word).kind]


def load(data: Mapping[str, Any]) -> Resource:
    """A resource from what its `as_json()` wrote, exactly; for stores, which trust what they wrote.

    Raises:
        InvalidInput: the kind is unknown, or the data does not fit it (a newer version's, or damaged).
    """
    from pydantic import ValidationError  # only whoever loads objects pays for it

    kind = data.get("kind")
    if kind not in WORDS:
        raise InvalidInput(f"There is no kind {kind!r}", hint="was it stored by a newer version?")
    try:
        return KINDS[str(kind)].model_validate(data)
    except ValidationError as error:
        name = (data.get("metadata") or {}).get("name", "?")
        raise InvalidInput(f"The stored {kind} {name} cannot be read", why=str(error)) from error
