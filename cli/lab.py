"""`hikube lab`: a GPU host in a box for whoever has no GPU.

Parses, calls provisioner.lab, renders. What a lab is and how it is made is known there; what its hosts are to hikube, in
lab_hosts.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import output_format
from cli.output import as_json, put, say
from provisioner.model.errors import InvalidInput

if TYPE_CHECKING:
    from provisioner.lab import Lab

MEBIBYTES = {"MiB": 1, "Mi": 1, "GiB": 1024, "Gi": 1024}

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A GPU host in a box, for whoever has no GPU",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The lab")]


@app.command()
def create(
    name: Name = "lab",
    gpus: Annotated[int, typer.Option(help="Stand-in GPUs per host")] = 1,
    stand_in: Annotated[str, typer.Option(metavar="MODEL", help="bochs (a display device) or nvme (DMA and FLR)")] = "bochs",
    numa_nodes: Annotated[int, typer.Option(help="NUMA nodes per host; the stand-ins are dealt to them in turn")] = 1,
    hosts: Annotated[int, typer.Option(help="Hosts in the lab")] = 1,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="Memory per host, such as 6GiB")] = "6GiB",
    vcpus: Annotated[int, typer.Option(help="CPUs per host")] = 2,
    acs: Annotated[bool, typer.Option(help="Isolate the stand-ins; without, all share one IOMMU group")] = True,
    add: Annotated[bool, typer.Option("--add", help="Add its hosts, and its image as lab-debian-13")] = False,
) -> None:
    """Create a lab and wait until its hosts are of use; the URI of each goes to stdout.

    The first time, its images are built from Debian packages, which takes some minutes and root. Repeating it is safe: what
    runs is left alone, what does not run is started again, what is added already is left as it is.
    """
    from provisioner import lab as labs

    topology = labs.uniform(
        name,
        hosts=hosts,
        gpus=gpus,
        model=_model(stand_in),
        numa_nodes=numa_nodes,
        memory_mib=memory_mib(memory),
        vcpus=vcpus,
        acs=acs,
    )
    made = labs.create(topology, _progress)
    if add:
        _add(made)
    else:
        _say_how_to_add(made)
    put("".join(f"{host.uri}\n" for host in made.hosts))


def _add(made: Lab) -> None:
    from cli.lab_hosts import add_lab, emulates
    from cli.session import Session
    from provisioner.lab import ensure_images

    images = ensure_images(_progress)
    add_lab(Session(), made, images, emulated=emulates(images))


def _say_how_to_add(made: Lab) -> None:
    from cli.lab_hosts import emulates, how_to_add
    from cli.session import Session
    from provisioner.lab import ensure_images

    images = ensure_images(_progress)
    say("the same command with --add makes hikube use it; by hand that is:")
    for line in how_to_add(made, images, Session().tables, emulated=emulates(images)):
        say(f"  {line}")


@app.command("list")
def list_labs(
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORMAT", help="table, json or name")] = "table",
) -> None:
    """List labs and their hosts."""
    from provisioner import lab as labs

    form = output_format(output, allowed=("table", "json", "name"))
    known = labs.list_labs()
    rows = [row for each in known for row in _rows(each)]
    if form == "name":
        put("".join(f"lab/{each.name}\n" for each in known))
    elif form == "json":
        put(as_json(rows))
    elif rows:
        put(_table(rows))
    else:
        say("no labs; make one: hikube lab create")


@app.command(context_settings={"ignore_unknown_options": True})
def ssh(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The lab")],
    rest: Annotated[list[str] | None, typer.Argument(metavar="[HOST] [-- COMMAND]...", help="Which host; what to run")] = None,
) -> int:
    """Log in to a lab's host as root, or run one command there. The exit status is that of ssh."""
    from provisioner import lab as labs

    host, command = _host_and_command(labs.load(name), rest or [])
    return subprocess.run(labs.ssh_command(name, host, command), check=False).returncode


@app.command()
def delete(name: Name = "lab") -> None:
    """End a lab's hosts and remove all that belongs to it. A lab that is not there is deleted already.

    Hosts of it that hikube uses stay registered, without a machine behind them, until `hikube host remove`.
    """
    from cli.lab_hosts import still_registered
    from cli.session import Session
    from provisioner import lab as labs

    left = [host for lab in labs.list_labs() if lab.name == name for host in still_registered(Session(), lab)]
    say(f"lab {name} is gone" if labs.delete(name) else f"there is no lab {name}")
    if left:
        say(f"still registered: {', '.join(left)}; forget with: hikube host remove {' '.join(left)}")


@app.command()
def images() -> None:
    """Build the images of labs where they are not in the cache; print the guest's image and its SHA-256."""
    from provisioner import lab as labs

    built = labs.ensure_images(_progress)
    put(f"{built.guest_image} {built.guest_sha256}\n")


def memory_mib(text: str) -> int:
    """`6GiB` or `2048MiB` in MiB."""
    match = re.fullmatch(r"(\d{1,6})\s*(MiB|Mi|GiB|Gi)", text.strip())
    if match is None:
        raise InvalidInput(f"{text!r} is no amount of memory", hint="write it as 6GiB or 6144MiB")
    return int(match[1]) * MEBIBYTES[match[2]]


def _model(text: str) -> Any:
    from provisioner.lab import StandInModel

    try:
        return StandInModel(text)
    except ValueError as error:
        raise InvalidInput(
            f"there is no stand-in {text!r}", context={"allowed": [model.value for model in StandInModel]}
        ) from error


def _host_and_command(lab: Lab, rest: list[str]) -> tuple[str | None, list[str]]:
    """The first word is a host if the lab has one of that name; all else is the command."""
    if rest and rest[0] in [host.name for host in lab.topology.hosts]:
        return rest[0], rest[1:]
    return None, rest


def _rows(lab: Lab) -> list[dict[str, Any]]:
    return [
        {
            "lab": lab.name,
            "host": host.name,
            "state": "running" if host.is_running() else "stopped",
            "gpus": [gpu.model.value for gpu in host.spec.gpus],
            "memoryMiB": host.spec.memory_mib,
            "vcpus": host.spec.vcpus,
            "uri": host.uri if host.was_started() else "",
        }
        for host in lab.hosts
    ]


def _table(rows: list[dict[str, Any]]) -> str:
    from cli.render.table import table

    head = ("LAB", "HOST", "STATE", "GPUS", "MEMORY", "CPUS", "URI")
    body = [
        (
            row["lab"],
            row["host"],
            row["state"],
            str(len(row["gpus"])),
            f"{row['memoryMiB'] / 1024:g}GiB",
            str(row["vcpus"]),
            row["uri"] or "-",
        )
        for row in rows
    ]
    return table(head, body)


def _progress(line: str) -> None:
    say(f"  ok   {line}")
