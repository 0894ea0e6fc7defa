"""Records: every sentence of drivers/records.py, on each implementation. A suite with a real host may import the class."""

from __future__ import annotations

import json

import pytest

from provisioner.drivers.hypervisor import DomainState
from provisioner.model.errors import NotFound
from tests.contract.hypervisors import LIMIT_S

TEXT = json.dumps({"spec": {"text": "<&>'\" ]]> \u00e4\n\t\x01 " + "x" * 20_000}})


class TestRecords:
    def test_a_domain_of_an_older_version_bears_none(self, bench):
        assert bench.hypervisor.records.read(bench.define(bench.name())) == ""

    def test_what_is_written_is_read_and_replaced(self, bench):
        name, records = bench.define(bench.name(), owner_uid="uid-7"), bench.hypervisor.records
        for text in (TEXT, "another", ""):
            records.write(name, text)
            assert records.read(name) == text

    def test_nothing_else_of_the_domain_changes(self, bench):
        name = bench.define(bench.name(), owner_uid="uid-7")
        before = bench.hypervisor.domains.look(name)
        bench.hypervisor.records.write(name, TEXT)
        assert bench.hypervisor.domains.look(name) == before
        assert before in bench.hypervisor.domains.owned()

    def test_a_running_domain_takes_it_and_keeps_it_when_it_stops(self, bench):
        name, domains = bench.start(bench.name()), bench.hypervisor.domains
        bench.hypervisor.records.write(name, TEXT)
        assert bench.hypervisor.records.read(name) == TEXT
        assert bench.state(name) is DomainState.RUNNING
        domains.destroy(name, timeout_s=LIMIT_S)
        assert bench.hypervisor.records.read(name) == TEXT

    def test_one_that_is_part_of_the_definition_is_read(self, bench):
        xml = bench.domain_xml(bench.name(), owner_uid="uid-7")
        mark = 'xmlns:hikube="https://hikube.cloud/xmlns/domain/1" '
        assert mark in xml
        start = xml.index("<hikube:vm")
        end = xml.index("/>", start)
        marked = xml[:end] + "><hikube:record>{&quot;a&quot;: &lt;1&gt;}</hikube:record></hikube:vm>" + xml[end + 2 :]
        bench.hypervisor.domains.define(marked)
        assert bench.hypervisor.records.read(bench.name()) == '{"a": <1>}'

    def test_it_goes_with_the_domain_and_comes_with_no_other(self, bench):
        name, records = bench.define(bench.name()), bench.hypervisor.records
        records.write(name, TEXT)
        bench.hypervisor.domains.undefine(name)
        assert records.read(name) == ""
        with pytest.raises(NotFound):
            records.write(name, TEXT)

    def test_a_domain_of_somebody_else_bears_none_and_takes_none(self, bench):
        name, records = bench.define(bench.name("-foreign"), owner_uid=""), bench.hypervisor.records
        try:
            assert records.read(name) == ""
            with pytest.raises(NotFound):
                records.write(name, TEXT)
        finally:
            bench.hypervisor.domains.undefine(name)
