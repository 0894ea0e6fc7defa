"""How tests steer guests: by namespace and name, before there is a VM, while it runs, and across its restarts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count

from tests.kubernetes.kubevirt.fields import Key

PULL_MESSAGE = 'failed to pull and unpack image "{image}": not found'


class Guest:
    """One VM's guest. What is set holds until it is unset; `crash` and `power_off` happen once, as soon as it runs."""

    def __init__(self, key: Key, *, address: str, changed: Callable[[Key], None]) -> None:
        self.key = key
        self._address = address
        self._changed = changed
        self._lock = threading.Lock()
        self._end: str | None = None
        self._early_failures = 0
        self.ignores_acpi = False
        self.is_silent = False
        self.image_trouble: tuple[str, str] | None = None

    @property
    def address(self) -> str:
        """What it has as its first interface's IP address; empty for none."""
        return self._address

    @address.setter
    def address(self, value: str | None) -> None:
        self._address = value or ""
        self._changed(self.key)

    def crash(self) -> None:
        """QEMU ends with an error."""
        self._ends("Failed")

    def power_off(self) -> None:
        """The guest shuts itself down."""
        self._ends("Succeeded")

    def ignore_acpi(self, ignores: bool = True) -> None:
        """It does not shut down when it is asked to."""
        self.ignores_acpi = ignores
        self._changed(self.key)

    def silence_agent(self, silent: bool = True) -> None:
        """Its agent does not answer, or no longer."""
        self.is_silent = silent
        self._changed(self.key)

    def fail_before_running(self, times: int = 1) -> None:
        """So many launchers end before the guest runs."""
        with self._lock:
            self._early_failures = times

    def refuse_image(self, reason: str = "ErrImagePull", message: str = PULL_MESSAGE.format(image="disk")) -> None:
        """The kubelet cannot pull an image of its pod; `reason` is the kubelet's: ErrImagePull or ImagePullBackOff."""
        self.image_trouble = (reason, message)
        self._changed(self.key)

    def allow_image(self) -> None:
        self.image_trouble = None
        self._changed(self.key)

    def take_end(self) -> str | None:
        """For the node side: the phase that was asked for, once."""
        with self._lock:
            asked, self._end = self._end, None
            return asked

    def give_back_end(self, phase: str) -> None:
        """It could not be written, and is still asked for."""
        with self._lock:
            self._end = self._end or phase

    def take_early_failure(self) -> bool:
        """For the node side: whether this launcher fails."""
        with self._lock:
            fails = self._early_failures > 0
            self._early_failures -= fails
            return fails

    def _ends(self, phase: str) -> None:
        with self._lock:
            self._end = phase
        self._changed(self.key)


class Guests:
    """Made when they are asked for; each has an address of its own."""

    def __init__(self, changed: Callable[[Key], None]) -> None:
        self._changed = changed
        self._known: dict[Key, Guest] = {}
        self._numbers = count(2)
        self._lock = threading.Lock()

    def of(self, key: Key) -> Guest:
        with self._lock:
            if key not in self._known:
                number = next(self._numbers)
                address = f"10.244.{number // 250}.{number % 250}"
                self._known[key] = Guest(key, address=address, changed=self._changed)
            return self._known[key]
