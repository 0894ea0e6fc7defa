"""`hikube gpu vm delete`."""

from __future__ import annotations

from cli.deleting import Removal, delete_all
from cli.machines import Names, machine_key
from cli.options import IgnoreNotFound, Namespace, Timeout, Wait, duration_s
from cli.session import Session
from provisioner.model.errors import NotFound


def delete(
    names: Names,
    namespace: Namespace = "default",
    wait: Wait = True,
    timeout: Timeout = "30m",
    ignore_not_found: IgnoreNotFound = False,
) -> None:
    """Delete VMs, and wait until their GPUs are back on their drivers and nothing of them is left.

    Exit 11 if a VM does not exist, 10 if something could not be undone (it is listed, and tried again).
    """
    session = Session()
    keys = []
    for name in names:
        try:
            keys.append(machine_key(session, name, namespace))
        except NotFound:
            if not ignore_not_found:
                raise
    delete_all(session, keys, Removal(wait=wait, timeout_s=duration_s(timeout), ignore_not_found=ignore_not_found))
