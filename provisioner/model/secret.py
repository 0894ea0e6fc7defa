"""Secret: small private values that belong to an object and go with it. Never printed, never in events."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from provisioner.model.metadata import Part, Resource, Status


class SecretSpec(Part):
    """Named values. Text; binary values are base64 by convention of their writer."""

    data: dict[str, str] = Field(default_factory=dict, repr=False)


class Secret(Resource):
    """Keys of one VM: its SSH host key and, until hand-over, the controller's key."""

    KIND: ClassVar[str] = "Secret"
    API_VERSION: ClassVar[str] = "v1"
    PLURAL: ClassVar[str] = "secrets"

    api_version: str = "v1"
    kind: str = "Secret"
    spec: SecretSpec = Field(default_factory=SecretSpec)
    status: Status = Field(default_factory=Status)
