"""The one command that hikube may run in a tenant's VM: it says what the guest is, and takes itself away again.

It is copied into the guest as it stands and must run on whatever Python cloud-init brought along: 3.6 and later, standard
library only, plain ASCII, no network. Every read is bounded, the only programs started are nvidia-smi and systemctl, both under
a time limit, and an alarm ends the whole. Imports are few and late, since a guest under emulation pays for each.

    SSH_ORIGINAL_COMMAND   "" or "report"   one JSON object of the shape of GuestReport on stdout
                           "hand-over"      our key, our secrets and this command go; the tenant's files stay as they are
                           anything else    refused, exit 2
    argv                   "install LINE"   by the boothook at every boot: LINE replaces our line in root's authorized_keys
"""

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = "/usr/local/sbin/hikube-report"
MARK = b'command="' + COMMAND.encode() + b'"'

TOTAL_LIMIT_S = 75
NVIDIA_SMI_LIMIT_S = 45
SYSTEMCTL_LIMIT_S = 10
READ_LIMIT = 256 * 1024
TAIL_LIMIT = 4096
FUNCTION_LIMIT = 4096
MEMORY_BAR = 0x200
"""IORESOURCE_MEM of include/linux/ioport.h: the flag column of a `resource` file; port BARs have 0x100."""

OUR_FILES = ("vendor-cloud-config.txt", "boothooks/hikube-*", "scripts/vendor/hikube-*", "vendor-data.txt.i", "vendor-data.txt")
"""Of an instance's folder below /var/lib/cloud: all that cloud-init made of our vendor-data and of nothing else."""

QUERY = ("uuid", "name", "pci.bus_id", "serial", "driver_version", "memory.total", "ecc.mode.current")
UNITS = ["cloud-init-main", "cloud-init-local", "cloud-init", "cloud-init-network", "cloud-config", "cloud-final"]


def read(root: str, path: str, last: int = 0) -> str:
    """The beginning of a text file, or its `last` bytes; empty if it cannot be read."""
    try:
        with open(os.path.join(root, path), "rb") as file:
            if last:
                file.seek(max(0, os.fstat(file.fileno()).st_size - last))
            return file.read(last or READ_LIMIT).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def read_json(root: str, path: str) -> "dict[str, Any]":
    """A JSON object from a file; empty if there is none."""
    try:
        found = json.loads(read(root, path) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def run(argv: "list[str]", limit_s: int) -> "tuple[int, str]":
    """Exit status (-1: not started or out of time) and what was printed. Never waits for a process that cannot be killed."""
    import subprocess

    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(os.environ, LC_ALL="C"),
        )
    except OSError as error:
        return -1, str(error)
    try:
        output = process.communicate(timeout=limit_s)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return -1, f"{argv[0]} did not end within {limit_s} s"
    return process.returncode, output[:READ_LIMIT].decode("utf-8", "replace").strip()


def bar_bytes(resource: str) -> "list[int]":
    """Sizes of the memory BARs, from the first six lines of a function's `resource` file: start, end, flags."""
    sizes = []
    for line in resource.splitlines()[:6]:
        start, end, flags = ([int(number, 16) for number in line.split()] + [0, 0, 0])[:3]
        if end > start and flags & MEMORY_BAR:
            sizes.append(end - start + 1)
    return sizes


def pci_functions(root: str) -> "list[dict[str, Any]]":
    """Every PCI function in /sys."""
    base = "sys/bus/pci/devices"
    try:
        addresses = sorted(os.listdir(os.path.join(root, base)))[:FUNCTION_LIMIT]
    except OSError:
        return []
    return [pci_function(root, base + "/" + address) for address in addresses]


def pci_function(root: str, path: str) -> "dict[str, Any]":
    """One function: ids as lower-case hexadecimal digits without 0x, the node None where the kernel says -1."""
    driver = os.path.join(root, path, "driver")
    node = read(root, path + "/numa_node")
    return {
        "address": os.path.basename(path),
        "vendor": read(root, path + "/vendor")[2:],
        "device": read(root, path + "/device")[2:],
        "pciClass": read(root, path + "/class")[2:],
        "driver": os.path.basename(os.readlink(driver)) if os.path.islink(driver) else "",
        "numaNode": int(node) if node.isdigit() else None,
        "barBytes": bar_bytes(read(root, path + "/resource")),
    }


def nvidia(root: str) -> "dict[str, Any]":
    """The NVIDIA driver: loaded or not, and one entry per row of nvidia-smi."""
    version = read(root, "sys/module/nvidia/version")
    loaded = bool(version) or bool(read(root, "proc/driver/nvidia/version"))
    state = {"driverLoaded": loaded, "driverVersion": version, "nvidiaSmi": False, "error": "", "gpus": []}  # type: dict[str, Any]
    program = find_nvidia_smi(root)
    if not program:
        return state
    status, output = run([program, "--query-gpu=" + ",".join(QUERY), "--format=csv,noheader,nounits"], NVIDIA_SMI_LIMIT_S)
    rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines() if line.strip()]
    if status != 0 or any(len(row) != len(QUERY) for row in rows):
        state["error"] = "\n".join(filter(None, [output[-2000:], kernel_messages(root)]))
        return state
    state["nvidiaSmi"] = True
    state["gpus"] = [gpu(row) for row in rows]
    if rows and not version:
        state["driverVersion"] = state["gpus"][0]["driverVersion"]
    return state


def find_nvidia_smi(root: str) -> str:
    """The path of nvidia-smi; empty if there is none."""
    for folder in [*os.environ.get("PATH", "").split(":"), "/usr/bin", "/usr/local/bin", "/usr/local/nvidia/bin", "/opt/bin"]:
        program = os.path.join(root, folder.lstrip("/"), "nvidia-smi")
        if folder and os.access(program, os.X_OK):
            return program
    return ""


