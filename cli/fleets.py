"""The fleet as planning sees it, for commands that show what is free. Planning computes; nothing is computed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.session import Session

if TYPE_CHECKING:
    from provisioner.planning.fleet import Fleet, HostView


def fleet_of(session: Session) -> Fleet:
    """A snapshot of the store."""
    from provisioner.lifecycle.fleet import snapshot

    return snapshot(session.store, session.tables)


def host_views(session: Session) -> tuple[HostView, ...]:
    """Every host as a newcomer would find it."""
    from provisioner.planning.policy import PlacementPolicy

    return fleet_of(session).views(policy=PlacementPolicy())
