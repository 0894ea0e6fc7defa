"""A guest's files below a folder, for the two programs that go into guests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Tree:
    """A root file system that a test fills as it needs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def write(self, path: str, content: str | bytes, *, mode: int = 0o644) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(mode)
        return file

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def pci_function(self, address: str, *, ids: str, pci_class: str, driver: str = "", node: int = -1, bars: str = "") -> None:
        vendor, device = ids.split(":")
        folder = f"sys/bus/pci/devices/{address}"
        numbers = {"vendor": f"0x{vendor}", "device": f"0x{device}", "class": f"0x{pci_class}", "numa_node": str(node)}
        for name, text in numbers.items():
            self.write(f"{folder}/{name}", text + "\n")
        self.write(f"{folder}/resource", bars)
        if driver:
            (self.root / folder / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")

    def cloud_init(self, *, stages: dict[str, Any], finished: bool) -> None:
        self.write(
            "run/cloud-init/status.json", json.dumps({"v1": {"datasource": "DataSourceNoCloud", "stage": None} | stages})
        )
        if finished:
            self.write("run/cloud-init/result.json", '{"v1": {"errors": []}}')

    def nvidia_smi(self, script: str) -> None:
        self.write("usr/bin/nvidia-smi", "#!/bin/sh\n" + script, mode=0o755)
