"""`hikube migrate`: every object from one store to another, without touching a VM; and back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import NAMELESS, NamelessOutput, output_format
from cli.output import as_json, as_yaml, put, say
from cli.places import key_path, store_path
from cli.session import Session
from provisioner.model.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from provisioner.store.kubernetes.side import KubernetesSide
    from provisioner.store.moving.moving import Progress, Report
    from provisioner.store.sqlite.side import SqliteSide

KINDS = {"sqlite": "sqlite", "file": "sqlite", "kubernetes": "kubernetes"}
TELL_EVERY_S = 2.0
"""A shorter move says nothing before its end."""

From = Annotated[str, typer.Option("--from", metavar="STORE", help="Where the objects are: sqlite or kubernetes")]
To = Annotated[str, typer.Option("--to", metavar="STORE", help="Where they go: sqlite or kubernetes")]
FromFile = Annotated[str, typer.Option("--from-file", metavar="FILE", help="Of sqlite: the file, instead of the usual one")]
ToFile = Annotated[str, typer.Option("--to-file", metavar="FILE", help="Of sqlite: the file, instead of the usual one")]
FromKey = Annotated[str, typer.Option("--from-key-file", metavar="FILE", help="Of sqlite: its key file")]
ToKey = Annotated[str, typer.Option("--to-key-file", metavar="FILE", help="Of sqlite: its key file")]
FromKubeconfig = Annotated[str, typer.Option("--from-kubeconfig", metavar="FILE", help="Of kubernetes: which cluster")]
ToKubeconfig = Annotated[str, typer.Option("--to-kubeconfig", metavar="FILE", help="Of kubernetes: which cluster")]
FromContext = Annotated[str, typer.Option("--from-context", metavar="NAME", help="Of kubernetes: which context")]
ToContext = Annotated[str, typer.Option("--to-context", metavar="NAME", help="Of kubernetes: which context")]


@dataclass(frozen=True, slots=True)
class Place:
    """What the options say about one side."""

    option: str
    """`--from` or `--to`."""
    store: str
    file: str
    key_file: str
    kubeconfig: str
    context: str

    @property
    def kind(self) -> str:
        """Which store. Raises InvalidInput: none, or options of the other one."""
        if self.store not in KINDS:
            said = f"{self.option} {self.store!r} is no store" if self.store else f"{self.option} is needed"
            raise InvalidInput(said, hint="hikube migrate --from sqlite --to kubernetes, or the other way")
        kind = KINDS[self.store]
        given = {
            "sqlite": {"file": self.file, "key-file": self.key_file},
            "kubernetes": {"kubeconfig": self.kubeconfig, "context": self.context},
        }
        (others,) = (options for name, options in given.items() if name != kind)
        if wrong := [f"{self.option}-{name}" for name, value in others.items() if value]:
            raise InvalidInput(f"{', '.join(wrong)} is given, and {self.option} is {self.store}")
        return kind


def migrate(
    source: From = "",
    target: To = "",
    from_file: FromFile = "",
    from_key_file: FromKey = "",
    from_kubeconfig: FromKubeconfig = "",
    from_context: FromContext = "",
    to_file: ToFile = "",
    to_key_file: ToKey = "",
    to_kubeconfig: ToKubeconfig = "",
    to_context: ToContext = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be moved, write nothing")] = False,
    output: NamelessOutput = "table",
) -> None:
    """Move every object to another store, with its identity, its status and its Secrets. VMs go on and notice nothing.

    Stop the controllers of both stores first; exit 5 while one runs. It may be interrupted at any moment: run again, it goes on
    where it ended, and no controller begins on half of it. Afterwards the old store can be read, and nobody acts on it.
    """
    form = output_format(output, allowed=NAMELESS)
    places = (
        Place("--from", source, from_file, from_key_file, from_kubeconfig, from_context),
        Place("--to", target, to_file, to_key_file, to_kubeconfig, to_context),
    )
    report = _moved(Session(), places, dry_run=dry_run)
    if form != "table":
        put(as_json(report.as_dict()) if form == "json" else as_yaml(report.as_dict()))
    else:
        put(_text(report))
    if not dry_run:
        say(f"controllers over {report.target} may begin; nobody acts on {report.source} any more")


def _moved(session: Session, places: Sequence[Place], *, dry_run: bool) -> Report:
    from provisioner.model.clock import timestamp
    from provisioner.store.moving.moving import move

    _ = [place.kind for place in places]  # nothing is opened for a mistake
    with ExitStack() as closing:
        sides = []
        for place in places:
            sides.append(_side(session, place, dry_run=dry_run))
            closing.callback(sides[-1].close)
        source, target = sides
        if source.id == target.id:
            raise InvalidInput("--from and --to are the same store", why=source.name)
        for side in sides if not dry_run else ():
            side.hold()
        now = timestamp(session.now_s)
        return move(source, target, now=now, progress=_progress(session), dry_run=dry_run)


def _side(session: Session, place: Place, *, dry_run: bool) -> SqliteSide | KubernetesSide:
    if place.kind == "kubernetes":
        from cli.cluster import side

        kubeconfig = Path(place.kubeconfig).expanduser() if place.kubeconfig else None
        return side(session, kubeconfig=kubeconfig, context=place.context, is_held=not dry_run)
    from provisioner.store.sqlite.side import SqliteSide

    path = Path(place.file).expanduser() if place.file else store_path()
    if not path.exists() and (place.option == "--from" or dry_run):
        hint = f"{place.option}-file names another one" + ("; without --dry-run it would be made" if dry_run else "")
        raise NotFound(f"there is no store {path}", hint=hint)
    given = place.key_file or ("" if not place.file else f"{path}.key")
    return SqliteSide(path, clock=session.clock, identifiers=session.identifiers, key_path=key_path(given))


def _progress(session: Session) -> Progress:
    told_s = session.clock.monotonic_s()

    def progress(done: int, of: int) -> None:
        nonlocal told_s
        now_s = session.clock.monotonic_s()
        if now_s - told_s >= TELL_EVERY_S:
            told_s = now_s
            say(f"  ...  {done:,} of {of:,} objects")

    return progress


def _text(report: Report) -> str:
    if report.was_done:
        return f"the objects of {report.source} were moved to {report.target} before; nothing was done\n"
    would = "would be " if report.dry_run else ""
    kinds = [f"  {count:>6,}  {kind}" for kind, count in report.objects.items()]
    counts = f"{report.created:,} created, {report.changed:,} changed, {report.removed:,} removed"
    return "\n".join([f"{report.source} -> {report.target}", *kinds, f"{would}{counts}", ""])
