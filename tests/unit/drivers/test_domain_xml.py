"""What the driver reads out of a domain's XML."""

from __future__ import annotations

from xml.etree import ElementTree

from provisioner.drivers.libvirt import domain_xml

DOMAIN = """
<domain type='kvm' id='3'>
  <name>hikube-default.x</name><uuid>6f0a2d0e-5a7e-4a53-9f5b-0d1f0f6f9a11</uuid>
  <metadata>
    <other:vm xmlns:other='https://example.invalid/1' uid='not-ours'/>
    <hikube:vm xmlns:hikube='https://hikube.cloud/xmlns/domain/1' uid='uid-1' name='default/x'/>
  </metadata>
  <devices>
    <disk type='file' device='disk'><source file='/p/x.qcow2'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/><source file='/p/seed.iso' index='1'/><backingStore/>
      <target dev='sda' bus='sata'/><readonly/><alias name='sata0-0-0'/>
    </disk>
    <disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>
    <serial type='pty'><source path='/dev/pts/1'/><log file='/p/console.log' append='off'/><target port='0'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>
    <hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/></source></hostdev>
    <hostdev mode='subsystem' type='pci' managed='no'>
      <source><address domain='0x0000' bus='0x41' slot='0x00' function='0x1'/></source>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x1'/>
    </hostdev>
  </devices>
</domain>
"""


def test_the_mark_the_functions_and_the_console():
    document = domain_xml.parse(DOMAIN)
    assert (document.name, document.owner_uid) == ("hikube-default.x", "uid-1")
    assert document.functions == ("0000:41:00.1",)
    assert (document.console_log, document.has_agent) == ("/p/console.log", True)


def test_a_mark_of_somebody_else_is_none():
    foreign = DOMAIN.replace("https://hikube.cloud/xmlns/domain/1", "https://hikube.cloud/xmlns/domain/2")
    assert domain_xml.parse(foreign).owner_uid is None


def test_a_drive_that_is_full_empty_or_missing():
    assert domain_xml.has_medium(DOMAIN, "sda") is True
    assert domain_xml.has_medium(DOMAIN, "sdb") is False
    assert domain_xml.has_medium(DOMAIN, "sdc") is None
    assert domain_xml.has_medium(DOMAIN, "vda") is None, "a disk is no drive that can be emptied"


def test_an_emptied_drive_keeps_its_place():
    drive = ElementTree.fromstring(domain_xml.emptied_drive(DOMAIN, "sda"))
    assert drive.find("source") is None
    assert drive.find("backingStore") is None
    assert drive.find("target").get("dev") == "sda"
