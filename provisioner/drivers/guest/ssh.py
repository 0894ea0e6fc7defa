"""Real guests over SSH: paramiko, a pinned host key, one key, two commands.

Nothing is trusted on first use, no agent and no other key is tried, and ~/.ssh is never read. Every phase (connect, banner, key
exchange, authentication, command) draws on one time budget, and what a guest prints is bounded: it is a tenant's machine, and
its answers are data to be checked, never more.
"""

from __future__ import annotations

import io
import logging
import time
from dataclasses import dataclass

import paramiko
from pydantic import ValidationError

from provisioner.drivers.guest.jump import Way, way_to
from provisioner.drivers.guest.protocol import GuestDoor
from provisioner.model.errors import GuestUnreachable, HostUnreachable, InvalidInput
from provisioner.model.guest_report import GuestReport

OUTPUT_LIMIT = 1 << 20
ERROR_LIMIT = 2048
PHASE_LIMIT_S = 30.0
"""Of one phase before the command, however large the budget is: a guest that is stuck there is better asked afresh."""
BANNER_SHARE = 0.8
"""Of a phase: the banner's time-out must come before that of the key exchange around it, which would hide the cause."""
JUMP_END_S = 2.0
"""How long to wait for ssh to say why it failed, after its connection broke."""
_LOG = "hikube.ssh"
_GUEST_SIDE = ("open failed", "stdio forwarding")
"""What ssh prints when the host let it in and the guest did not answer, on a connection of its own or over a control master's;
anything else is the host's doing."""

logging.getLogger(_LOG).addHandler(logging.NullHandler())


class _Refused(Exception):
    """The guest has the pinned host key and does not accept ours."""


@dataclass(frozen=True, slots=True)
class _Budget:
    """The time that is left of a call."""

    ends_at: float

    def left_s(self, at_most: float = float("inf")) -> float:
        return max(0.01, min(self.ends_at - time.monotonic(), at_most))


class SshGuests:
    """Implements Guests. Holds nothing between calls; safe to share between threads."""

    def report(self, door: GuestDoor, *, timeout_s: float) -> GuestReport:
        """See Guests.report."""
        try:
            output = _run(door, "report", timeout_s=timeout_s)
        except _Refused as error:
            raise _unreachable(door, "the guest refuses our key") from error
        try:
            return GuestReport.model_validate_json(output)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise _unreachable(door, f"its report is not valid: {where}: {first['msg']}") from error

    def hand_over(self, door: GuestDoor, *, timeout_s: float) -> None:
        """See Guests.hand_over. A guest with the pinned host key that refuses our key was handed over before."""
        try:
            _run(door, "hand-over", timeout_s=timeout_s)
        except _Refused:
            return


def _run(door: GuestDoor, command: str, *, timeout_s: float) -> bytes:
    budget = _Budget(time.monotonic() + timeout_s)
    try:
        with way_to(door.host_uri, door.address, port=door.port, timeout_s=budget.left_s(PHASE_LIMIT_S)) as way:
            return _run_over(way, door, command, budget)
    except OSError as error:
        raise _unreachable(door, error.strerror or str(error) or type(error).__name__) from error


def _run_over(way: Way, door: GuestDoor, command: str, budget: _Budget) -> bytes:
    client = paramiko.SSHClient()
    client.set_log_channel(_LOG)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    _pin(client, door)
    try:
        _log_in(client, way, door, budget)
        return _output(client, door, command, budget)
    except paramiko.BadHostKeyException as error:
        raise _wrong_host_key(door, error.key) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise _explained(way, door, error, budget) from error
    finally:
        client.close()


def _pin(client: paramiko.SSHClient, door: GuestDoor) -> None:
    name = door.address if door.port == paramiko.config.SSH_PORT else f"[{door.address}]:{door.port}"
    entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{name} {door.host_public_key}")
    if entry is None or entry.key is None:
        raise InvalidInput("the VM's host key is no OpenSSH public key", context={"address": door.address})
    client.get_host_keys().add(name, entry.key.get_name(), entry.key)


