"""From capabilities XML to what a host can do."""

from __future__ import annotations

from provisioner.drivers.libvirt import capabilities
from provisioner.model.gpu_host import NumaNode

HOST = """
<capabilities>
  <host>
    <uuid>bb332033-ea55-45d7-8bb0-03472c7c0a78</uuid>
    <cpu><arch>x86_64</arch><maxphysaddr mode='emulate' bits='48'/></cpu>
    <iommu support='yes'/>
    <topology><cells num='2'>
      <cell id='0'><memory unit='KiB'>8612044</memory><cpus num='2'><cpu id='2'/><cpu id='0'/></cpus></cell>
      <cell id='1'><memory unit='KiB'>1048576</memory><cpus num='1'><cpu id='1'/></cpus></cell>
    </cells></topology>
  </host>
  <guest><os_type>hvm</os_type><arch name='i686'><domain type='qemu'/></arch></guest>
  <guest><os_type>hvm</os_type><arch name='x86_64'><domain type='qemu'/><domain type='kvm'/></arch></guest>
</capabilities>
"""

DOMAIN = """
<domainCapabilities>
  <os supported='yes'><enum name='firmware'>{firmwares}</enum></os>
  <cpu>
    <mode name='host-passthrough' supported='no'/><mode name='maximum' supported='yes'/>
    <mode name='host-model' supported='yes'/>
  </cpu>
  <devices><hostdev supported='yes'>{backend}</hostdev></devices>
</domainCapabilities>
"""


def test_a_hosts_document():
    host = capabilities.parse_host(HOST)
    assert (host.uuid, host.has_iommu, host.address_width_bits) == ("bb332033-ea55-45d7-8bb0-03472c7c0a78", True, 48)
    assert host.domain_types == ("qemu", "kvm")
    assert host.numa_nodes == (NumaNode(id=0, memory_mib=8410, cpus=(0, 2)), NumaNode(id=1, memory_mib=1024, cpus=(1,)))


def test_threads_of_a_core_are_told_apart_from_cores():
    cpu = "<cpu id='{}' socket_id='0' die_id='0' core_id='{}' siblings='-'/>"
    cell = "<cell id='0'><memory unit='KiB'>1048576</memory><cpus num='4'>{}</cpus></cell>"
    known = "".join(cpu.format(number, number % 2) for number in range(4))
    text = "<capabilities><host><topology><cells>{}</cells></topology></host></capabilities>"
    assert capabilities.parse_host(text.format(cell.format(known))).numa_nodes[0].cores == ((0, 2), (1, 3))
    unknown = "".join(f"<cpu id='{number}'/>" for number in range(4))
    assert capabilities.parse_host(text.format(cell.format(unknown))).numa_nodes[0].cores == ()


def test_a_document_that_says_nothing_is_no_error():
    host = capabilities.parse_host("<capabilities><host/></capabilities>")
    assert (host.uuid, host.has_iommu, host.address_width_bits, host.numa_nodes, host.domain_types) == ("", False, None, (), ())


def test_bios_is_always_there_and_only_supported_modes_count():
    with_efi = capabilities.parse_domain(DOMAIN.format(firmwares="<value>efi</value>", backend=""))
    assert with_efi.firmwares == ("bios", "efi")
    assert with_efi.cpu_modes == ("maximum", "host-model")
    without = capabilities.parse_domain(DOMAIN.format(firmwares="", backend=""))
    assert without.firmwares == ("bios",)


def test_passthrough_needs_the_vfio_backend():
    def has_vfio(backend: str) -> bool:
        return capabilities.parse_domain(DOMAIN.format(firmwares="", backend=backend)).has_vfio

    assert has_vfio("<enum name='pciBackend'><value>default</value><value>vfio</value></enum>")
    assert not has_vfio("<enum name='pciBackend'/>"), "so says libvirt where there is no IOMMU"
    assert has_vfio(""), "a libvirt that does not list backends"
