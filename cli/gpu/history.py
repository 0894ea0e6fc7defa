"""`hikube gpu history`: who had a card, when, and how it was cleaned afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from cli.completing import complete_gpu_addresses
from cli.gpu.naming import GpuName, gpu_named
from cli.options import Output, output_format
from cli.output import as_json, as_list, as_yaml, put, say
from cli.render.resources import at
from cli.render.table import table
from cli.session import Session
from provisioner.model.errors import NotFound

Card = Annotated[
    str,
    typer.Argument(
        metavar="HOST[/ADDRESS]|SERIAL", help="A GPU, or a card by its serial number", autocompletion=complete_gpu_addresses
    ),
]
TITLES = ("OWNER", "GIVEN", "UNTIL", "RESET", "SCRUB", "VERIFIED", "OUTCOME")
WIDE_TITLES = ("WHERE", "CARD", "UUID", "REASON")
Entry = dict[str, Any]


def history(card: Card, output: Output = "table") -> None:
    """Show who had a GPU, from when until when, and how it was reset, scrubbed and verified before the next.

    The history is kept by the card, and goes with it to another slot or host. A serial number is that of the card (`gpu show`),
    or the one that a guest reported.
    """
    form = output_format(output)
    session = Session()
    entries = _entries(session, card)
    if form in ("json", "yaml"):
        put(as_json(as_list(entries)) if form == "json" else as_yaml(as_list(entries)))
    elif form == "name":
        put("".join(f"{_owner(entry)}\n" for entry in entries if _owner(entry)))
    elif entries:
        put(history_table(entries, wide=form == "wide"))
    else:
        say(f"nobody has had {card} yet")


def entries_of(session: Session, gpu: GpuName) -> list[Entry]:
    """Of the card that is there now, wherever it was; of every card that was there, where that cannot be told. Oldest first."""
    host = session.raw_one("GPUHost", gpu.host)
    facts = (each for each in at(host, "status.gpus", ()) if each["function"]["address"] == gpu.address)
    identity = at(next(facts, {}), "identity", None)
    cards = session.raw("GPUHistory")
    own = [card for card in cards if identity and identity.get("serial") and at(card, "spec.identity") == identity]
    if own:
        return _sorted(entry for card in own for entry in _of(card))
    every = [entry for card in cards for entry in _of(card)]
    return _sorted(entry for entry in every if (entry["host"], entry["address"]) == (gpu.host, gpu.address))


def _entries(session: Session, word: str) -> list[Entry]:
    cards = session.raw("GPUHistory")
    by_serial = [card for card in cards if at(card, "spec.identity.serial") == word]
    if by_serial:
        return _sorted(entry for card in by_serial for entry in _of(card))
    reported = [card for card in cards if any(at(entry, "guest.serial") == word for entry in _of(card))]
    if reported:
        return _sorted(entry for card in reported for entry in _of(card))
    here = _gpu_with_serial(session, word)
    if here is not None:
        return entries_of(session, here)
    try:
        return entries_of(session, gpu_named(session, word))
    except NotFound as error:
        if "/" in word:
            raise
        raise NotFound(
            f"no host and no card is called {word!r}", hint=error.hint or "`hikube gpu list -o wide` has serials"
        ) from error


def _gpu_with_serial(session: Session, word: str) -> GpuName | None:
    """Where the card of that serial number is now, if a host shows one: also a card that nobody has had yet has a serial."""
    for host in session.raw("GPUHost"):
        for facts in at(host, "status.gpus", ()):
            if (facts.get("identity") or {}).get("serial") == word:
                return GpuName(at(host, "metadata.name"), facts["function"]["address"])
    return None


def _of(card: dict[str, Any]) -> list[Entry]:
    """Tenants and checks alike, told apart by `what`."""
    name = card["metadata"]["name"]
    tenants = [{"what": "Tenant", **entry, "card": name} for entry in at(card, "status.entries", ())]
    return [*tenants, *({**note, "card": name} for note in at(card, "status.notes", ()))]


def _sorted(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: str(entry.get("until") or entry.get("ended") or entry.get("at") or ""))


def history_table(entries: Sequence[Entry], *, wide: bool) -> str:
    """One line per tenant or check, the oldest first."""
    titles = (*TITLES, *(WIDE_TITLES if wide else ()))
    rows = [[*_cells(entry), *(_wide_cells(entry) if wide else ())] for entry in entries]
    return table(titles, rows, ends_in_sentences=wide)


def _cells(entry: Entry) -> list[str]:
    if entry["what"] != "Tenant":
        return ["", "", _to_the_second(entry["at"]), "", "", "", entry["what"]]
    cleaning = entry.get("cleaning", {})
    scrubbed = cleaning.get("scrubbed")
    is_verified = bool(cleaning.get("verification")) and not cleaning.get("failure")
    return [
        _owner(entry),
        _to_the_second(entry.get("given", "")),
        _to_the_second(entry.get("until", "")),
        cleaning.get("resetMethod", ""),
        "" if scrubbed is None else "ok" if scrubbed["exitStatus"] == 0 else f"status={scrubbed['exitStatus']}",
        "yes" if is_verified else "no",
        entry.get("outcome", ""),
    ]


def _wide_cells(entry: Entry) -> list[str]:
    reason = entry.get("reason") or entry.get("message", "")
    return [f"{entry['host']}/{entry['address']}", entry["card"], at(entry, "guest.uuid"), reason]


def _to_the_second(time: str) -> str:
    """The fractions are in `-o json`."""
    return f"{time.partition('.')[0]}Z" if "." in time else time


def _owner(entry: Entry) -> str:
    return f"{entry['owner']['namespace']}/{entry['owner']['name']}" if "owner" in entry else ""