def _log_in(client: paramiko.SSHClient, way: Way, door: GuestDoor, budget: _Budget) -> None:
    try:
        key = paramiko.Ed25519Key.from_private_key(io.StringIO(door.private_key))
    except paramiko.SSHException as error:
        raise InvalidInput("the VM's controller key cannot be read", why=str(error)) from error
    phase_s = budget.left_s(PHASE_LIMIT_S)
    try:
        client.connect(
            door.address,
            port=door.port,
            username=door.user,
            pkey=key,
            sock=way.socket,
            timeout=phase_s,
            banner_timeout=phase_s * BANNER_SHARE,
            auth_timeout=phase_s,
            channel_timeout=phase_s,
            allow_agent=False,
            look_for_keys=False,
        )
    except paramiko.AuthenticationException as error:
        # paramiko uses this class for a connection that broke and for a time-out too; only the guest's word is a refusal.
        transport = client.get_transport()
        if transport is not None and transport.is_active() and "timeout" not in str(error).lower():
            raise _Refused from error
        raise


def _output(client: paramiko.SSHClient, door: GuestDoor, command: str, budget: _Budget) -> bytes:
    transport = client.get_transport()
    if transport is None:
        raise EOFError("the connection was closed")
    channel = transport.open_session(timeout=budget.left_s(PHASE_LIMIT_S))
    channel.settimeout(budget.left_s())
    channel.exec_command(command)
    try:
        output = _read(channel, door, budget)
        channel.status_event.wait(budget.left_s())
    except TimeoutError as error:
        raise _unreachable(door, f"{command} did not end in time") from error
    if channel.exit_status != 0:
        complaint = channel.recv_stderr(ERROR_LIMIT).decode(errors="replace") if channel.recv_stderr_ready() else ""
        last = (complaint.strip() or output.decode(errors="replace").strip())[-ERROR_LIMIT:]
        raise _unreachable(door, f"{command} ended with status {channel.exit_status}: {last}")
    return output


def _read(channel: paramiko.Channel, door: GuestDoor, budget: _Budget) -> bytes:
    output = bytearray()
    while len(output) <= OUTPUT_LIMIT:
        channel.settimeout(budget.left_s())
        block = channel.recv(1 << 16)
        if not block:
            return bytes(output)
        output += block
    raise _unreachable(door, f"it printed more than {OUTPUT_LIMIT} bytes")


def _explained(way: Way, door: GuestDoor, error: Exception, budget: _Budget) -> GuestUnreachable | HostUnreachable:
    """The error in the words of whoever knows more: ssh of the jump, or paramiko."""
    said = way.broken_jump(within_s=budget.left_s(JUMP_END_S))
    if said is None:
        return _unreachable(door, _in_words(error))
    if any(mark in said.lower() for mark in _GUEST_SIDE):
        return _unreachable(door, said)
    return HostUnreachable("the way to the guest leads through its host, and the host's SSH does not answer", why=said)


def _in_words(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if "banner" in text:
        return "no SSH banner: nothing there speaks SSH yet"
    if "No existing session" in text or isinstance(error, TimeoutError):
        return "SSH did not get through its key exchange in time"
    return text


def _wrong_host_key(door: GuestDoor, shown: paramiko.PKey) -> GuestUnreachable:
    return _unreachable(
        door,
        f"host key differs from the pinned one: it shows {shown.get_name()} {shown.fingerprint}",
        hint="another machine answers at this address, or the guest's host keys were changed from inside",
    )


def _unreachable(door: GuestDoor, why: str, *, hint: str = "") -> GuestUnreachable:
    where = f"{door.user}@{door.address}:{door.port}"
    return GuestUnreachable(f"the guest at {where} did not answer", why=why, hint=hint, context={"address": door.address})
