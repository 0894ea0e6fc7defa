"""`hikube host adopt` and `hikube store rotate-key`, as a user meets them: the store file is lost, and comes back."""

from __future__ import annotations

import json
import shutil

import pytest
from syrupy.assertion import SnapshotAssertion

from cli.session import Session
from provisioner.drivers.simulated import file_connector
from tests.cli.conftest import Hikube
from tests.cli.test_stories import TRAIN, fleet

__all__ = ["fleet"]


def uri(hikube: Hikube) -> str:
    return f"simulated://l40s?state={hikube.home}/sim.json"


@pytest.fixture
def lost(fleet: Hikube) -> Hikube:
    """A Ready VM on the host, whose store file is gone."""
    (fleet.home / "cloud.yaml").write_text("#cloud-config\npassword: canary-user-data\n")
    assert fleet(*TRAIN, "--cloud-init", f"{fleet.home}/cloud.yaml").code == 0
    shutil.rmtree(fleet.home / "data")
    return fleet


def test_a_lost_store_is_rebuilt(lost: Hikube, snapshot: SnapshotAssertion) -> None:
    assert lost("gpu", "vm", "list").out == ""
    assert lost("host", "adopt", "sim").shown() == snapshot
    assert lost("host", "adopt", "sim", uri(lost), "--dry-run").shown() == snapshot
    assert lost("get", "hosts", "-o", "name").out == ""
    assert lost("host", "adopt", "sim", uri(lost)).shown() == snapshot
    assert lost("gpu", "vm", "list").out.splitlines()[1].split()[:2] == ["train", "Ready"]
    assert lost("host", "adopt", "sim").shown() == snapshot
    assert lost("host", "adopt", "sim", "simulated://l40s").shown() == snapshot
    assert lost("wait", "vm/train", "--for=condition=Ready", "--timeout", "60s").code == 0
    assert lost("gpu", "vm", "delete", "train").code == 0
    for kind in ("vms", "claims", "secrets"):
        assert lost("get", kind, "-o", "name").out == ""


def test_as_json(lost: Hikube) -> None:
    data = json.loads(lost("host", "adopt", "sim", uri(lost), "-o", "json").out)
    assert {name: data[name] for name in ("host", "dryRun", "isNewHost", "left")} == {
        "host": "sim",
        "dryRun": False,
        "isNewHost": True,
        "left": [],
    }
    (domain,) = data["domains"]
    assert domain["machine"] == {"kind": "VirtualMachine", "namespace": "default", "name": "train"}
    assert (domain["verdict"], domain["state"]) == ("adopted", "running")
    assert domain["makes"][-1] == "virtualmachine/train"
    assert any("cloudInit" in each for each in domain["lost"])


def test_what_is_in_the_way_is_named_and_exits_5(lost: Hikube, snapshot: SnapshotAssertion) -> None:
    records = file_connector().connect(uri(lost)).records
    records.write("hikube-default.train", "")
    assert lost("host", "adopt", "sim", uri(lost)).shown() == snapshot


def test_while_a_controller_runs_nothing_is_adopted(lost: Hikube) -> None:
    with Session().controller_lock():
        result = lost("host", "adopt", "sim", uri(lost))
    assert result.code == 5
    assert lost("get", "hosts", "-o", "name").out == ""


def test_a_wrong_uri_is_refused_at_the_door(lost: Hikube) -> None:
    assert lost("host", "adopt", "sim", "vmware://x").code == 2
    assert lost("host", "adopt", "Not A Name", uri(lost)).code == 2


class TestRotatingTheKey:
    def test_secrets_are_sealed_anew_and_the_vm_goes_on(self, fleet: Hikube) -> None:
        assert fleet(*TRAIN).code == 0
        before = (fleet.home / "data" / "hikube.db.key").read_text()
        result = fleet("store", "rotate-key")
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith("1 Secret sealed with key ")
        assert (fleet.home / "data" / "hikube.db.key").read_text() != before
        assert fleet("gpu", "vm", "delete", "train").code == 0

    def test_to_another_disk(self, fleet: Hikube, monkeypatch: pytest.MonkeyPatch) -> None:
        assert fleet(*TRAIN).code == 0
        target = fleet.home / "usb" / "key"
        result = fleet("store", "rotate-key", "--to", str(target), "-o", "json")
        assert json.loads(result.out)["secrets"] == 1
        assert fleet("gpu", "vm", "stop", "train").code == 0, "to stop needs no key"
        assert fleet("gpu", "vm", "start", "train", "--timeout", "3s").code == 8, "the old one opens nothing any more"
        monkeypatch.setenv("HIKUBE_KEY_FILE", str(target))
        assert fleet("gpu", "vm", "start", "train").code == 0

    def test_a_lost_key_is_told_with_what_to_do(self, fleet: Hikube) -> None:
        assert fleet(*TRAIN).code == 0
        (fleet.home / "data" / "hikube.db.key").unlink()
        text = fleet("store", "rotate-key").shown()
        assert "HK-STORE-002" in text
        assert "HOME/data/hikube.db.key" in text
        assert fleet("get", "secrets").code == 0
        assert fleet("gpu", "vm", "stop", "train").code == 0
        assert fleet("delete", "secrets", "--all", "--yes").code == 0
        assert fleet("store", "rotate-key").code == 0
        assert fleet("gpu", "vm", "start", "train").code == 0
        assert fleet("gpu", "vm", "delete", "train").code == 0

    def test_another_key_file_can_be_named(self, fleet: Hikube) -> None:
        assert fleet(*TRAIN).code == 0
        (fleet.home / "data" / "hikube.db.key").rename(fleet.home / "moved.key")
        assert fleet("store", "rotate-key", "--key-file", str(fleet.home / "moved.key")).code == 0
        refused = fleet("store", "rotate-key", "--key-file", str(fleet.home / "absent.key"))
        assert refused.code == 9
        assert "HOME/absent.key" in refused.err
