"""What an API server's refusal means, as one of our errors. Pure: from its status and answer alone.

An admission webhook of KubeVirt's says 422 with a text; a quota and a missing right are both 403 and told apart by theirs.
"""

from __future__ import annotations

import json
import re
from typing import Any

from provisioner.model.errors import (
    AlreadyExists,
    Conflict,
    HikubeError,
    HostUnreachable,
    HypervisorError,
    InvalidInput,
    NotAllowed,
    NotFound,
    QuotaExceeded,
)

_CLASSES: dict[int, type[HikubeError]] = {
    400: InvalidInput,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    405: InvalidInput,
    409: Conflict,
    410: Conflict,
    413: InvalidInput,
    422: InvalidInput,
    502: HostUnreachable,
    503: HostUnreachable,
    504: HostUnreachable,
}
"""Anything else is HypervisorError: too many requests, a webhook that does not answer, an error within."""
_WEBHOOK = re.compile(r'^admission webhook "[^"]+" denied the request: ')
_FIELD = re.compile(r"field not declared in schema|unknown field")
WHY_MAX_CHARS = 2_000


def refusal(status: int, answer: bytes, *, what: str) -> HikubeError:
    """The error for that answer; a Status object's message says why."""
    told = _status_object(answer)
    text = str(told.get("message") or answer[:WHY_MAX_CHARS].decode(errors="replace"))
    why = _WEBHOOK.sub("", text)[:WHY_MAX_CHARS]
    reason = str(told.get("reason", ""))
    return _class_of(status, reason, text)(what, why=why, context={"httpStatus": status, "reason": reason})


def is_expired(error: HikubeError) -> bool:
    """Whether it says that changes since that version are not kept."""
    return error.context.get("httpStatus") == 410


def refused_event(event: dict[str, Any], *, what: str) -> HikubeError:
    """The error for the ERROR event that ends a watch."""
    told = event.get("object") or {}
    return refusal(int(told.get("code") or 500), json.dumps(told).encode(), what=what)


def _class_of(status: int, reason: str, text: str) -> type[HikubeError]:
    if status == 403 and "exceeded quota" in text:
        return QuotaExceeded
    if status == 403 and "being terminated" in text:  # its namespace is going
        return Conflict
    if status >= 500 and _FIELD.search(text):  # server-side apply says so with 500
        return InvalidInput
    if reason == "AlreadyExists":
        return AlreadyExists
    return _CLASSES.get(status, HypervisorError)


def _status_object(answer: bytes) -> dict[str, Any]:
    try:
        told = json.loads(answer)
    except ValueError:
        return {}
    return told if isinstance(told, dict) and told.get("kind") == "Status" else {}
