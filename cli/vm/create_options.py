"""The options of `hikube gpu vm create`, with their help and their completion."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.completing import complete_gpus, complete_images, complete_instance_types

NewName = Annotated[str, typer.Argument(metavar="NAME", help="What to call the VM")]
Gpus = Annotated[
    list[str],
    typer.Option(
        "--gpu",
        metavar="MODEL[:COUNT]",
        help="GPUs, such as l40s or h100-sxm:2; repeatable",
        autocompletion=complete_gpus,
    ),
]
Image = Annotated[
    str, typer.Option("--image", metavar="NAME", help="Image to boot from [ubuntu]", autocompletion=complete_images)
]
InstanceType = Annotated[
    str,
    typer.Option("--instance-type", metavar="TYPE", help="Size by name [u1.xlarge]", autocompletion=complete_instance_types),
]
Cpu = Annotated[str, typer.Option("--cpu", metavar="N", help="vCPUs, instead of the instance type's")]
Memory = Annotated[str, typer.Option("--memory", metavar="SIZE", help="Memory such as 16Gi, instead of the instance type's")]
DiskSize = Annotated[str, typer.Option("--disk-size", metavar="SIZE", help="Size of the system disk [20Gi]")]
SshKeys = Annotated[
    list[str],
    typer.Option("--ssh-key", metavar="FILE", help="Public keys that may log in, instead of your own; repeatable"),
]
CloudInit = Annotated[str, typer.Option("--cloud-init", metavar="FILE", help="User-data for cloud-init, used byte for byte")]
HostSelector = Annotated[
    list[str],
    typer.Option("--host-selector", metavar="KEY=VALUE", help="Labels that the host must have; repeatable"),
]
ExternalPorts = Annotated[
    list[str],
    typer.Option("--external-port", metavar="PORT", help="Ports to be reached from outside; repeatable"),
]
Labels = Annotated[list[str], typer.Option("--label", metavar="KEY=VALUE", help="Labels of the VM; repeatable")]
Queue = Annotated[bool, typer.Option("--queue", help="Wait for capacity where there is none now")]
