"""VMDisk as users write it: one source at most, `size` for `storage`, and what cannot be changed."""

from __future__ import annotations

from provisioner.model.door.system_disk import MOST_STORAGE
from provisioner.model.names import LONGEST_VM_NAME
from provisioner.store.kubernetes.crds import shapes
from provisioner.store.kubernetes.crds.patches import RULES, Patch, below
from provisioner.store.kubernetes.crds.shapes import described, rule

_SIZE = shapes.size(least="1Mi", most=MOST_STORAGE)
_URL = "^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/\\\\S*)?$"
_SOURCES = ("image", "http", "disk", "upload")
_GIVEN = " + ".join(f"(has(self.{source}) ? ['{source}'] : [])" for source in _SOURCES)


def _part(path: str) -> str:
    """What stands at a path below `spec.source`, '' where nothing does; for `{}` the object."""
    steps = ["source", *path.split(".")]
    known = " && ".join(f"has({{0}}.{'.'.join(steps[: number + 1])})" for number in range(len(steps)))
    value = f"{{0}}.{'.'.join(steps)}"
    return f"({known} ? {value} : '')"


def _unchanged(expression: str) -> str:
    return f"{expression.format('self')} == {expression.format('oldSelf')}"


_DIGEST = f"{_part('http.sha256')}.lowerAscii().replace('sha256:', '')"
_UPLOAD = "(has({0}.source) && has({0}.source.upload))"
_SAME_SOURCE = " && ".join(
    _unchanged(each) for each in (_part("image.name"), _part("http.url"), _DIGEST, _part("disk.name"), _UPLOAD)
)

_SOURCE: dict[str, Patch] = {
    "": described(
        "Where the content comes from: at most one of these. None of them is a blank disk. It cannot be changed.",
        rules=[rule(f"({_GIVEN}).size() <= 1", "a disk has one source; leave all out for a blank disk")],
    ),
    "image.name": described("Name of an Image or of a built-in golden image.", shapes.name(), minLength=1),
    "http.url": described(
        "An http or https URL.",
        shapes.matching(_URL, " is no URL that an image can be read from", longest=2048),
        minLength=1,
    ),
    "http.sha256": shapes.digest(),
    "disk.name": described("Name of another VMDisk of the namespace.", shapes.name(longest=LONGEST_VM_NAME), minLength=1),
}

_SPEC: dict[str, Patch] = {
    **below("source", _SOURCE),
    "optical": described("Whether it is a CD-ROM. It cannot be changed."),
    "storage": described(
        "Its size: 5Gi or what the image needs, where none is given. May grow, never shrink.", _SIZE, default=None
    ),
    "size": described("The older name of storage.", _SIZE),
    "storageClass": described("A storage pool, where the host maps it. It cannot be changed.", shapes.name()),
    "": {
        RULES: [
            shapes.same("size", "storage"),
            shapes.grows(parent="{}"),
            rule(_SAME_SOURCE, "source cannot be changed", at="source"),
            rule(
                _unchanged("(has({0}.optical) && {0}.optical)"),
                "optical cannot be changed",
                at="optical",
            ),
            rule(
                _unchanged("(has({0}.storageClass) && {0}.storageClass != '' ? {0}.storageClass : 'replicated')"),
                says="'storageClass cannot be changed: ' + oldSelf.storageClass + ' -> ' + self.storageClass",
                at="storageClass",
            ),
        ]
    },
}

_NOT_ITSELF: Patch = {
    RULES: [
        rule(
            "!has(self.spec) || !has(self.spec.source) || !has(self.spec.source.disk)"
            " || self.spec.source.disk.name != self.metadata.name",
            "a disk cannot be a copy of itself",
            at="spec.source.disk.name",
        )
    ]
}

VM_DISK = (below("spec", _SPEC), {"": _NOT_ITSELF})
