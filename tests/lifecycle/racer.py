"""One process of the race for the last GPU: `python -m tests.lifecycle.racer DATABASE NAME ROUNDS`.

It takes one command a line on stdin and answers with one line of JSON: `create` makes its VM, `go` runs the production step
that reserves, `undo` gives back, `delete` removes the VM.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from provisioner.clocks import SystemClock, SystemIdentifiers
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.guests import SimulatedGuests
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.drivers.simulated.images import SimulatedImages
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.virtual_machine.reserve import release_gpus, reserve_gpus
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.documents import parse_documents
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.open import open_store
from tests.lifecycle.world import vm_yaml


def main(database: str, name: str) -> None:
    """Serve commands until stdin ends."""
    clock, identifiers = SystemClock(), SystemIdentifiers()
    fleet = SimulatedFleet(clock)
    ports = Ports(
        store=open_store(Path(database), clock=clock, identifiers=identifiers),
        connector=SimulatedConnector(fleet),
        guests=SimulatedGuests(fleet),
        images=SimulatedImages(Path(database).parent, world=fleet.world),
        clock=clock,
        identifiers=identifiers,
        tables=Tables.builtin(),
    )
    for line in sys.stdin:
        print(json.dumps(_obey(line.strip(), ports, name)), flush=True)


def _obey(command: str, ports: Ports, name: str) -> dict[str, object]:
    if command == "create":
        (vm,) = parse_documents(vm_yaml(name), source="race", tables=ports.tables)
        ports.store.create(vm)
        return {}
    view = VirtualMachineView(ports.store.get(VirtualMachine, name, namespace="default"), ports)
    if command == "go":
        verdict = reserve_gpus(view)
        return {"verdict": type(verdict).__name__, "reason": getattr(verdict, "reason", ""), "message": verdict.message}
    if command == "undo":
        release_gpus(view)
    if command == "delete":
        ports.store.delete(view.key)
    return {}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
