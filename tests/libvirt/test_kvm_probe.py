"""The probe of KVM: its program runs where a processor is emulated faithfully, and its verdict on this machine is a verdict."""

from __future__ import annotations

import pytest

from provisioner.drivers.libvirt import kvm_probe
from provisioner.model.gpu_host import KvmVerdict


def everything_on(host) -> tuple[object, object]:
    names = host.domains._connection.run(lambda raw: sorted(domain.name() for domain in raw.listAllDomains()), what="list")
    return names, [volume.name for volume in host.volumes.list("default")]


def test_the_program_runs_to_its_end_under_emulation_and_leaves_nothing(host):
    before = everything_on(host)
    verdict = kvm_probe.prove(host.inventory._connection, timeout_s=60, domain_type="qemu")
    assert verdict.works, verdict.message
    assert everything_on(host) == before


def test_the_time_limit_is_kept_and_nothing_is_left(host):
    before = everything_on(host)
    verdict = kvm_probe.prove(host.inventory._connection, timeout_s=0.1, domain_type="qemu")
    assert verdict.works is False
    assert "within 0.1 s" in verdict.message
    assert everything_on(host) == before


def test_this_machines_kvm_gets_a_verdict(host):
    before = everything_on(host)
    verdict = host.inventory.prove_kvm(timeout_s=60)
    assert isinstance(verdict, KvmVerdict)
    assert verdict.works is not None
    assert verdict.message
    assert everything_on(host) == before


def test_where_libvirt_offers_no_kvm_there_is_none(connector):
    verdict = connector.connect("test:///default").inventory.prove_kvm(timeout_s=1)
    assert verdict.works is False


@pytest.mark.parametrize("domain_type", ["xen", "nonsense"])
def test_a_type_that_the_host_does_not_offer_is_not_tried(host, domain_type):
    assert kvm_probe.prove(host.inventory._connection, timeout_s=1, domain_type=domain_type).works is False
