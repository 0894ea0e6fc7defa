"""Where to listen, as it is written: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`. Nothing is looked up here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from provisioner.model.errors import InvalidInput

PORT_MAX = 65535
_HINT = "ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080; 0.0.0.0 and [::] are every address of this machine"
_WRITTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<name>[\w.-]+)):(?P<port>\d{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """A host, or an address of one, and a port; port 0 is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, *, source: str) -> Address:
    """What is written; `source` names where, for the error.

    Raises:
        InvalidInput: it is no ADDRESS:PORT.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise InvalidInput(f"{source} {text!r} is not an address with a port", hint=_HINT)
    port = int(found["port"])
    if port > PORT_MAX:
        raise InvalidInput(
            f"{source} {text!r}: there is no port {port}", hint=f"from 1 to {PORT_MAX}, or 0 for any that is free"
        )
    return Address(found["six"] or found["name"], port)
