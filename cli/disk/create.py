"""`hikube disk create`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.completing import complete_disks, complete_images
from cli.disk.making import Manner, annotations_of, make_disk
from cli.disk.naming import Host, NewName, Retain, StorageClass
from cli.image_names import check_image
from cli.options import NARROW, DryRun, ErrorUnchanged, Namespace, NarrowOutput, Timeout, Wait, duration_s, output_format
from cli.session import Session
from provisioner.model.errors import InvalidInput


def create(
    name: NewName,
    size: Annotated[
        str, typer.Option("--size", metavar="SIZE", help="Size, such as 100Gi [5Gi, or what the image needs]")
    ] = "",
    image: Annotated[
        str, typer.Option("--image", metavar="NAME", help="Begin as this image", autocompletion=complete_images)
    ] = "",
    url: Annotated[str, typer.Option("--url", metavar="URL", help="Begin as this file: qcow2, raw or ISO")] = "",
    sha256: Annotated[str, typer.Option("--sha256", metavar="HEX", help="The digest that the file of --url must have")] = "",
    copy_of: Annotated[
        str, typer.Option("--from", metavar="DISK", help="Begin as a copy of it", autocompletion=complete_disks)
    ] = "",
    is_upload: Annotated[bool, typer.Option("--upload", help="Wait for `hikube disk upload`")] = False,
    optical: Annotated[bool, typer.Option("--optical", help="A CD-ROM, for ISO files")] = False,
    storage_class: StorageClass = "",
    host: Host = "",
    retain: Retain = False,
    namespace: Namespace = "default",
    dry_run: DryRun = False,
    wait: Wait = True,
    timeout: Timeout = "30m",
    output: NarrowOutput = "table",
    error_unchanged: ErrorUnchanged = False,
) -> int:
    """Create a disk: blank, or with the content that one of --image, --url, --from and --upload names.

    It is made on the host of the first VM that uses it, or on --host; a copy where its origin is. Creating the same disk
    again changes nothing. Exit 8 if the time is up first, 9 if it cannot be made.
    """
    form = output_format(output, allowed=NARROW)
    source = _source(image=image, url=url, sha256=sha256, copy_of=copy_of, is_upload=is_upload)
    fields: dict[str, Any] = {"source": source, "optical": optical, "storage": size, "storageClass": storage_class}
    manner = Manner(form, duration_s(timeout), waits=wait, is_dry_run=dry_run, error_unchanged=error_unchanged)
    spec = {field: value for field, value in fields.items() if value}
    session = Session()
    if image:
        check_image(session, image)
    return make_disk(session, name, namespace, spec=spec, annotations=annotations_of(host=host, retain=retain), manner=manner)


def _source(*, image: str, url: str, sha256: str, copy_of: str, is_upload: bool) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if image:
        given["image"] = {"name": image}
    if url:
        given["http"] = {"url": url, **({"sha256": sha256} if sha256 else {})}
    if copy_of:
        given["disk"] = {"name": copy_of}
    if is_upload:
        given["upload"] = {}
    if len(given) > 1:
        raise InvalidInput("a disk begins in one way", why=f"given: {', '.join(given)}", hint="leave all out for a blank disk")
    if sha256 and not url:
        raise InvalidInput("--sha256 is the digest of the file behind --url")
    return given
