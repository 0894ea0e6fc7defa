"""Objects as the API server has them, read and written: nothing is lost, and a user's own shape is understood."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioner.model.documents import parse_documents
from provisioner.model.errors import HikubeError, InvalidInput
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.metadata import Metadata, OwnerReference
from provisioner.model.secret import Secret, SecretSpec
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import RunStrategy, VirtualMachine
from provisioner.store.kubernetes.documents import IDENTITY, document_of, resource_of, status_of, uid_of

TABLES = Tables.builtin()
EXAMPLES = sorted(Path(__file__).parents[2].joinpath("examples").glob("*.yaml"))


def served(resource, **metadata):
    """As the API server would answer: through JSON, with what it sets."""
    document = json.loads(json.dumps(document_of(resource)))
    document["metadata"] |= {"uid": "server", "resourceVersion": "7", "generation": 2, "managedFields": [{"manager": "x"}]}
    document["metadata"] |= metadata
    if resource.kind != "Secret":
        document["status"] = json.loads(json.dumps(status_of(resource)))
    return document


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_comes_back_as_it_went(path: Path) -> None:
    for resource in parse_documents(path.read_text(), source=path.name, tables=TABLES):
        found = resource_of(served(resource), kind=resource.kind, tables=TABLES)
        assert (found.spec, found.status, found.metadata.labels) == (resource.spec, resource.status, resource.metadata.labels)
        assert (found.metadata.uid, found.metadata.resource_version, found.metadata.generation) == ("server", "7", 2)


def test_a_users_own_shape_is_read_as_a_files() -> None:
    document = {
        "metadata": {"name": "a", "namespace": "team", "uid": "1", "resourceVersion": "1"},
        "spec": {"running": False, "gpus": [{"name": "L40S"}], "systemDisk": {"size": "40Gi", "image": "ubuntu"}},
    }
    vm = resource_of(document, kind="VirtualMachine", tables=TABLES)
    assert isinstance(vm, VirtualMachine)
    assert vm.spec.run_strategy is RunStrategy.HALTED
    assert vm.spec.gpus[0].name == "nvidia.com/AD102GL_L40S"
    assert vm.spec.system_disk is not None
    assert vm.spec.system_disk.storage == "40Gi"


def test_what_the_model_does_not_have_is_refused_with_the_words_of_validate() -> None:
    document = {"metadata": {"name": "a", "namespace": "team"}, "spec": {"gpus": [{"name": "nvidia.com/L4OS"}]}}
    with pytest.raises(HikubeError) as refused:
        resource_of(document, kind="VirtualMachine", tables=TABLES)
    assert "L4OS" in str(refused.value.context["mistakes"])


def test_a_status_of_a_newer_version_is_refused() -> None:
    host = GPUHost(metadata=Metadata(name="a"), spec=GPUHostSpec(uri="simulated://a"))
    document = served(host)
    document["status"]["invented"] = 1
    with pytest.raises(InvalidInput, match="status of GPUHost a cannot be read") as refused:
        resource_of(document, kind="GPUHost", tables=TABLES)
    assert "newer version" in refused.value.hint


def test_values_of_secrets_are_base64_there_and_text_here() -> None:
    owner = OwnerReference(kind="VirtualMachine", name="a", uid="1")
    secret = Secret(
        metadata=Metadata(name="access", namespace="team", owner_references=(owner,)), spec=SecretSpec(data={"key": "gehéim\n"})
    )
    document = served(secret)
    assert document["data"] == {"key": "Z2Vow6lpbQo="}
    assert document["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "hikube"}
    assert document["metadata"]["ownerReferences"][0]["apiVersion"] == "apps.cozystack.io/v1alpha1"
    found = resource_of(document, kind="Secret", tables=TABLES)
    assert (found.spec, found.metadata.labels, found.metadata.owner_references) == (secret.spec, {}, (owner,))


def test_an_older_identity_goes_before_the_servers() -> None:
    host = GPUHost(metadata=Metadata(name="a"), spec=GPUHostSpec(uri="simulated://a"))
    document = served(host, annotations={IDENTITY: "of-old", "mine": "x"})
    found = resource_of(document, kind="GPUHost", tables=TABLES)
    assert (found.metadata.uid, uid_of(document), found.metadata.annotations) == ("of-old", "of-old", {"mine": "x"})
