"""A VM with `external: true` on a host's NAT network: really reached, on the port that it lists and on no other."""

from __future__ import annotations

import pytest

from provisioner.model.metadata import find_condition
from tests.e2e.rig import Rig

EXTERNAL = "203.0.113.17"
_GREETING = (
    "import socket,sys\n"
    "one = socket.socket()\n"
    "one.settimeout(5)\n"
    "try:\n"
    "    one.connect((sys.argv[1], int(sys.argv[2])))\n"
    "    print(one.recv(100).decode().strip())\n"
    "except OSError as error:\n"
    "    print('nobody:', error)\n"
)


@pytest.mark.timeout(900)
def test_the_listed_port_leads_to_the_guest_and_nothing_is_left_of_it(rig: Rig) -> None:
    rig.configure(external_addresses=(EXTERNAL,))
    vm = rig.apply(gpus=0)
    spec = vm.spec.model_copy(update={"external": True, "external_ports": (22,), "external_allow_icmp": False})
    rig.store.update(vm.model_copy(update={"spec": spec}))
    assert rig.control().returncode == 0
    status = rig.vm().status
    published = find_condition(status.conditions, "Published")
    assert published is not None
    assert (published.status, published.message) == ("True", f"TCP 22 at {EXTERNAL}")
    assert [kept.address for kept in status.kept_addresses] == [status.address]
    assert f"ip='{status.address}'" in rig.on_box("virsh net-dumpxml default")
    assert _greeting(rig, 22).startswith("SSH-2.0-")
    assert _greeting(rig, 80).startswith("nobody:")
    rig.delete()
    assert rig.control().returncode == 0
    assert rig.leaks() == []
    assert "hikube-" not in rig.on_box("nft list ruleset")
    assert "<host " not in rig.on_box("virsh net-dumpxml default")


def _greeting(rig: Rig, port: int) -> str:
    """What says hello there to the host, which has no interface with that address."""
    return rig.on_box(f"python3 - {EXTERNAL} {port} <<'EOF'\n{_GREETING}EOF")
