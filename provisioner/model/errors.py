"""Every error that hikube raises on purpose, and what a caller or a user can do about each.

An error carries what happened, why, a hint, and the facts behind it; its class carries a stable code, the exit code of the
command line, and whether trying again can help. Only edge modules translate foreign exceptions into these, with the original
chained. docs/errors.md lists every class; a test holds the two together.

    HikubeError
      InvalidInput ── InvalidDocuments          NotFound      NotAllowed
      Conflict ────── AlreadyExists             DeviceBusy    NoCapacity    QuotaExceeded
      StillPending    Failed ── Stuck           Unsupported   StoreUnavailable ── SecretsLocked
      HostUnreachable ── HostTimeout            HypervisorError
      ImageError ──── ImageRefused              GuestUnreachable  GuestNotProven
      ControllerBusy  LabError
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, ClassVar


class Retry(enum.Enum):
    """Whether the same call may succeed later."""

    NEVER = "never"
    LATER = "later"
    AFTER_CHANGE = "after-change"


class HikubeError(Exception):
    """Base of all expected errors.

    Attributes:
        what: One sentence without a trailing period: what could not be done.
        why: The cause, as exact as the edge that saw it could tell; may be empty.
        hint: What the user can do next; may be empty.
        context: Facts behind the sentence, ready for `-o json`.
    """

    code: ClassVar[str] = "HK-INTERNAL-001"
    exit_code: ClassVar[int] = 1
    retry: ClassVar[Retry] = Retry.NEVER

    def __init__(self, what: str, *, why: str = "", hint: str = "", context: Mapping[str, Any] | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint
        self.context: dict[str, Any] = dict(context or {})

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what

    def as_dict(self) -> dict[str, Any]:
        """The error as data, for `-o json`, events and conditions."""
        return {
            "code": self.code,
            "what": self.what,
            "why": self.why,
            "hint": self.hint,
            "retry": self.retry.value,
            "context": self.context,
        }


class InvalidInput(HikubeError):
    """A flag, a name, a URI or a value that can never work; nothing was changed."""

    code = "HK-INPUT-001"
    exit_code = 2


class InvalidDocuments(InvalidInput):
    """One or more documents have mistakes; `context["mistakes"]` has each with file, line, path and what is allowed."""

    code = "HK-INPUT-002"


class NotAllowed(HikubeError):
    """The user, the key or the policy does not permit it (permissions, an authentication that was refused)."""

    code = "HK-ALLOWED-001"
    exit_code = 4
    retry = Retry.AFTER_CHANGE


class Conflict(HikubeError):
    """Somebody else changed the object first, or its state forbids the change; read again and decide again."""

    code = "HK-CONFLICT-001"
    exit_code = 5
    retry = Retry.LATER


class AlreadyExists(Conflict):
    """An object of that name exists. For a GPUClaim this is the lock: another VM owns the GPU."""

    code = "HK-CONFLICT-002"
    retry = Retry.AFTER_CHANGE


class DeviceBusy(Conflict):
    """A PCI function is held by somebody that hikube does not control (a process, another domain, a driver)."""

    code = "HK-DEVICE-001"


class NoCapacity(HikubeError):
    """No host can take the request (`context` has counts per reason and the nearest miss), or no storage pool the volume."""

    code = "HK-CAPACITY-001"
    exit_code = 6
    retry = Retry.LATER


class QuotaExceeded(HikubeError):
    """The tenant's quota is used up; capacity itself may be free."""

    code = "HK-QUOTA-001"
    exit_code = 7
    retry = Retry.AFTER_CHANGE


class StillPending(HikubeError):
    """Accepted and not finished within the time given; the work goes on or can be resumed."""

    code = "HK-PENDING-001"
    exit_code = 8
    retry = Retry.LATER


class Failed(HikubeError):
    """It failed and everything that it had made was undone."""

    code = "HK-FAILED-001"
    exit_code = 9
    retry = Retry.AFTER_CHANGE


class Stuck(Failed):
    """It failed and something is left behind; `context["left"]` lists it."""

    code = "HK-FAILED-002"
    exit_code = 10


class NotFound(HikubeError):
    """The named object, volume, domain or file does not exist."""

    code = "HK-NOTFOUND-001"
    exit_code = 11


class Unsupported(HikubeError):
    """The host, the driver or this version cannot do it; another host or a change of the spec can."""

    code = "HK-UNSUPPORTED-001"
    exit_code = 2
    retry = Retry.AFTER_CHANGE


class StoreUnavailable(HikubeError):
    """The store cannot be opened, is locked for too long, is of a newer version, or is damaged."""

    code = "HK-STORE-001"
    exit_code = 9
    retry = Retry.LATER


class SecretsLocked(StoreUnavailable):
    """The key that Secrets are sealed with is missing, or another one, or a sealed value was changed; all else can be used."""

    code = "HK-STORE-002"


class HostUnreachable(HikubeError):
    """The hypervisor does not answer: network, SSH, or libvirtd is away."""

    code = "HK-HOST-001"
    exit_code = 9
    retry = Retry.LATER


class HostTimeout(HostUnreachable):
    """A call to the hypervisor did not return in its time; it may still take effect."""

    code = "HK-HOST-002"


class HypervisorError(HikubeError):
    """The hypervisor refused a call or failed in it, for a reason that no other class names."""

    code = "HK-HOST-003"
    exit_code = 9
    retry = Retry.LATER


class ImageError(HikubeError):
    """A base image cannot be had: the download failed, a file cannot be read, the disk is full."""

    code = "HK-IMAGE-001"
    exit_code = 9
    retry = Retry.LATER


class ImageRefused(ImageError):
    """What was fetched is not what it must be: another digest, no known format, a backing file."""

    code = "HK-IMAGE-002"
    retry = Retry.AFTER_CHANGE


class GuestUnreachable(HikubeError):
    """The guest does not answer on SSH yet, or answers with another host key than the pinned one."""

    code = "HK-GUEST-001"
    exit_code = 9
    retry = Retry.LATER


class GuestNotProven(HikubeError):
    """The guest answers, and what it reports is not what the spec asks for; `context` has both sides."""

    code = "HK-GUEST-002"
    exit_code = 9
    retry = Retry.AFTER_CHANGE


class ControllerBusy(HikubeError):
    """Another process holds the control loop of this store."""

    code = "HK-CONTROLLER-001"
    exit_code = 5
    retry = Retry.LATER


class LabError(HikubeError):
    """The GPU host in a box cannot be built or started; `context` has the last lines of its log."""

    code = "HK-LAB-001"
    exit_code = 9
    retry = Retry.AFTER_CHANGE
