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


def why_no_gpus(session: Session, *, host: str = "") -> str:
    """What to say instead of a list of GPUs that is empty, of all hosts or of one: there is none, or nobody has looked yet."""
    hosts = [each for each in session.raw("GPUHost") if not host or each["metadata"]["name"] == host]
    unseen = [each["metadata"]["name"] for each in hosts if not each.get("status", {}).get("lastSeen")]
    clusters = [each["metadata"]["name"] for each in hosts if str(each.get("spec", {}).get("uri", "")).startswith("kubevirt:")]
    if not unseen and clusters:
        return (
            f"no VM has a GPU of {', '.join(clusters)}; a KubeVirt cluster only counts those that are free: `hikube host list`"
        )
    if not unseen and host:
        return f"host {host} has no GPU"
    if not unseen:
        return "no host has a GPU; add one: hikube host add NAME URI, or see `hikube host list`"
    return (
        f"no GPU is known; not looked at yet: {', '.join(unseen)}\n"
        f"the control loop looks: `hikube controller`, or `hikube wait host/{unseen[0]} --for=condition=Ready`"
    )
