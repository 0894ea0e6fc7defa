from __future__ import annotations

import pytest

from provisioner.model.errors import InvalidInput
from provisioner.model.sizing import GuestSize, guest_size
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import Resources, VirtualMachineSpec

TABLES = Tables.builtin()


@pytest.mark.parametrize(
    ("instance_type", "resources", "size"),
    [
        ("u1.2xlarge", Resources(), GuestSize(1, 8, 32768)),
        ("u1.2xlarge", Resources(memory="64Gi"), GuestSize(1, 8, 65536)),
        ("u1.2xlarge", Resources(cpu=16), GuestSize(1, 16, 32768)),
        ("u1.2xlarge", Resources(sockets=2), GuestSize(2, 4, 32768)),
        ("u1.2xlarge", Resources(cpu=4, sockets=2), GuestSize(2, 4, 32768)),
        ("", Resources(cpu=2, memory="1Gi"), GuestSize(1, 2, 1024)),
        ("", Resources(cpu=2, sockets=3, memory="1.5G"), GuestSize(3, 2, 1431)),
    ],
)
def test_explicit_resources_stand_over_the_instance_type_field_by_field(
    instance_type: str, resources: Resources, size: GuestSize
):
    found = guest_size(VirtualMachineSpec(instance_type=instance_type, resources=resources), TABLES)
    assert found == size
    assert found.vcpus == size.sockets * size.cores_per_socket


@pytest.mark.parametrize(
    ("instance_type", "resources", "says"),
    [
        ("", Resources(), "resources.cpu and .memory"),
        ("", Resources(cpu=2), "resources.memory"),
        ("m5.large", Resources(), "not known"),
        ("u1.xlarge", Resources(sockets=3), "do not divide"),
    ],
)
def test_a_size_that_nobody_says_is_an_error(instance_type: str, resources: Resources, says: str):
    with pytest.raises(InvalidInput, match=says):
        guest_size(VirtualMachineSpec(instance_type=instance_type, resources=resources), TABLES)
