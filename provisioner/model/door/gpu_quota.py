"""GPUQuota documents: models by any name that the catalogue knows, numbers that are whole."""

from __future__ import annotations

from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.gpus import canonical_name
from provisioner.model.door.header import Header
from provisioner.model.door.nodes import shown
from provisioner.model.door.places import Place, fields_of, members_of
from provisioner.model.gpu_quota import ALL_GPUS, GPUQuota, GPUQuotaSpec
from provisioner.model.tables import Tables

FIELDS = ("hard", "hostSelector")
MOST_GPUS = 1_000_000
"""More than anybody has."""
MOST_MODELS = 100
_MEANS_ALL = frozenset({"gpu", "all", "any", "nvidia.com/gpu"})
_HINTS = {
    "limits": "write hard, the most GPUs by model",
    "scopes": "a GPUQuota holds for every VM of its namespace",
    "nodeSelector": "write hostSelector, labels that a GPUHost must have",
}


def read_gpu_quota(header: Header, tables: Tables) -> GPUQuota:
    """The quota that a document describes."""
    fields = fields_of(header.spec, FIELDS, hints=_HINTS)
    before = header.spec.findings.noted
    spec = GPUQuotaSpec(hard=_hard(fields.get("hard"), tables), host_selector=read.labels(fields.get("hostSelector")))
    if spec == GPUQuotaSpec() and header.spec.findings.noted == before:
        header.spec.mistake("a quota that says nothing limits nothing; say hard, hostSelector or both")
    return GPUQuota(metadata=header.metadata, spec=spec)


def _hard(place: Place | None, tables: Tables) -> dict[str, int]:
    """The most GPUs by canonical name, in the order written."""
    hard: dict[str, int] = {}
    for number, (key, member) in enumerate(members_of(place)):
        if number == MOST_MODELS:
            member.mistake(f"at most {MOST_MODELS} models")
            break
        name = _name(key, member, tables)
        count = scalars.integer(member, 0, most=MOST_GPUS)
        if name in hard:
            member.mistake(f"{name} is listed twice")
        elif name:
            hard[name] = count
    return hard


def _name(key: str, member: Place, tables: Tables) -> str:
    """The canonical name of a model, or the word for all; empty: it is neither, and noted."""
    written = key.strip()
    if written.lower() == ALL_GPUS:
        return ALL_GPUS
    if written.lower() in _MEANS_ALL:
        said = "names no model of GPU; all models together are called gpus"
        member.mistake(f"{shown(key)} {said}", did_you_mean=ALL_GPUS)
        return ""
    return canonical_name(written, member, tables.gpus)
