"""What every document has: apiVersion, kind, metadata. Read before anyone looks at the spec.

Fields that the store keeps (uid, resourceVersion, status, …) are accepted and left out, so that what `get -o yaml` prints can
be applied again.
"""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.model import names
from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.nodes import MapNode, describe, shown
from provisioner.model.door.places import Place, fields_of, is_missing
from provisioner.model.kinds import WORDS, KindWords
from provisioner.model.metadata import Metadata
from provisioner.model.suggestions import nearest

REFUSED_KINDS = {
    "Secret": "a Secret is made by hikube for its own keys and is never applied",
    "GPUClaim": "a GPUClaim is made by the controller when it gives a GPU to a VM; apply a VirtualMachine instead",
    "GPUHistory": "a GPUHistory is written by the controller whenever a GPU has been given back; it is read, never applied",
}
_STORE_FIELDS = (
    "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
    "finalizers", "ownerReferences", "managedFields", "selfLink",
)  # fmt: skip
_FOREIGN = {
    "kubevirt.io": "this is an object of KubeVirt itself; hikube's documents describe the VM in their own fields",
    "apps": "this is an object for the tenant's cluster, not for hikube",
    "v1": "this is an object for the tenant's cluster, not for hikube",
}


@dataclass(frozen=True, slots=True)
class Header:
    """A document whose kind is known."""

    words: KindWords
    metadata: Metadata
    place: Place
    """The whole document."""
    spec: Place
    """The spec; an empty one where the document has none."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Kind, namespace, name."""
        return (self.words.kind, self.metadata.namespace, self.metadata.name)


def read_header(place: Place, *, namespace: str) -> Header | None:
    """The header, or None if nobody can say what the document is (noted)."""
    if not isinstance(place.node, MapNode):
        place.mistake(f"a document must be a mapping with apiVersion, kind, metadata and spec, not {describe(place.node)}")
        return None
    fields = {entry.key: place.child(entry) for entry in place.node.entries}
    words = _kind(place, fields)
    if words is None:
        return None
    known = fields_of(place, ("apiVersion", "kind", "metadata", "spec"), ignored=("status", "appVersion"))
    spec = known.get("spec") or Place(MapNode((), place.position), "spec", place.position, place.document, place.findings)
    return Header(words, _metadata(place, known.get("metadata"), words, namespace), place, spec)


def _kind(place: Place, fields: dict[str, Place]) -> KindWords | None:
    kind = scalars.verbatim(fields.get("kind"))
    version = scalars.verbatim(fields.get("apiVersion"))
    words = WORDS.get(kind)
    if kind in REFUSED_KINDS:
        fields["kind"].mistake(REFUSED_KINDS[kind])
        return None
    if words is None or (version and _is_foreign(version)):
        _note_unknown_kind(place, fields, kind, version)
        return None
    if version != words.api_version:
        where = fields.get("apiVersion", place)
        said = f"{shown(version)} is not the apiVersion of {kind}" if version else f"apiVersion is missing for {kind}"
        where.mistake(said, allowed=(words.api_version,), did_you_mean=words.api_version)
    return words


def _is_foreign(version: str) -> bool:
    return version.split("/")[0] in _FOREIGN


def _note_unknown_kind(place: Place, fields: dict[str, Place], kind: str, version: str) -> None:
    allowed = tuple(word for word in WORDS if word not in REFUSED_KINDS)
    if version and _is_foreign(version):
        fields["apiVersion"].mistake(f"{shown(version)}: {_FOREIGN[version.split('/')[0]]}", allowed=allowed)
    elif not kind:
        fields.get("kind", place).mistake("kind is missing: what is this document?", allowed=allowed)
    else:
        fields["kind"].mistake(f"unknown kind {shown(kind)}", allowed=allowed, did_you_mean=nearest(kind, allowed))


def _metadata(place: Place, metadata: Place | None, words: KindWords, namespace: str) -> Metadata:
    hints = {"generateName": "give the object a name; names are not made up here"}
    fields = fields_of(metadata, ("name", "namespace", "labels", "annotations"), ignored=_STORE_FIELDS, hints=hints)
    if metadata is None or is_missing(metadata, fields, "name", instead=("generateName",)):
        (metadata or place).mistake("metadata.name is missing")
    longest = names.LONGEST_VM_NAME if words.kind in {"VirtualMachine", "VMInstance", "VMDisk"} else names.LONGEST_LABEL
    if not words.is_namespaced and "namespace" in fields and scalars.verbatim(fields["namespace"]):
        fields["namespace"].mistake(f"a {words.kind} belongs to no namespace; leave this out")
    given = read.name(fields.get("namespace"), namespace) if words.is_namespaced else ""
    return Metadata(
        name=read.name(fields.get("name"), longest=longest),
        namespace=given or (namespace if words.is_namespaced else ""),
        labels=read.labels(fields.get("labels")),
        annotations=read.annotation_values(fields.get("annotations")),
    )
