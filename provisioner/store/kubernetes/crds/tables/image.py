"""Image as users write it."""

from __future__ import annotations

from provisioner.store.kubernetes.crds import shapes
from provisioner.store.kubernetes.crds.patches import Patch, below
from provisioner.store.kubernetes.crds.shapes import described

_URL = "^(https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/\\\\S*)?|file:///\\\\S+)$"

_SPEC: dict[str, Patch] = {
    "url": described(
        "Where it comes from: an http, https or file URL.",
        shapes.matching(_URL, " is no URL that an image can be read from", longest=2048),
        minLength=1,
    ),
    "sha256": shapes.digest(),
    "format": described("Of the file at the URL."),
    "defaultUser": described("Who logs in.", shapes.word()),
    "minStorage": described("The smallest disk that it fits on.", shapes.size(least="1Mi", most="64Ti")),
    "nvidiaDriver": shapes.word(),
}

IMAGE = (below("spec", _SPEC),)
