"""What a webhook of KubeVirt says no with: HTTP 422, reason Invalid, one cause for each mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.kubernetes.kubevirt.fields import Document

SPEC = "spec.template.spec"


@dataclass(frozen=True, slots=True)
class Cause:
    """One mistake: the sentence, and the field it is about."""

    message: str
    field: str = ""
    reason: str = "FieldValueInvalid"

    def document(self) -> Document:
        return {"reason": self.reason, "message": self.message, "field": self.field}


@dataclass(frozen=True, slots=True)
class Denial:
    """The status of an answer that says no; the API server puts the webhook's name before the message."""

    message: str
    code: int = 422
    reason: str = "Invalid"
    causes: tuple[Cause, ...] = ()

    def document(self) -> Document:
        status: Document = {"status": "Failure", "message": self.message, "code": self.code}
        if self.reason:
            status["reason"] = self.reason
        if self.causes:
            status["details"] = {"causes": [each.document() for each in self.causes]}
        return status


def denial_of(causes: Sequence[Cause]) -> Denial | None:
    """All mistakes in one answer; None where there are none."""
    return Denial(", ".join(each.message for each in causes), causes=tuple(causes)) if causes else None
