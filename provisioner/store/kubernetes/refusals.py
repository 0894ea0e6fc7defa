"""What an API server's refusal means, as one of our errors. Pure: from its status and answer alone."""

from __future__ import annotations

import json
from typing import Any

from provisioner.model.errors import AlreadyExists, Conflict, HikubeError, InvalidInput, NotAllowed, NotFound, StoreUnavailable

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
}
"""Anything else may be otherwise in a moment: too many requests, a time-out, a server that starts, stops or lacks its etcd."""
WHY_MAX_CHARS = 2_000


def refusal(status: int, answer: bytes, *, what: str) -> HikubeError:
    """The error for that answer; a Status object's message says why, and what it is about."""
    told = _status_object(answer)
    why = str(told.get("message") or answer[:WHY_MAX_CHARS].decode(errors="replace"))[:WHY_MAX_CHARS]
    kind = _CLASSES.get(status, StoreUnavailable)
    if told.get("reason") == "AlreadyExists":
        kind = AlreadyExists
    return kind(f"{what} was refused", why=why, context={"httpStatus": status, "reason": str(told.get("reason", ""))})


def is_not_served(error: HikubeError) -> bool:
    """Whether it says that the server does not know the kind at all; of an object that is not there it speaks in a Status."""
    return isinstance(error, NotFound) and not error.context.get("reason")


def not_served(error: HikubeError, *, kind: str, namespace: str = "") -> HikubeError:
    """The error for a collection that was not found."""
    if is_not_served(error):
        hint = "as an administrator of the cluster: kubectl apply --server-side --filename deploy/crds"
        return StoreUnavailable(f"the cluster does not know the kind {kind}", why=error.why, hint=hint)
    hint = f"kubectl create namespace {namespace}" if namespace else ""
    return NotFound(error.what, why=error.why, hint=hint, context=error.context)


def is_expired(error: HikubeError) -> bool:
    """Whether it says that changes since that version are not kept."""
    return error.context.get("httpStatus") == 410


def refused_event(event: dict[str, Any], *, what: str) -> HikubeError:
    """The error for the ERROR event that ends a watch."""
    told = event.get("object") or {}
    return refusal(int(told.get("code") or 500), json.dumps(told).encode(), what=what)


def _status_object(answer: bytes) -> dict[str, Any]:
    try:
        told = json.loads(answer)
    except ValueError:
        return {}
    return told if isinstance(told, dict) and told.get("kind") == "Status" else {}
