"""`hikube host list` and `show`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from cli.completing import complete_hosts
from cli.fleets import host_views
from cli.options import NARROW, NarrowOutput, Output, Selector, Watch, labels, output_format
from cli.output import as_json, as_list, as_yaml, put, say
from cli.render.conditions import conditions_lines
from cli.render.doctor import findings_lines
from cli.render.hosts import host_json, host_text, hosts_table
from cli.render.resources import host_status, host_trouble
from cli.session import Session, no_such
from provisioner.model.metadata import matches

if TYPE_CHECKING:
    from provisioner.planning.fleet import HostView


def list_hosts(selector: Selector = [], output: Output = "table", watch: Watch = False) -> None:  # noqa: B006 - typer copies it
    """List hosts, and how many of their GPUs are free."""
    form = output_format(output)
    wanted = labels(selector)
    session = Session()
    if watch:
        _watch(session, form, wanted)
        return
    views = [view for view in host_views(session) if matches(view.host.metadata.labels, wanted)]
    if form in ("json", "yaml"):
        value = as_list(host_json(view) for view in views)
        put(as_json(value) if form == "json" else as_yaml(value))
    elif form == "name":
        put("".join(f"gpuhost/{view.name}\n" for view in views))
    elif views:
        put(hosts_table(views, now_s=session.now_s, wide=form == "wide"))
        _say_troubles(views)
    else:
        say("no hosts; add one: hikube host add NAME qemu+ssh://root@HOST/system")


def _say_troubles(views: Iterable[HostView]) -> None:
    for view in views:
        item = view.host.as_json()
        if trouble := host_trouble(item):
            say(f"{view.name} is {host_status(item)}: {trouble}")


def _watch(session: Session, form: str, wanted: dict[str, str]) -> None:
    from cli.listing import Listing, follow
    from cli.render.resources import columns_of

    follow(session, lambda: session.raw("GPUHost", labels=wanted), Listing(columns_of("GPUHost"), form, "no hosts"))


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The host", autocompletion=complete_hosts)],
    output: NarrowOutput = "table",
) -> None:
    """Show one host: its GPUs, their groups, drivers and owners, its pools and networks, its conditions."""
    form = output_format(output, allowed=NARROW)
    session = Session()
    views = {view.name: view for view in host_views(session)}
    if name not in views:
        raise no_such("GPUHost", name, namespace="", known=views)
    if form == "name":
        put(f"gpuhost/{name}\n")
    elif form == "table":
        host = views[name].host.as_json()
        lines = conditions_lines(host["status"].get("conditions", ()), session.now_s)
        lines = [*findings_lines(host["status"].get("findings", ()), host=name), *lines]
        put(host_text(views[name]) + "\n" + "".join(f"{line}\n" for line in lines))
    else:
        value = host_json(views[name])
        put(as_json(value) if form == "json" else as_yaml(value))
