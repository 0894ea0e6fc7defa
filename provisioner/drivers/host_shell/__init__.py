"""A way into a host beside its hypervisor's API: short Python programs, run there in children that can be killed."""

from provisioner.drivers.host_shell.opening import shell_for, why_no_shell
from provisioner.drivers.host_shell.protocol import HostShell

__all__ = ["HostShell", "shell_for", "why_no_shell"]
