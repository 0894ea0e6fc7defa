"""Readers of `gpus: [{name}]` and the rules that tie GPUs to memory."""

from __future__ import annotations

from provisioner.model.catalogue import GpuCatalogue
from provisioner.model.door import scalars
from provisioner.model.door.nodes import ScalarNode, shown
from provisioner.model.door.places import Place, fields_of, is_missing, items_of
from provisioner.model.errors import InvalidInput
from provisioner.model.sizing import guest_size
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import GpuRequest, VirtualMachineSpec

MOST_GPUS = 16
LEAST_MEMORY_MIB = 4096
"""What NVIDIA's driver needs to start."""
_HINTS = {
    "count": "repeat the entry once for every GPU",
    "deviceName": "this is KubeVirt's field; write the model as name",
    "model": "write the model as name",
}


def read_gpus(place: Place | None, catalogue: GpuCatalogue) -> tuple[GpuRequest, ...]:
    """The GPUs asked for, by canonical name."""
    requests: list[GpuRequest] = []
    for item in items_of(place, of_what="GPUs ({name: MODEL})", most=MOST_GPUS):
        if isinstance(item.node, ScalarNode):
            item.mistake(f"a GPU is written as {{name: MODEL}}; write name: before {shown(item.node.text)}")
            continue
        fields = fields_of(item, ("name",), hints=_HINTS)
        if is_missing(item, fields, "name", instead=("deviceName", "model")):
            item.mistake("a GPU has no name; give its model", allowed=_short_names(catalogue))
        elif "name" in fields and (name := _canonical(fields["name"], catalogue)):
            requests.append(GpuRequest(name=name))
    return tuple(requests)


def _canonical(place: Place, catalogue: GpuCatalogue) -> str:
    written = scalars.text(place)
    return canonical_name(written, place, catalogue) if written and isinstance(place.node, ScalarNode) else ""


def canonical_name(written: str, place: Place, catalogue: GpuCatalogue) -> str:
    """The canonical name of a model; empty for a word that names none, which is noted at the place."""
    if model := catalogue.resolve(written):
        return model.name
    bare = written.lower().removeprefix("nvidia.com/")
    if bare in {"gpu", "nvidia", "any"}:
        place.mistake(f"{shown(written)} names no model of GPU; say which", allowed=_short_names(catalogue))
    elif choices := catalogue.candidates(written):
        place.mistake(f"{shown(written)} could be several models; say which", allowed=choices)
    else:
        suggestion = catalogue.suggest(written)
        place.mistake(f"the GPU {shown(written)} is not known", allowed=_short_names(catalogue), did_you_mean=suggestion)
    return ""


def check_gpu_memory(place: Place, gpus: Place | None, *, spec: VirtualMachineSpec, tables: Tables) -> None:
    """That the size is known, and large enough for NVIDIA's driver."""
    try:
        size = guest_size(spec, tables)
    except InvalidInput as error:
        if not place.findings.mistakes:
            place.mistake(f"{error.what[0].lower()}{error.what[1:]}{f': {error.why}' if error.why else ''}")
        return
    models = [tables.gpus.resolve(request.name) for request in spec.gpus]
    if gpus is not None and size.memory_mib < LEAST_MEMORY_MIB and any(model and model.is_nvidia for model in models):
        place.mistake(f"NVIDIA's driver needs at least 4 GiB of memory in the guest, this VM has {size.memory_mib} MiB")


def _short_names(catalogue: GpuCatalogue) -> list[str]:
    return [model.short_names[0] if model.short_names else model.name for model in catalogue.models if not model.is_stand_in]
