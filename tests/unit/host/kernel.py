"""A kernel for a fake host: a thread that does what a write to one of its files asks for, as the real one would."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

from tests.unit.host.fake_host import FakeHost

DEVICES, DRIVERS = "sys/bus/pci/devices", "sys/bus/pci/drivers"
_POLL_S = 0.002


class Kernel:
    """Reacts from `with` to its end. `chooses` is the driver that it binds to a function that has no override."""

    def __init__(self, host: FakeHost, *, chooses: dict[str, str]) -> None:
        self.chooses = chooses
        self.resets: list[str] = []
        self.dies_in_resets = False
        self._host = host
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Kernel:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(_POLL_S):
            probed = self._taken(self._host.root / "sys/bus/pci/drivers_probe")  # whatever was unbound was so before
            for driver in sorted((self._host.root / DRIVERS).iterdir()):
                if address := self._taken(driver / "unbind"):
                    self._host.bind(address, "")
                if address := self._taken(driver / "bind"):
                    self._host.bind(address, driver.name)
            if probed:
                self._probe(probed)
            for address in self.chooses:
                if self._taken(self._host.root / f"{DEVICES}/{address}/reset"):
                    self._reset(address)

    def _taken(self, file: Path) -> str:
        text = file.read_text().strip() if file.is_file() else ""
        if text:
            file.write_text("")
        return text

    def _probe(self, address: str) -> None:
        override = self._host.read(f"{DEVICES}/{address}/driver_override").strip()
        if (self._host.root / f"{DEVICES}/{address}/driver").is_symlink():
            return
        driver = self.chooses.get(address, "") if override in {"", "(null)"} else override
        if (self._host.root / DRIVERS / driver).is_dir():
            self._host.bind(address, driver)

    def _reset(self, address: str) -> None:
        self.resets.append(address)
        if self.dies_in_resets:
            self._host.device(address, "config", b"\xff" * 4096)
