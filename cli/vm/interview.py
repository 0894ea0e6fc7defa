"""Asking a person what VM to create: what is free now, and a default for every answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cli.asking import ask
from cli.offers import offer_rows
from cli.output import say, talks_to_a_person
from cli.render.table import table
from cli.vm.wishes import DEFAULT_DISK_SIZE, DEFAULT_IMAGE, DEFAULT_INSTANCE_TYPE, Wishes
from provisioner.model.errors import InvalidInput, NoCapacity

if TYPE_CHECKING:
    from cli.session import Session


def interview(session: Session, wishes: Wishes) -> Wishes:
    """The wishes with every answer filled in.

    Raises:
        InvalidInput: there is nobody to ask.
        NoCapacity: no GPU is free.
    """
    if not talks_to_a_person():
        raise InvalidInput(
            "nothing says what VM to create, and there is no terminal to ask on",
            hint="hikube gpu vm create NAME --gpu MODEL[:COUNT] [--image NAME] [--instance-type TYPE]",
        )
    rows = [row for row in offer_rows(session) if row["free"]]
    if not rows:
        raise NoCapacity("no GPU is free", hint="`hikube host list` shows the hosts, `hikube host add` adds one")
    say("GPUs that are free now:")
    cells = [
        [row["gpu"], str(row["free"]), str(row["perVm"]), f"{row['memoryGib']}Gi" if row["memoryGib"] else ""] for row in rows
    ]
    say(table(("GPU", "FREE", "PER-VM", "MEMORY"), cells).rstrip("\n"))
    model = ask("GPU model?", default=rows[0]["gpu"])
    count = ask("How many?", default="1")
    return replace(
        wishes,
        name=wishes.name or ask("Name of the VM?", default="gpu-1"),
        gpus=(f"{model}:{count}",),
        image=ask("Image? (`hikube image list` shows all)", default=DEFAULT_IMAGE),
        instance_type=ask("Instance type?", default=DEFAULT_INSTANCE_TYPE),
        disk_size=ask("Size of the disk?", default=DEFAULT_DISK_SIZE),
    )
