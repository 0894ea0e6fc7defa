"""Hypervisors behind libvirt: `qemu:///system`, `qemu+ssh://…`, and libvirt's own `test:///default`.

The only package that imports libvirt. Everything goes through its API, never through the host's files, so that a remote host is
no special case. `LibvirtConnector` is the way in; the rest is split by subject:

    connection  one shared connection per URI     inventory  what the host has        nodedev  its PCI functions, parsed
    calls       every call under a time limit     volumes    storage, uploads         console  what a guest printed
    errors      libvirt's errors become ours      devices    drivers of functions     domains  virtual machines
    kvm_probe   whether KVM really runs a guest   domain_xml what a definition says   events   what a host tells by itself
"""

from __future__ import annotations

from provisioner.drivers.libvirt.connector import LibvirtConnector

__all__ = ["LibvirtConnector"]
