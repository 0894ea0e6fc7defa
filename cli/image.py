"""`hikube image list`, `add`, `fetch` and `remove`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import typer

from cli.adding import add_image
from cli.applying import Verb
from cli.completing import complete_images
from cli.meter import Meter
from cli.options import UNCHANGED_EXIT_CODE, ErrorUnchanged, IgnoreNotFound, Output, output_format
from cli.output import as_json, as_list, as_yaml, put, say
from cli.render.age import age
from cli.render.resources import at
from cli.render.table import table
from cli.session import Session, no_such
from provisioner.model.errors import Conflict

REMOVAL_TIMEOUT_S = 60.0


def list_images(output: Output = "table") -> None:
    """List images: those built in, and those added, which come first where both have a name."""
    form = output_format(output)
    session = Session()
    stored = {item["metadata"]["name"]: item for item in session.raw("Image")}
    built_in = {name: image.as_json() for name, image in session.tables.images.items() if name not in stored}
    items = [*stored.values(), *built_in.values()]
    if form in ("json", "yaml"):
        put(as_json(as_list(items)) if form == "json" else as_yaml(as_list(items)))
    elif form == "name":
        put("".join(f"image/{item['metadata']['name']}\n" for item in items))
    else:
        rows = [_row(item, added=item["metadata"]["name"] in stored, session=session, wide=form == "wide") for item in items]
        put(
            table(
                ["NAME", "SOURCE", "DISTRIBUTION", "DRIVER", "MIN-STORAGE", *(["URL"] if form == "wide" else []), "AGE"], rows
            )
        )


def _row(item: dict[str, Any], *, added: bool, session: Session, wide: bool) -> list[str]:
    return [
        at(item, "metadata.name"),
        "added" if added else "built-in",
        at(item, "spec.distribution"),
        at(item, "spec.nvidiaDriver"),
        at(item, "spec.minStorage"),
        *([at(item, "spec.url")] if wide else []),
        age(at(item, "metadata.creationTimestamp"), session.now_s) if added else "",
    ]


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What VMs call it")],
    url: Annotated[str, typer.Argument(metavar="URL", help="http(s)://… or file:///…")],
    sha256: Annotated[
        str,
        typer.Option("--sha256", metavar="HEX", help="Its digest; if not given, that of the first download counts"),
    ] = "",
    image_format: Annotated[str, typer.Option("--format", metavar="FORMAT", help="qcow2 or raw")] = "qcow2",
    distribution: Annotated[
        str, typer.Option("--distribution", metavar="NAME", help="ubuntu, debian or other: for the driver")
    ] = "other",
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="The user that SSH keys are for")] = "root",
    min_storage: Annotated[str, typer.Option("--min-storage", metavar="SIZE", help="Smallest disk that it fits on")] = "2Gi",
    nvidia_driver: Annotated[
        str, typer.Option("--nvidia-driver", metavar="BRANCH", help="Driver baked in: 580-server-open")
    ] = "",
    firmware: Annotated[str, typer.Option("--firmware", metavar="KIND", help="bios, efi or any")] = "bios",
    error_unchanged: ErrorUnchanged = False,
) -> int:
    """Add an image by its URL. It is downloaded when a VM first needs it, or by `hikube image fetch`."""
    session = Session()
    spec = {
        "url": url,
        "sha256": sha256,
        "format": image_format,
        "distribution": distribution,
        "defaultUser": user,
        "minStorage": min_storage,
        "nvidiaDriver": nvidia_driver,
        "firmware": firmware,
    }
    done = add_image(session, name, spec=spec)
    if url.startswith("file://") and not Path(unquote(urlsplit(url).path)).is_file():
        say(f"warning: there is no file {unquote(urlsplit(url).path)} yet; VMs of this image will fail until there is")
    put(f"image/{name} {done.verb}\n")
    return UNCHANGED_EXIT_CODE if error_unchanged and done.verb is Verb.UNCHANGED else 0


def fetch(name: Annotated[str, typer.Argument(metavar="NAME", help="The image", autocompletion=complete_images)]) -> None:
    """Download an image into the cache of this machine, resuming an earlier download, and check its digest.

    Prints path and digest. The digest of an image that was added without one is recorded.
    """
    from cli.planning import ports_of
    from provisioner.lifecycle.images import digest_of
    from provisioner.model.image import Image
    from provisioner.model.metadata import Key

    session = Session()
    stored = session.find(Key("Image", "", name))
    image = stored or session.tables.images.get(name)
    if not isinstance(image, Image):
        known = [*session.tables.images, *(item["metadata"]["name"] for item in session.raw("Image"))]
        raise no_such("Image", name, namespace="", known=known)
    meter = Meter("fetch", name)
    local = ports_of(session).images.fetch(image.spec.url, sha256=digest_of(image), progress=meter)
    meter.end()
    if isinstance(stored, Image) and not digest_of(stored):
        _record(session, stored, sha256=local.sha256, size_bytes=local.size_bytes, virtual_size_bytes=local.virtual_size_bytes)
    put(f"{local.path} sha256:{local.sha256}\n")


def _record(session: Session, image: Any, **facts: Any) -> None:
    try:
        session.store.update_status(image.with_status(**facts))
    except Conflict:
        say("the image was changed meanwhile; its digest was not recorded")


def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Images", autocompletion=complete_images)],
    ignore_not_found: IgnoreNotFound = False,
) -> None:
    """Forget images that were added. VMs that have a disk made from one keep it; what was downloaded stays in the cache."""
    from cli.deleting import Removal, delete_all
    from provisioner.model.errors import Unsupported
    from provisioner.model.metadata import Key

    session = Session()
    stored = {item["metadata"]["name"] for item in session.raw("Image")}
    built_in = [name for name in names if name not in stored and name in session.tables.images]
    if built_in:
        raise Unsupported(f"{', '.join(built_in)}: built in, not added", hint="an image that is added under its name hides it")
    keys = [Key("Image", "", name) for name in names]
    delete_all(session, keys, Removal(wait=True, timeout_s=REMOVAL_TIMEOUT_S, ignore_not_found=ignore_not_found))
