"""A VM that is removed by force in the middle of a pass takes along what that pass writes afterwards."""

from __future__ import annotations

import pytest

from provisioner.lifecycle.virtual_machine import access
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.errors import NotFound
from provisioner.model.secret import Secret
from tests.lifecycle.world import World, vm_yaml


def test_keys_that_are_made_for_a_vm_that_has_gone_are_not_kept(world: World) -> None:
    world.host("a").settle()
    world.apply(vm_yaml("first"))
    view = VirtualMachineView(world.vm("first"), world.ports)
    world.delete("first")
    with pytest.raises(NotFound):
        access.with_keys(view, identity="1")
    assert world.store.list(Secret).items == ()
