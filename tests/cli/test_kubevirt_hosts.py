"""What the command line shows of a KubeVirt cluster: counts and nodes, and nothing of libvirt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from cli.gpu.rows import gpu_rows
from cli.render.doctor import doctor_text
from cli.render.gpus import gpu_text, gpus_table
from cli.render.hosts import host_text, hosts_table
from cli.render.machine import machine_text
from cli.render.plan import plan_text
from cli.session import Session
from provisioner.lifecycle.consulting import consult
from provisioner.lifecycle.dry_run import preview
from provisioner.model.documents import parse_documents
from provisioner.model.gpu_host import GPUHost
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning.policy import PlacementPolicy
from provisioner.store.protocol import Store
from tests.lifecycle.clusters import ClusterWorld
from tests.lifecycle.world import vm_yaml


def _world(directory: Path) -> ClusterWorld:
    world = ClusterWorld(directory).cluster("k", n1=2, n2=4)
    world.apply(vm_yaml("first")).settle()
    world.pass_time(30)  # the cluster was surveyed since
    return world


def test_a_cluster_in_the_list_of_hosts(tmp_path: Path) -> None:
    world = _world(tmp_path)
    views = world.ports.snapshots.take(world.store, world.tables).views(policy=PlacementPolicy())
    lines = hosts_table(views, now_s=world.clock.now_s(), wide=False).splitlines()
    assert lines[0].split() == ["NAME", "STATUS", "FREE", "GPUS", "KVM", "FREE-MEMORY", "AGE"]
    assert lines[1].split()[:5] == ["k", "Ready", "5/6", "6xAD102GL_L40S", "<none>"]


def test_a_cluster_in_full_says_its_nodes_and_no_word_of_libvirt(tmp_path: Path) -> None:
    world = _world(tmp_path)
    (view,) = world.ports.snapshots.take(world.store, world.tables).views(policy=PlacementPolicy())
    text = host_text(view)
    assert "KubeVirt:   v1.9.0" in text
    assert "Permits:    nvidia.com/AD102GL_L40S (10de:26b9)" in text
    assert [line.split()[:4] for line in text.splitlines() if line.startswith(("NODE", "n1", "n2"))] == [
        ["NODE", "STATUS", "FREE", "GPUS"],
        ["n1", "Schedulable", "1/2", "2xAD102GL_L40S"],
        ["n2", "Schedulable", "4/4", "4xAD102GL_L40S"],
    ]
    for word in ("KVM", "Libvirt", "Pools", "Emulation", "IOMMU"):
        assert word not in text


def test_a_vm_on_a_cluster_names_its_machine_and_node(tmp_path: Path) -> None:
    world = _world(tmp_path)
    text = machine_text(world.vm("first").as_json(), now_s=world.clock.now_s())
    assert "Machine:    default/first on node n1" in text
    assert "Domain:" not in text


def test_the_doctor_says_that_a_clusters_nodes_are_not_looked_into(tmp_path: Path) -> None:
    world = _world(tmp_path)
    found = consult(world.store.get(GPUHost, "k"), world.ports)
    said = "k: answers; KubeVirt v1.9.0 with 2 nodes; its nodes are the KubeVirt cluster's own, and are not looked into\n"
    assert doctor_text("k", found, gpus=()) == said
    world.there().set_link("down")
    world.pass_time(5)
    assert "does not answer" in doctor_text("k", consult(world.store.get(GPUHost, "k"), world.ports), gpus=())


def test_a_dry_run_shows_the_one_user_data_and_no_domain(tmp_path: Path) -> None:
    world = _world(tmp_path)
    (vm,) = parse_documents(vm_yaml("second"), source="test", tables=world.tables)
    assert isinstance(vm, VirtualMachine)
    shown = preview(vm, world.ports)
    text = plan_text({"object": "vm/second", "action": "create", "changes": (), "preview": shown, "resource": vm})
    assert "Plan  second on k (room on node n1; 1 of 1 host fit)" in text
    assert "reserve -> image -> disk -> seed -> network -> place -> instance -> start" in text
    assert "--- seed: user-data" in text
    assert "domain XML" not in text


@dataclass
class _Session:
    """What of a session the rows need."""

    store: Store
    tables: Tables


def test_gpus_of_a_cluster_are_listed_once_a_guest_has_reported_them(tmp_path: Path) -> None:
    world = _world(tmp_path)
    rows = gpu_rows(cast(Session, _Session(world.store, world.tables)))
    uuid = world.vm("first").status.gpus[0].uuid
    (line,) = gpus_table(rows, now_s=world.clock.now_s(), wide=True).splitlines()[1:]
    assert line.split()[:5] == ["k", uuid, "l40s", "Claimed", "default/first"]
    assert "GPU:         k/" + uuid in gpu_text(rows[0], now_s=world.clock.now_s())