def gpu(row: "list[str]") -> "dict[str, Any]":
    """One row of the query above. nvidia-smi writes `[N/A]` or `[Not Supported]` for what a card cannot tell."""
    uuid, name, address, serial, version, memory, ecc = ("" if cell.startswith("[") else cell for cell in row)
    domain, _, rest = address.lower().partition(":")
    return {
        "uuid": uuid,
        "name": name,
        "address": f"{int(domain, 16):04x}:{rest}" if rest else "",
        "serial": "" if serial == "0" else serial,
        "driverVersion": version,
        "memoryMib": int(memory) if memory.isdigit() else None,
        "eccMode": ecc,
    }


def kernel_messages(root: str) -> str:
    """The kernel's last lines about the NVIDIA driver; empty if the log cannot be read. Its end is an OSError, as it never waits."""
    records = []  # type: list[bytes]
    try:
        descriptor = os.open(os.path.join(root, "dev/kmsg"), os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", 0) as log:
            records.extend(iter(lambda: log.read(8192) or b"", b""))
    except OSError:
        pass
    lines = [record.partition(b";")[2].splitlines()[0] for record in records if b"NVRM" in record]
    return b"\n".join(lines[-5:])[-1000:].decode("utf-8", "replace")


def cloud_init(root: str) -> "dict[str, Any]":
    """How far cloud-init is, by the rules of its own `status` command, from the files that it reads.

    Asking cloud-init itself would start a second Python and its imports: seconds under emulation.
    """
    stages = read_json(root, "run/cloud-init/status.json").get("v1", {})
    finished = os.path.exists(os.path.join(root, "run/cloud-init/result.json"))
    if not stages:
        marks = ("run/cloud-init/disabled", "etc/cloud/cloud-init.disabled")
        off = any(os.path.exists(os.path.join(root, mark)) for mark in marks)
        return {"status": "disabled" if off else "not run", "errors": [], "outputTail": ""}
    details = [stage for stage in stages.values() if isinstance(stage, dict)]
    errors = [str(error) for stage in details for error in stage.get("errors") or []]
    warnings = [str(text) for stage in details for texts in (stage.get("recoverable_errors") or {}).values() for text in texts]
    if not finished and not errors:
        errors = failed_units(root)
    status = "error" if errors else "running" if not finished else "degraded" if warnings else "done"
    output = "" if status == "done" else read(root, "var/log/cloud-init-output.log", last=TAIL_LIMIT)
    return {"status": status, "errors": [text[:500] for text in (errors + warnings)[:20]], "outputTail": output}


def failed_units(root: str) -> "list[str]":
    """Units of cloud-init that systemd saw failing: a stage that was killed writes no result and would look busy for ever."""
    if root != "/" or not os.path.isdir("/run/systemd/system"):
        return []
    _, output = run(["systemctl", "is-failed", *UNITS], SYSTEMCTL_LIMIT_S)
    return ["systemd: {} failed".format(unit) for unit, state in zip(UNITS, output.split()) if state == "failed"]


def report(root: str = "/") -> "dict[str, Any]":
    """The whole report. `root` is where the guest's files are; tests hand in a tree of their own."""
    memory = [line.split()[1] for line in read(root, "proc/meminfo").splitlines() if line.startswith("MemTotal:")]
    uptime = read(root, "proc/uptime").split()
    return {
        "version": 1,
        "bootId": read(root, "proc/sys/kernel/random/boot_id"),
        "hostname": read(root, "proc/sys/kernel/hostname"),
        "kernel": read(root, "proc/sys/kernel/osrelease"),
        "uptimeS": float(uptime[0]) if uptime else 0.0,
        "memoryMib": int(memory[0]) // 1024 if memory else 0,
        "cpus": read(root, "proc/cpuinfo").count("processor\t:"),
        "cloudInit": cloud_init(root),
        "functions": pci_functions(root),
        "nvidia": nvidia(root),
    }


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
    home = [line.split(":")[5] for line in read(root, "etc/passwd").splitlines() if line.startswith("root:")]
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


def hand_over(root: str = "/") -> None:
    """Take away our secrets, then our key, then this command. Repeating it after any interruption completes it.

    cloud-init's copies of our vendor-data are removed, the one that names the secrets last. Where a file of cloud-init holds
    more than ours, only our secrets are blanked, with as many bytes as they had, so that a pickled cache stays readable.
    """
    import glob

    folder = os.path.join(root, "var/lib/cloud/instances/*/")
    secrets = [secret for path in glob.glob(folder + "vendor-data.txt") for secret in our_secrets(content_of(path))]
    shared = glob.glob(folder + "obj.pkl") + glob.glob(os.path.join(root, "run/cloud-init/*.json"))
    for path in sorted(shared):
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
    command = os.path.join(root, COMMAND.lstrip("/"))
    if os.path.exists(command):
        os.unlink(command)


def main(arguments: "list[str]", asked: str, root: str = "/") -> int:
    """Do what was asked; the exit status says whether it was done (0), refused (2) or failed (1, by an exception)."""
    import signal

    if arguments[:1] == ["install"] and len(arguments) == 2:
        install(arguments[1], root)
    elif not arguments and asked in ("", "report"):
        signal.alarm(TOTAL_LIMIT_S)
        print(json.dumps(report(root)))
    elif not arguments and asked == "hand-over":
        hand_over(root)
        print(json.dumps({"handedOver": True}))
    else:
        sys.stderr.write("hikube-report: this key may ask for report or hand-over only\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ.get("SSH_ORIGINAL_COMMAND", "").strip()))
