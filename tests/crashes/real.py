"""The stage on a real host: controllers in processes of their own, killed by SIGKILL (tests/libvirt/mortal_controller.py)."""

from __future__ import annotations

import signal
from collections.abc import Callable

from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.protocol import Store
from tests.crashes.moments import NEVER, Moment
from tests.crashes.outcome import Eyes, Outcome


class RealStage:
    """See play.Stage."""

    def __init__(self, store: Store, eyes: Eyes, *, make: Callable[[], VirtualMachine], control: Callable[[str], int]) -> None:
        """Without a VM yet.

        Args:
            store: the controllers' own.
            eyes: on the host.
            make: creates the VM in the store.
            control: lets one controller live until that moment (NEVER: until the VM is where it is going); its exit status.
        """
        self._store = store
        self._eyes = eyes
        self._make = make
        self._control = control
        self._made: VirtualMachine | None = None

    @property
    def vm(self) -> VirtualMachine:
        """The VM as it was asked for."""
        assert self._made is not None, "it is not created yet"
        return self._made

    def create(self) -> None:
        """See the protocol."""
        self._made = self._make()

    def delete(self) -> None:
        """See the protocol."""
        self._store.delete(self.vm.key)

    def live(self, moment: Moment | None) -> bool:
        """See the protocol."""
        status = self._control(NEVER if moment is None else str(moment))
        assert status in {0, -signal.SIGKILL}, f"{moment}: exit status {status}"
        return status != 0

    def look(self) -> Outcome:
        """See the protocol."""
        return self._eyes.look()
