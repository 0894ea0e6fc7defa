"""`hikube gpu offers`: what can be had now, computed by the placement that would place it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.completing import complete_gpus
from cli.options import Output, output_format
from cli.output import as_json, as_list, as_yaml, put, say
from cli.render.table import table
from cli.session import Session

if TYPE_CHECKING:
    from provisioner.planning.explain import Explanation
    from provisioner.planning.fleet import HostView

GUEST_MEMORY_MIB = 1024
"""Of a guest that asks for hardly more than its GPUs."""


def offers(
    gpu: Annotated[
        str,
        typer.Option(
            "--gpu", metavar="MODEL[:COUNT]", help="Only this model, and so many for one VM", autocompletion=complete_gpus
        ),
    ] = "",
    explain: Annotated[bool, typer.Option("--explain", help="Say for every host why it offers none")] = False,
    output: Output = "table",
) -> None:
    """Show which GPUs can be had now: per model how many are free, and how many one VM could get.

    Columns: FREE and TOTAL count GPUs; PER-VM is the most that one VM could get on one host now; MEMORY is per GPU, in GiB.
    """
    form = output_format(output)
    session = Session()
    if gpu:
        _one_model(session, gpu, form, explain=explain)
        return
    rows = offer_rows(session)
    if explain and rows:
        _every_model(session, [row["gpu"] for row in rows], form)
    elif form in ("json", "yaml"):
        put(as_json(as_list(rows)) if form == "json" else as_yaml(as_list(rows)))
    elif form == "name":
        put("".join(f"{row['gpu']}\n" for row in rows))
    elif rows:
        put(_table(rows, wide=form == "wide"))
    else:
        from cli.fleets import why_no_gpus

        say(why_no_gpus(session))


def offer_rows(session: Session) -> list[dict[str, Any]]:
    """One row per GPU model that any host has, by name."""
    from cli.fleets import host_views
    from cli.gpu_names import label_of

    views = host_views(session)
    names = sorted({name for view in views for name in view.all_gpus})
    return [_row(session, name, label_of(session.tables, name), views) for name in names]


def _row(session: Session, name: str, label: str, views: tuple[HostView, ...]) -> dict[str, Any]:
    model = session.tables.gpus.resolve(name)
    usable = {view.name: view.free_gpus[name] for view in views if view.free_gpus[name] and _may_be_used(session, name, view)}
    return {
        "gpu": label,
        "name": name,
        "free": sum(usable.values()),
        "total": sum(view.all_gpus[name] for view in views),
        "perVm": max(usable.values(), default=0),
        "memoryGib": model.memory_gib if model is not None else 0,
        "hosts": [{"host": host, "free": free} for host, free in sorted(usable.items())],
    }


def _may_be_used(session: Session, name: str, view: HostView) -> bool:
    """Whether a small VM with one such GPU would fit there now: what is free on a cordoned host is no offer.

    A host on which nobody has tried KVM yet counts: the first VM for it is what makes the control loop try.
    """
    from provisioner.planning.fitting import Fit, fits
    from provisioner.planning.policy import PlacementPolicy
    from provisioner.planning.refusals import Reason
    from provisioner.planning.requests import PlacementRequest, gpu_needs

    request = PlacementRequest(vcpus=1, memory_mib=GUEST_MEMORY_MIB, gpus=gpu_needs([name], tables=session.tables))
    answer = fits(request, view, policy=PlacementPolicy())
    return isinstance(answer, Fit) or {refusal.reason for refusal in answer} == {Reason.KVM_UNPROVEN}


def _table(rows: list[dict[str, Any]], *, wide: bool) -> str:
    titles = ["GPU", "FREE", "TOTAL", "PER-VM", "MEMORY", *(["NAME"] if wide else []), "HOSTS"]
    cells = [
        [
            row["gpu"],
            str(row["free"]),
            str(row["total"]),
            str(row["perVm"]),
            f"{row['memoryGib']}Gi" if row["memoryGib"] else "",
            *([row["name"]] if wide else []),
            ",".join(f"{each['host']}:{each['free']}" for each in row["hosts"]),
        ]
        for row in rows
    ]
    return table(titles, cells)


def _every_model(session: Session, words: list[str], form: str) -> None:
    explanations = {word: _explanation(session, word) for word in words}
    if form in ("json", "yaml"):
        value = as_list({"gpu": word, **explanation.as_dict()} for word, explanation in explanations.items())
        put(as_json(value) if form == "json" else as_yaml(value))
        return
    for word, explanation in explanations.items():
        if form != "name":
            put(f"{word}:\n")
        put("".join(f"{word}/{host.host}\n" if form == "name" else f"  {host.line()}\n" for host in explanation.hosts))


def _explanation(session: Session, text: str) -> Explanation:
    from cli.fleets import fleet_of
    from cli.gpu_names import gpu_documents
    from provisioner.planning.explain import explain
    from provisioner.planning.requests import PlacementRequest, gpu_needs

    names = [each["name"] for each in gpu_documents(session.tables, [text])]
    request = PlacementRequest(vcpus=1, memory_mib=GUEST_MEMORY_MIB, gpus=gpu_needs(names, tables=session.tables))
    return explain(request, fleet_of(session))


def _one_model(session: Session, text: str, form: str, *, explain: bool) -> None:
    from cli.planning import no_capacity_for
    from provisioner.planning.placement import NoPlacement

    explanation = _explanation(session, text)
    _print(explanation, form, explain=explain)
    if isinstance(explanation.outcome, NoPlacement):
        raise no_capacity_for(f"a VM with {text}", explanation.outcome)


def _print(explanation: Explanation, form: str, *, explain: bool) -> None:
    if form in ("json", "yaml"):
        put(as_json(explanation.as_dict()) if form == "json" else as_yaml(explanation.as_dict()))
        return
    shown = [host for host in explanation.hosts if explain or host.verdict != "refused"]
    put("".join(f"{host.host}\n" if form == "name" else f"{host.line()}\n" for host in shown))
