"""The one command that hikube may run in a tenant's VM: it says what the guest is.

It is copied into the guest as it stands and must run on whatever Python cloud-init brought along: 3.6 and later, standard
library only, plain ASCII, no network. Every read is bounded, the only programs started are nvidia-smi and systemctl, both under
a time limit, and an alarm ends the whole. Imports are few and late, since a guest under emulation pays for each.

    SSH_ORIGINAL_COMMAND   "" or "report"   one JSON object of the shape of GuestReport on stdout
                           "hand-over"      becomes hand_over.py: all that is ours goes, this command too
                           anything else    refused, exit 2
"""

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Any

COMMAND = "/usr/local/sbin/hikube-report"
HAND_OVER = "/usr/local/sbin/hikube-hand-over"

TOTAL_LIMIT_S = 75
NVIDIA_SMI_LIMIT_S, HEALTH_LIMIT_S = 45, 9
SYSTEMCTL_LIMIT_S = 10
READ_LIMIT = 256 * 1024
TAIL_LIMIT = 4096
FUNCTION_LIMIT = 4096
MEMORY_BAR = 0x200
"""IORESOURCE_MEM of include/linux/ioport.h: the flag column of a `resource` file; port BARs have 0x100."""

XID_LIMIT = 20
CSV = "--format=csv,noheader,nounits"
QUERY = ("uuid", "name", "pci.bus_id", "serial", "driver_version", "memory.total", "ecc.mode.current")
HEALTH = {
    "address": "pci.bus_id",
    "temperatureC": "temperature.gpu",
    "eccUncorrectedVolatile": "ecc.errors.uncorrected.volatile.total",
    "eccUncorrectedAggregate": "ecc.errors.uncorrected.aggregate.total",
    "retiredPagesPending": "retired_pages.pending",
    "pcieLinkGen": "pcie.link.gen.current",
    "pcieLinkWidth": "pcie.link.width.current",
    "vbios": "vbios_version",
}
REMAPPED = {"address": "gpu_bus_id", "rowRemapPending": "remapped_rows.pending", "rowRemapFailure": "remapped_rows.failure"}
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
        end(process)
        return -1, f"{argv[0]} did not end within {limit_s} s"
    return process.returncode, output[:READ_LIMIT].decode("utf-8", "replace").strip()


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and let go of it, even if it is stuck in the kernel."""
    import contextlib
    import subprocess

    process.kill()
    if process.stdout:
        process.stdout.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)


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
    log = kernel_log(root)
    state = {"driverLoaded": loaded, "driverVersion": version, "nvidiaSmi": False, "error": "", "gpus": []}  # type: dict[str, Any]
    state["xids"] = [xid(line) for line in log if "NVRM: Xid (" in line][-XID_LIMIT:]
    program = find_nvidia_smi(root)
    if not program:
        return state
    status, output = run([program, "--query-gpu=" + ",".join(QUERY), CSV], NVIDIA_SMI_LIMIT_S)
    rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines() if line.strip()]
    if status != 0 or any(len(row) != len(QUERY) for row in rows):
        state["error"] = "\n".join(filter(None, [output[-2000:], "\n".join(log[-5:])[-1000:]]))
        return state
    state["nvidiaSmi"] = True
    health, remapped = by_address(program, "gpu", HEALTH), by_address(program, "remapped-rows", REMAPPED)
    state["gpus"] = [gpu(row) for row in rows]
    for each in state["gpus"]:
        each.update(health.get(each["address"], {}), **remapped.get(each["address"], {}))
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
    return {
        "uuid": uuid,
        "name": name,
        "address": pci_address(address),
        "serial": "" if serial == "0" else serial,
        "driverVersion": version,
        "memoryMib": int(memory) if memory.isdigit() else None,
        "eccMode": ecc,
    }


def pci_address(text: str) -> str:
    """`0000:05:00.0` of what the driver writes: `00000000:05:00.0`, `0000:05:00`; empty if it is none."""
    domain, _, rest = text.lower().partition(":")
    try:
        return f"{int(domain, 16):04x}:{rest}" + ("" if "." in rest else ".0")
    except ValueError:
        return ""


def by_address(program: str, table: str, fields: "dict[str, str]") -> "dict[str, dict[str, Any]]":
    """What nvidia-smi says of every GPU; nothing from one that does not know the question (remapped rows, before 460)."""
    status, output = run([program, "--query-" + table + "=" + ",".join(fields.values()), CSV], HEALTH_LIMIT_S)
    rows = [[cell.strip() for cell in line.split(",")] for line in output.splitlines()] if status == 0 else []
    found = [dict(zip(fields, row)) for row in rows if len(row) == len(fields)]  # noqa: B905 strict= is of Python 3.10
    return {pci_address(row.pop("address")): {name: value(name, cell) for name, cell in row.items()} for row in found}


def value(name: str, cell: str) -> "Any":
    """A cell as the field of that name has it; None, or no text, where the card cannot tell (`[N/A]`, `Unknown Error`)."""
    word = cell.lower()
    if name == "vbios":
        return "" if word.startswith("[") or word == "n/a" else cell
    if name.endswith(("Pending", "Failure")):
        return word not in ("no", "0") if word in ("yes", "no") or word.isdigit() else None
    return int(cell) if cell.isdigit() else None


def xid(line: str) -> "dict[str, Any]":
    """One error of the driver: `NVRM: Xid (PCI:0000:05:00): 79, pid=1, GPU has fallen off the bus.`"""
    place, _, rest = line.partition("NVRM: Xid (")[2].partition("): ")
    code, _, words = rest.partition(",")
    return {
        "code": int(code) if code.isdigit() else 0,
        "address": pci_address(place.replace("PCI:", "")),
        "text": words.strip()[:200],
    }


def kernel_log(root: str) -> "list[str]":
    """The kernel's lines about the NVIDIA driver; none if the log cannot be read. Never waits for more of it."""
    log = b""
    try:
        descriptor = os.open(os.path.join(root, "dev/kmsg"), os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", 0) as file:
            log = b"".join(iter(lambda: file.read(8192) or b"", b""))  # one record for each read
    except OSError:
        pass
    return [line.partition(b";")[2].decode("utf-8", "replace") for line in log.splitlines() if b"NVRM" in line]


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
    states = dict(zip(UNITS, output.split()))  # noqa: B905 strict= is of Python 3.10
    return [f"systemd: {unit} failed" for unit, state in states.items() if state == "failed"]


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


def main(arguments: "list[str]", asked: str, root: str = "/") -> int:
    """Do what was asked; the exit status says whether it was done (0) or refused (2). Hand-over does not come back."""
    import signal

    if not arguments and asked in ("", "report"):
        signal.alarm(TOTAL_LIMIT_S)
        print(json.dumps(report(root)))
        return 0
    if not arguments and asked == "hand-over":
        os.execv(HAND_OVER, [HAND_OVER])  # noqa: S606 no shell is what we want
    sys.stderr.write("hikube-report: this key may ask for report or hand-over only\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ.get("SSH_ORIGINAL_COMMAND", "").strip()))
