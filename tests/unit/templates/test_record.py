"""Marks and records as the templates write them: of a full domain, and of the one that a stopped VM has."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from syrupy.assertion import SnapshotAssertion

from templates.domain import render_domain
from templates.domain.parked import render_parked
from tests.unit.templates.test_domain import LOG, PLANS, POOLS

NAMESPACE = "https://hikube.cloud/xmlns/domain/1"
MARK = f"metadata/{{{NAMESPACE}}}vm"
RECORD = f"{MARK}/{{{NAMESPACE}}}record"
UUID = "6f0a2d0e-5a7e-4a53-9f5b-0d1f0f6f9a11"
HOSTILE = json.dumps({"name": "</hikube:record></hikube:vm><devices/>&\"'", "text": "ä\n\u0001\ud800"})


def parked(**changes: str) -> str:
    values = {"uuid": UUID, "owner_uid": "uid-1", "owner": "default/x", "record": "{}"} | changes
    return render_parked("hikube-default.x", **values)


def test_a_full_domain_bears_the_record_beside_its_mark() -> None:
    root = ElementTree.fromstring(render_domain(PLANS["no-gpu"], pool_paths=POOLS, console_log_path=LOG, record=HOSTILE))
    assert root.findtext(RECORD) == HOSTILE
    assert root.find(MARK).get("uid") == PLANS["no-gpu"].owner_uid
    assert len(root.findall("devices")) == 1


def test_without_a_record_there_is_the_mark_alone() -> None:
    root = ElementTree.fromstring(render_domain(PLANS["no-gpu"], pool_paths=POOLS, console_log_path=LOG))
    assert len(root.find(MARK)) == 0


def test_a_parked_domain(snapshot: SnapshotAssertion) -> None:
    assert parked() == snapshot


@pytest.mark.parametrize("field", ["owner", "owner_uid", "record"])
def test_hostile_text_stays_text(field: str) -> None:
    root = ElementTree.fromstring(parked(**{field: HOSTILE.replace("\\u0001", "")}))
    assert [child.tag for child in root.find("devices")] == ["controller", "memballoon"]
    assert len(root.find("metadata")) == 1


def test_a_hostile_owner_of_a_full_domain_stays_text() -> None:
    plan = replace(PLANS["no-gpu"], owner='"/><devices/><x a="')
    root = ElementTree.fromstring(render_domain(plan, pool_paths=POOLS, console_log_path=LOG, record="{}"))
    assert root.find(MARK).get("name") == plan.owner
