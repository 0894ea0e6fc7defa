"""`hikube host add`: through the door, then at once a look at the host, so that a wrong URI is noticed where it was typed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.adding import add_host, settle_hosts
from cli.applying import Applied, Verb
from cli.host.gpu_rules import GpuRules, gpu_rules
from cli.options import NARROW, UNCHANGED_EXIT_CODE, ErrorUnchanged, NarrowOutput, Timeout, duration_s, labels, output_format
from cli.output import as_json, as_yaml, put, say
from cli.render.hosts import host_text
from cli.session import Session
from provisioner.model.errors import InvalidInput
from provisioner.model.gpu_host import GPUHost

KeepOnVfio = Annotated[bool, typer.Option("--keep-on-vfio", help="Keep GPUs on vfio-pci also while nobody owns them")]
ResetPolicies = Annotated[
    str, typer.Option("--reset-policy", metavar="POLICY", help="Required, or BestEffort for a host of one tenant")
]


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call the host")],
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="qemu:///system, qemu+ssh://root@HOST/system?keyfile=…, simulated://…")
    ],
    label: Annotated[list[str], typer.Option("--label", metavar="KEY=VALUE", help="A label, such as zone=a; repeatable")] = [],  # noqa: B006
    gpu_rule: GpuRules = [],  # noqa: B006
    allow_emulation: Annotated[
        bool, typer.Option("--allow-emulation", help="Run VMs without KVM where it does not work")
    ] = False,
    pool: Annotated[str, typer.Option("--pool", metavar="NAME", help="Storage pool for disks")] = "default",
    storage_class: Annotated[
        list[str], typer.Option("--storage-class", metavar="CLASS=POOL", help="The pool for a storage class; repeatable")
    ] = [],  # noqa: B006
    network: Annotated[str, typer.Option("--network", metavar="NAME", help="Network that VMs join")] = "default",
    reserved_memory: Annotated[str, typer.Option("--reserved-memory", metavar="MIB", help="MiB kept for the host itself")] = "",
    keep_on_vfio: KeepOnVfio = False,
    reset_policy: ResetPolicies = "Required",
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Look at the host now; store nothing if it does not answer")
    ] = True,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until it is known whether KVM really works there")
    ] = True,
    timeout: Timeout = "2m",
    output: NarrowOutput = "table",
    error_unchanged: ErrorUnchanged = False,
) -> int:
    """Add a host, and show the GPUs found on it.

    GPUs are NVIDIA display and 3D controllers unless --gpu-rule says otherwise. Whether KVM works is found by starting a tiny
    guest on the host, once. Adding the same host again changes nothing.
    """
    form = output_format(output, allowed=NARROW)
    limit_s = duration_s(timeout)
    session = Session()
    spec = {"uri": uri, "allowEmulation": allow_emulation, "storagePool": pool, "network": network}
    spec |= {"keepOnVfio": keep_on_vfio, "resetPolicy": reset_policy}
    spec |= gpu_rules(gpu_rule) | _reserved(reserved_memory) | _classes(storage_class)
    done = add_host(session, name, spec=spec, labels=labels(label, option="--label"), probe=probe)
    if probe and wait:
        settle_hosts(session, [done], timeout_s=limit_s)
    _print(session, done, form, probed=probe)
    return UNCHANGED_EXIT_CODE if error_unchanged and done.verb is Verb.UNCHANGED else 0


def _classes(pairs: list[str]) -> dict[str, Any]:
    return {"storageClasses": labels(pairs, option="--storage-class")} if pairs else {}


def _reserved(text: str) -> dict[str, Any]:
    if not text:
        return {}
    if not text.isdecimal():
        raise InvalidInput(f"--reserved-memory {text!r} is no number of MiB")
    return {"reservedMemoryMib": int(text)}


def _print(session: Session, done: Applied, form: str, *, probed: bool) -> None:
    host = session.find(done.resource.key) or done.resource
    assert isinstance(host, GPUHost)
    say(f"gpuhost/{host.metadata.name} {done.verb}")
    if form == "name":
        put(f"gpuhost/{host.metadata.name}\n")
    elif form in ("json", "yaml"):
        value = host.as_json()
        put(as_json(value) if form == "json" else as_yaml(value))
    elif probed:
        from cli.fleets import host_views

        put(host_text(next(view for view in host_views(session) if view.name == host.metadata.name)))
        if not host.status.gpus:
            say("no GPUs were found; --gpu-rule says what counts as one")
