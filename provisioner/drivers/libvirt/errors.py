"""libvirt's errors become ours: the one place that knows its error codes and sentences.

The class is chosen by code first; text only tells apart what one code lumps together (codes 1, 9, 38 and 55 say little).
Nothing here decides what to do about an error; it only names it.
"""

from __future__ import annotations

import re

import libvirt

from provisioner.model.errors import (
    AlreadyExists,
    Conflict,
    DeviceBusy,
    HikubeError,
    HostTimeout,
    HostUnreachable,
    HypervisorError,
    InvalidInput,
    NotAllowed,
    NotFound,
    Unsupported,
)

_CLASS_OF_CODE: dict[int, type[HikubeError]] = {
    libvirt.VIR_ERR_NO_SUPPORT: Unsupported,
    libvirt.VIR_ERR_NO_CONNECT: InvalidInput,
    libvirt.VIR_ERR_INVALID_ARG: InvalidInput,
    libvirt.VIR_ERR_NO_NAME: InvalidInput,
    libvirt.VIR_ERR_NO_OS: InvalidInput,
    libvirt.VIR_ERR_OS_TYPE: InvalidInput,
    libvirt.VIR_ERR_NO_ROOT: InvalidInput,
    libvirt.VIR_ERR_NO_SOURCE: InvalidInput,
    libvirt.VIR_ERR_NO_TARGET: InvalidInput,
    libvirt.VIR_ERR_XML_ERROR: InvalidInput,
    libvirt.VIR_ERR_XML_DETAIL: InvalidInput,
    libvirt.VIR_ERR_XML_INVALID_SCHEMA: InvalidInput,
    libvirt.VIR_ERR_OPERATION_DENIED: NotAllowed,
    libvirt.VIR_ERR_ACCESS_DENIED: NotAllowed,
    libvirt.VIR_ERR_AUTH_FAILED: NotAllowed,
    libvirt.VIR_ERR_AUTH_CANCELLED: NotAllowed,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE: NotAllowed,
    libvirt.VIR_ERR_NO_DOMAIN: NotFound,
    libvirt.VIR_ERR_NO_NETWORK: NotFound,
    libvirt.VIR_ERR_NO_STORAGE_POOL: NotFound,
    libvirt.VIR_ERR_NO_STORAGE_VOL: NotFound,
    libvirt.VIR_ERR_NO_NODE_DEVICE: NotFound,
    libvirt.VIR_ERR_NO_NWFILTER: NotFound,
    libvirt.VIR_ERR_NO_DOMAIN_METADATA: NotFound,
    libvirt.VIR_ERR_OPERATION_INVALID: Conflict,
    libvirt.VIR_ERR_DOM_EXIST: AlreadyExists,
    libvirt.VIR_ERR_STORAGE_VOL_EXIST: AlreadyExists,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: Unsupported,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED: Unsupported,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED: Unsupported,
    libvirt.VIR_ERR_OPERATION_TIMEOUT: HostTimeout,
    libvirt.VIR_ERR_RPC: HostUnreachable,
    libvirt.VIR_ERR_NO_CLIENT: HostUnreachable,
    libvirt.VIR_ERR_INVALID_CONN: HostUnreachable,
}

_REFUSED = re.compile(r"permission denied|host key verification failed|too many authentication failures", re.IGNORECASE)
"""What ssh, or the socket of libvirtd, says to somebody who may not come in."""
_TEXTS: tuple[tuple[re.Pattern[str], type[HikubeError]], ...] = (
    (re.compile(r"is in use by driver|must be manually detached|Not resetting active device"), DeviceBusy),
    (re.compile(r"vfio.*(Device or resource busy|is not viable|No such file or directory)", re.DOTALL), DeviceBusy),
    (re.compile(r"already exists"), AlreadyExists),
    (re.compile(r"Active console session exists|is locked by lock file"), Conflict),
)
"""Looked for in this order, and only under `_VAGUE` codes."""

_VAGUE = frozenset(
    {
        libvirt.VIR_ERR_INTERNAL_ERROR,
        libvirt.VIR_ERR_OPERATION_FAILED,
        libvirt.VIR_ERR_SYSTEM_ERROR,
        libvirt.VIR_ERR_OPERATION_INVALID,
        libvirt.VIR_ERR_RPC,
    }
)
_TRANSPORT = frozenset({libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE})

_HINTS: dict[type[HikubeError], str] = {
    HostUnreachable: "check that libvirtd runs there and that the URI's user, host, port and key are right",
    NotAllowed: "check the key and the user in the URI, and the host key on record for it",
}


def code_of(error: libvirt.libvirtError) -> int:
    """The number of the error; 0 if libvirt set none."""
    return int(error.get_error_code() or 0)


def is_not_found(error: libvirt.libvirtError) -> bool:
    """Whether it says that a domain, pool, volume, network, filter, device or mark is not there."""
    return _CLASS_OF_CODE.get(code_of(error)) is NotFound


def is_gap(error: libvirt.libvirtError) -> bool:
    """Whether the host's driver or version has no such call, flag or feature."""
    return code_of(error) in {libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_NO_SUPPORT}


def is_connection_lost(error: libvirt.libvirtError) -> bool:
    """Whether the call failed because nobody is at the other end any more."""
    return isinstance(translate(error, what=""), HostUnreachable)


def translate(error: libvirt.libvirtError, *, what: str) -> HikubeError:
    """Our error for libvirt's; `what` is the sentence of what could not be done. The caller raises it `from` the original."""
    code, text = code_of(error), str(error.get_error_message() or error)
    kind = _class_of(code, text, is_transport=error.get_error_domain() in _TRANSPORT)
    return kind(what, why=text, hint=_HINTS.get(kind, ""), context={"libvirtCode": code})


def _class_of(code: int, text: str, *, is_transport: bool) -> type[HikubeError]:
    if is_transport and code in _VAGUE | {0}:
        return NotAllowed if _REFUSED.search(text) else HostUnreachable
    if code in _VAGUE:
        for pattern, kind in _TEXTS:
            if pattern.search(text):
                return kind
    return _CLASS_OF_CODE.get(code, HypervisorError)
