"""What a store says about its objects being on their way, so that no control loop acts on half of them, or on what has left.

    the new one:  ── arriving ──> (first write) … (last write, compared) ──> no signpost: its controllers may lead
    the old one:  ──────────────────────────────────────────> moved ───────> for good, or until somebody takes the signpost away

Whoever runs a control loop looks for a signpost before it takes the right to, and is refused by `raise_for`. Pure.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from provisioner.model.errors import NotAllowed

ARRIVING, MOVED = "arriving", "moved"


@dataclass(frozen=True, slots=True)
class Signpost:
    """One state of one store."""

    state: Literal["arriving", "moved"]
    other_id: str
    """Which store they come from, or went to; never shown to be compared by people."""
    other_name: str
    since: str
    replaces: bool = False
    """Of an arrival: what this store has is an old copy of what arrives, and goes where that does not have it."""

    def as_text(self) -> str:
        """To be kept beside the store."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Signpost:
        """What was kept; a text that cannot be read is a signpost all the same: somebody put it there for a reason."""
        try:
            known = json.loads(text)
            state: Literal["arriving", "moved"] = "arriving" if known["state"] == ARRIVING else "moved"
            return cls(state, str(known["other_id"]), str(known["other_name"]), str(known["since"]), bool(known["replaces"]))
        except (ValueError, TypeError, KeyError):
            return cls("moved", "", "a place that its signpost does not name", "")


def raise_for(signpost: Signpost | None, *, store: str, undo: str) -> None:
    """Refuse to act on a store that is signposted.

    Raises:
        NotAllowed: its objects have left, or have not all come.
    """
    if signpost is None:
        return
    if signpost.state == ARRIVING:
        what = f"objects are on their way from {signpost.other_name} to {store}"
        hint = f"run the same `hikube migrate` again: it goes on where it ended; to give it up: {undo}"
    else:
        what = f"the objects of {store} were moved to {signpost.other_name}"
        hint = f"work there; to bring them back: `hikube migrate` the other way; only if nothing acts there any more: {undo}"
    raise NotAllowed(
        what, why=f"since {signpost.since}" if signpost.since else "", hint=hint, context={"state": signpost.state}
    )
