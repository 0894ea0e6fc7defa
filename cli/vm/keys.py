"""The SSH keys that a new VM is given: the user's own, or a pair made once and kept in the data directory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from provisioner.model.door.ssh_keys import problem_with_key
from provisioner.model.errors import InvalidInput, NotFound

KINDS = ("ed25519", "ecdsa", "rsa", "ed25519_sk", "ecdsa_sk")
"""Of keys in ~/.ssh, best first."""
KEY_FILE_BYTES_MAX = 64 << 10


@dataclass(frozen=True, slots=True)
class ChosenKeys:
    """Public key lines, and the sentence that says where they are from."""

    lines: tuple[str, ...]
    said: str
    private: Path | None = None
    """The private half, where ssh would not find it by itself."""
    must_be_made: bool = False
    """There is no key at all: `make_keys` makes a pair, once the rest is known to be good."""


def keys_from(files: list[str], *, home: Path) -> ChosenKeys:
    """The keys of these files, one per line; comments left out.

    Raises:
        NotFound, InvalidInput: a file cannot be read, or holds a private key.
    """
    paths = [Path(file).expanduser() for file in files]
    lines = [line for path in paths for line in _lines_of(path)]
    private = next((half for path in paths if (half := _private_half(path)) is not None), None)
    is_found_by_ssh = private in private_keys(home)
    return ChosenKeys(tuple(lines), f"SSH keys: {', '.join(files)}", private=None if is_found_by_ssh else private)


def default_keys(home: Path, data: Path) -> ChosenKeys:
    """The first of the user's own keys, or the pair of ours that was made earlier. Makes nothing."""
    for path in _public_keys(home):
        return ChosenKeys(_lines_of(path), f"SSH key: {path}")
    private = generated_key(data)
    public = private.with_suffix(".pub")
    if not public.exists():
        return ChosenKeys((), "SSH key: there is none in ~/.ssh; a pair would be made", must_be_made=True)
    return ChosenKeys(_lines_of(public), f"SSH key: {private} (the one made earlier; `hikube gpu vm ssh` uses it)")


def make_keys(data: Path) -> ChosenKeys:
    """A new pair of ours, kept in the data directory."""
    private = generated_key(data)
    public = private.with_suffix(".pub")
    _generate(private, public)
    return ChosenKeys(
        _lines_of(public), f"SSH key: {private} (made, since there is none in ~/.ssh; `hikube gpu vm ssh` uses it)"
    )


def generated_key(data: Path) -> Path:
    """Where the private half of our pair is, if it was ever needed."""
    return data / "keys" / "id_ed25519"


def private_keys(home: Path) -> tuple[Path, ...]:
    """The user's own private keys that ssh would try by itself."""
    paths = (home / ".ssh" / f"id_{kind}" for kind in KINDS)
    return tuple(path for path in paths if path.exists())


def _private_half(path: Path) -> Path | None:
    half = path.with_suffix("")
    return half if path.suffix == ".pub" and half.is_file() else None


def _public_keys(home: Path) -> list[Path]:
    paths = (home / ".ssh" / f"id_{kind}.pub" for kind in KINDS)
    return [path for path in paths if path.exists()]


def _lines_of(path: Path) -> tuple[str, ...]:
    try:
        with path.open("rb") as file:
            text = file.read(KEY_FILE_BYTES_MAX).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"no key file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is no file of public keys", why=str(error)) from error
    if "PRIVATE KEY" in text:
        raise InvalidInput(f"{path} is a private key", hint=f"give the public one: {path}.pub")
    lines = tuple(line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    for problem in filter(None, map(problem_with_key, lines or ("",))):
        raise InvalidInput(f"{path} is no file of public keys", why=problem)
    return lines


def _generate(private: Path, public: Path) -> None:
    from provisioner.drivers.guest.keys import generate_key_pair

    private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pair = generate_key_pair("hikube")
    for path, text in ((private, pair.private_openssh), (public, pair.public_line.strip() + "\n")):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
