"""What a host tells by itself, to whoever subscribed on a connection to it.

Events only say that a look is worth while; what is so is asked afterwards. They can be lost (while nobody is connected, and
when many come at once), so whatever stands on them looks on a period as well. Listeners are called from a thread of the
driver's, or in the midst of a caller's own call: they return at once, never raise, and ask the host nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass


class HostEventKind(enum.StrEnum):
    """What happened."""

    DOMAIN_STOPPED = "domain-stopped"
    """For any reason, ours included."""
    DOMAIN_STARTED = "domain-started"
    DEVICES_CHANGED = "devices-changed"
    """A PCI function came, went or was altered. A change of driver alone may go unsaid: kernels do not tell it reliably."""
    CONNECTION_LOST = "connection-lost"
    """The last event of a connection. Not told when it was closed on our side."""


@dataclass(frozen=True, slots=True)
class HostEvent:
    """One thing that a host told."""

    kind: HostEventKind
    subject: str
    """Name of the domain, PCI address of the function, or why the connection was lost."""


Listener = Callable[[HostEvent], None]
