"""What a lab can be made of, and what is refused."""

import json

import pytest

from provisioner.lab.topology import LabHost, LabTopology, StandIn, StandInModel, uniform
from provisioner.model.errors import InvalidInput


def test_one_host_takes_the_name_of_the_lab():
    topology = uniform("lab")
    assert [host.name for host in topology.hosts] == ["lab"]
    assert topology.hosts[0].gpus == (StandIn(StandInModel.BOCHS, None),)


def test_several_hosts_are_numbered():
    assert [host.name for host in uniform("fleet", hosts=3).hosts] == ["fleet-1", "fleet-2", "fleet-3"]


def test_stand_ins_are_dealt_to_numa_nodes_in_turn():
    topology = uniform("lab", gpus=3, numa_nodes=2, model=StandInModel.NVME)
    assert [gpu.numa_node for gpu in topology.hosts[0].gpus] == [0, 1, 0]


def test_a_topology_survives_being_stored():
    topology = LabTopology("lab", (LabHost("a", gpus=(StandIn(StandInModel.NVME, 1),), numa_nodes=2), LabHost("b", gpus=())))
    assert LabTopology.from_data(json.loads(json.dumps(topology.to_data()))) == topology


@pytest.mark.parametrize("data", [{}, {"name": "lab", "hosts": [{"name": "a"}]}, {"name": "lab", "hosts": 3}])
def test_data_that_is_no_topology_is_refused(data):
    with pytest.raises(InvalidInput, match="cannot be read"):
        LabTopology.from_data(data)


@pytest.mark.parametrize("name", ["", "Lab", "a/b", "../x", "-a", "a-", "a" * 31, "a,b", "a\n"])
def test_a_name_must_fit_a_folder_and_a_host_name(name):
    with pytest.raises(InvalidInput, match="no name for a"):
        uniform(name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hosts": 0},
        {"hosts": 9},
        {"gpus": 17},
        {"numa_nodes": 5, "vcpus": 8},
        {"numa_nodes": 0},
        {"memory_mib": 512},
        {"vcpus": 0},
        {"vcpus": 1, "numa_nodes": 2},
    ],
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidInput, match="out of range"):
        uniform("lab", **wrong)


def test_a_stand_in_sits_on_a_node_that_its_host_has():
    with pytest.raises(InvalidInput, match="NUMA node 1"):
        LabHost("a", gpus=(StandIn(numa_node=1),))


def test_hosts_of_a_lab_have_different_names():
    with pytest.raises(InvalidInput, match="different names"):
        LabTopology("lab", (LabHost("a"), LabHost("a")))


def test_a_host_without_acs_has_one_numa_node():
    with pytest.raises(InvalidInput, match="without ACS"):
        LabHost("a", vcpus=2, numa_nodes=2, acs=False)


def test_a_lab_of_a_time_before_acs_was_a_choice_is_read():
    data = uniform("lab").to_data()
    for host in data["hosts"]:
        del host["acs"]
    assert LabTopology.from_data(data) == uniform("lab")
