"""`hikube sandbox show`: what really is, as against what hikube knows: who answers, what runs, what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.options import NAMELESS, NamelessOutput, output_format
from cli.output import as_json, as_list, as_yaml, put, say
from cli.render.table import NONE, table
from cli.sandbox.premises import HOW_TO_BEGIN, handles, sandbox_hosts
from cli.session import Session

if TYPE_CHECKING:
    from provisioner.drivers.simulated.host import SimulatedHost

LINKS = {"up": "answers", "down": "away", "hangs": "hangs"}


def show(output: NamelessOutput = "table") -> None:
    """Show the hosts of the sandbox as they really are: whether they answer, what runs on them, what is wrong.

    `hikube host list` shows what hikube knows of them.
    """
    form = output_format(output, allowed=NAMELESS)
    session = Session()
    rows = [_row(name, host) for name, host in handles(session).items()] if sandbox_hosts(session) else []
    if form in ("json", "yaml"):
        put(as_json(as_list(rows)) if form == "json" else as_yaml(as_list(rows)))
    elif rows:
        put(_text(rows))
    else:
        say(f"there is no sandbox; {HOW_TO_BEGIN}")


def _row(name: str, host: SimulatedHost) -> dict[str, Any]:
    from provisioner.drivers.simulated.troubles import troubles_of

    with host.peek() as state:
        return {
            "host": name,
            "link": LINKS[state.link],
            "running": [record.config.name for record, _ in state.running()],
            "troubles": [{"subject": found.subject, "message": found.words} for found in troubles_of(state)],
        }


def _text(rows: list[dict[str, Any]]) -> str:
    lines = table(
        ["HOST", "LINK", "DOMAINS", "TROUBLES"],
        [[row["host"], row["link"], ",".join(row["running"]) or NONE, str(len(row["troubles"]))] for row in rows],
    )
    wrong = [(row["host"], each) for row in rows for each in row["troubles"]]
    named = [(host if each["subject"] == "host" else f"{host}/{each['subject']}", each["message"]) for host, each in wrong]
    return lines + ("\n" if named else "") + "".join(f"{subject}: {message}\n" for subject, message in named)
