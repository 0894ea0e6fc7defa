"""What lets hikube's key into a guest, and takes everything of hikube's away again.

Copied into the guest beside report.py, under the same rules: Python 3.6, standard library only, plain ASCII. Files are replaced
in one step, a tenant's bytes are never changed, and every order of interruptions can be repeated to completion.

    install LINE   by the boothook at every boot: LINE replaces our line in root's authorized_keys
    (nothing)      hand-over: our secrets, our key and our commands are removed
"""

import glob
import os
import sys

COMMANDS = ("usr/local/sbin/hikube-report", "usr/local/sbin/hikube-hand-over")
MARK = b'command="/usr/local/sbin/hikube-report"'
OUR_FILES = (
    "vendor-cloud-config.txt",
    "boothooks/hikube-*",
    "scripts/hikube-*",
    "scripts/vendor/hikube-*",
    "vendor-data.txt.i",
    "vendor-data.txt",
)
"""Of an instance's folder below /var/lib/cloud: all that cloud-init made of what is ours and of nothing else."""
SHARED_FILES = ("obj.pkl", "user-data.txt.i", "cloud-config.txt")
"""Of that folder: what holds the tenant's words beside ours. Where there is no vendor-data, ours are parts of user-data."""
PART_OF_USER_DATA = b"\n--===============hikube-user-data==\n"


def write_over(path: str, content: bytes) -> None:
    """Replace a file's content in one step; mode and owner stay, and a new file is for root alone."""
    path = os.path.realpath(path)
    temporary = path + ".hikube-new"
    mode, owner, group = 0o600, os.geteuid(), os.getegid()
    if os.path.exists(path):
        status = os.stat(path)
        mode, owner, group = status.st_mode & 0o7777, status.st_uid, status.st_gid
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchown(file.fileno(), owner, group)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def content_of(path: str) -> bytes:
    """A file's bytes; empty if it is not there."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def authorized_keys(root: str) -> str:
    """Root's authorized_keys file."""
    accounts = content_of(os.path.join(root, "etc/passwd")).decode("utf-8", "replace").splitlines()
    home = [line.split(":")[5] for line in accounts if line.startswith("root:")]
    return os.path.join(root, (home[0] if home else "/root").lstrip("/"), ".ssh", "authorized_keys")


def without_our_line(content: bytes) -> bytes:
    """Every line but ours, byte for byte."""
    return b"".join(line for line in content.splitlines(True) if MARK not in line)


def install(line: str, root: str = "/") -> None:
    """Make `line` our only line in root's authorized_keys: the first, so that taking it away gives back the tenant's bytes."""
    path = authorized_keys(root)
    if not os.path.isdir(os.path.dirname(path)):
        os.makedirs(os.path.dirname(path), 0o700)
    wanted = line.encode() + b"\n" + without_our_line(content_of(path))
    if content_of(path) != wanted:
        write_over(path, wanted)


def our_secrets(vendor_data: bytes) -> "list[bytes]":
    """What must not stay: the lines of the host's private key that tell it from others, and our public key."""
    secrets = []
    for block in vendor_data.split(b"-----BEGIN OPENSSH PRIVATE KEY-----")[1:]:
        lines = [line.strip() for line in block.split(b"-----END")[0].splitlines()]
        secrets += [line for line in lines if len(line) >= 16][1:]
    for line in vendor_data.splitlines():
        if MARK in line:
            secrets += [word for word in line.replace(b"'", b" ").split() if word.startswith(b"AAAA")]
    return secrets


def ours_of(user_data: bytes) -> bytes:
    """The parts of user-data that are ours; a tenant's own keys are none of our secrets."""
    parts = user_data.split(PART_OF_USER_DATA)
    return b"".join(part for part in parts if b'filename="hikube-' in part.split(b"\n\n")[0])


def hand_over(root: str = "/") -> None:
    """Take away our secrets, then our key, then our commands. Repeating it after any interruption completes it.

    cloud-init's copies of our vendor-data are removed, the one that names the secrets last. Where a file of cloud-init holds
    more than ours, only our secrets are blanked, with as many bytes as they had, so that a pickled cache stays readable.
    """
    folder = os.path.join(root, "var/lib/cloud/instances/*/")
    user_data = sorted(glob.glob(folder + "user-data.txt"))
    secrets = [secret for path in glob.glob(folder + "vendor-data.txt") for secret in our_secrets(content_of(path))]
    secrets += [secret for path in user_data for secret in our_secrets(ours_of(content_of(path)))]
    shared = [path for name in SHARED_FILES for path in glob.glob(folder + name)]
    for path in sorted(shared + glob.glob(os.path.join(root, "run/cloud-init/*.json"))) + user_data:
        before = content_of(path)
        after = before
        for secret in secrets:
            after = after.replace(secret, b"x" * len(secret))
        if after != before:
            write_over(path, after)
    for name in OUR_FILES:
        for path in glob.glob(folder + name):
            os.unlink(path)
    keys = authorized_keys(root)
    before = content_of(keys)
    if without_our_line(before) != before:
        write_over(keys, without_our_line(before))
    for command in COMMANDS:
        if os.path.exists(os.path.join(root, command)):
            os.unlink(os.path.join(root, command))


def main(arguments: "list[str]") -> int:
    """Install or hand over; failures are exceptions, so that whoever asked sees them."""
    if arguments[:1] == ["install"] and len(arguments) == 2:
        install(arguments[1])
    elif not arguments:
        os.sync()  # what the first boot made (host keys, users) is made once: from now on a power cut must not undo it
        hand_over()
        os.sync()
    else:
        sys.stderr.write("hikube-hand-over: install LINE, or nothing\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
