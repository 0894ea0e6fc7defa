"""libvirt's errors become ours. The sentences are those that libvirt 9.0 and 11.3 were seen to say."""

from __future__ import annotations

import libvirt
import pytest

from provisioner.drivers.libvirt.errors import translate
from provisioner.model.errors import (
    AlreadyExists,
    Conflict,
    DeviceBusy,
    HostTimeout,
    HostUnreachable,
    HypervisorError,
    InvalidInput,
    NotAllowed,
    NotFound,
    Unsupported,
)

RPC, QEMU = libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_QEMU


def error(code: int, text: str, origin: int) -> libvirt.libvirtError:
    made = libvirt.libvirtError(text)
    made.err = (code, origin, text, 2, None, None, None, -1, -1)
    return made


@pytest.mark.parametrize(
    ("code", "origin", "text", "expected"),
    [
        (1, RPC, "internal error: client socket is closed", HostUnreachable),
        (38, RPC, "Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory", HostUnreachable),
        (38, RPC, "Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied", NotAllowed),
        (38, RPC, "Cannot recv data: root@h: Permission denied (publickey).: Connection reset by peer", NotAllowed),
        (38, RPC, "Cannot recv data: Host key verification failed.: Connection reset by peer", NotAllowed),
        (38, RPC, "Cannot recv data: ssh: connect to host h port 22: Connection refused", HostUnreachable),
        (39, RPC, "server closed connection", HostUnreachable),
        (45, libvirt.VIR_FROM_AUTH, "authentication failed: no agent", NotAllowed),
        (1, QEMU, "internal error: qemu unexpectedly closed the monitor", HypervisorError),
        (1, QEMU, "vfio 0000:08:01.0: group 19 is not viable\nPlease ensure all devices are bound", DeviceBusy),
        (1, QEMU, "vfio 0000:01:00.0: failed to open /dev/vfio/10: Device or resource busy", DeviceBusy),
        (1, QEMU, "internal error: Not resetting active device 0000:01:00.0", DeviceBusy),
        (55, QEMU, "Requested operation is not valid: PCI device 0000:01:00.0 is in use by driver QEMU, domain g1", DeviceBusy),
        (55, QEMU, "Unmanaged PCI device 0000:01:00.0 must be manually detached from the host", DeviceBusy),
        (55, QEMU, "Requested operation is not valid: domain is not running", Conflict),
        (9, QEMU, "operation failed: domain 'x' already exists with uuid 6f0a", AlreadyExists),
        (42, QEMU, "Domain not found", NotFound),
        (50, libvirt.VIR_FROM_STORAGE, "Storage volume not found", NotFound),
        (3, libvirt.VIR_FROM_TEST, "this function is not supported by the connection driver", Unsupported),
        (67, QEMU, "unsupported configuration: CPU mode 'host-passthrough'", Unsupported),
        (74, QEMU, "VFIO device assignment is currently not supported on this system", Unsupported),
        (21, libvirt.VIR_FROM_DOMAIN, "missing name information", InvalidInput),
        (92, QEMU, "XML document failed to validate against schema", InvalidInput),
        (68, QEMU, "Timed out during operation: cannot acquire state change lock", HostTimeout),
        (38, QEMU, "cannot open file '/x': Permission denied", HypervisorError),
        (38, QEMU, "Unable to read from monitor: Connection reset by peer", HypervisorError),
    ],
)
def test_code_first_then_the_sentence(code, origin, text, expected):
    ours = translate(error(code, text, origin), what="cannot do it")
    assert type(ours) is expected
    assert (ours.what, ours.why, ours.context) == ("cannot do it", text, {"libvirtCode": code})


def test_an_error_without_a_code_is_a_hypervisor_error():
    nameless = libvirt.libvirtError("something")
    nameless.err = None
    assert type(translate(nameless, what="x")) is HypervisorError
