"""What Prometheus reads is what is: after a VM got ready, waited, was deleted; after a GPU broke and a host went away."""

from __future__ import annotations

from provisioner.drivers.simulated.faults import Fault
from provisioner.lifecycle.quarantine import quarantine
from provisioner.model.errors import StoreUnavailable
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from server.metrics import Metrics
from tests.lifecycle.world import vm_yaml
from tests.server.conftest import Shown
from tests.server.scraping import Samples, get

L40S = "nvidia.com/AD102GL_L40S"


def gpus(samples: Samples) -> dict[str, float]:
    """Of the one model, by state, those that are."""
    return {dict(labels)["state"]: value for labels, value in samples.all("hikube_gpus").items() if value}


def test_a_vm_that_got_ready_is_in_every_number(shown: Shown) -> None:
    shown.host("a", gpus=2).apply(vm_yaml("train")).settle()
    samples = shown.scrape()
    assert gpus(samples) == {"Free": 1, "Claimed": 1}
    assert samples("hikube_host_gpus", host="a", model=L40S, state="Claimed") == 1
    assert samples("hikube_host_reachable", host="a") == 1
    assert samples("hikube_hosts", state="reachable") == 1
    assert samples("hikube_claims", state="Given") == 1
    assert samples("hikube_vms", kind="VirtualMachine", phase="Ready") == 1
    assert samples("hikube_steps_total", kind="VirtualMachine", step="ready", result="done") == 1
    assert samples("hikube_step_seconds_count", kind="VirtualMachine", step="start", result="done") == 1
    assert samples("hikube_time_to_ready_seconds_count", kind="VirtualMachine") == 1
    took_s = samples("hikube_time_to_ready_seconds_sum", kind="VirtualMachine")
    steps_s = samples.total("hikube_step_seconds_sum", kind="VirtualMachine", result="done")
    assert took_s is not None and took_s >= steps_s * 0.9 > 0
    assert samples.total("hikube_reconcile_seconds_count", kind="VirtualMachine") > 0
    assert samples("hikube_store_calls_total", verb="create", kind="GPUClaim", code="ok") == 1
    assert samples.total("hikube_store_call_seconds_count", verb="watch") == 0
    assert samples.total("hikube_store_calls_total", verb="watch", code="ok") > 0
    assert samples("hikube_queue_keys", state="in_flight") == 0
    assert samples("hikube_leader") == 1
    assert samples.total("hikube_build_info", version="1.2.3", store="memory") == 1


def test_a_deleted_vm_leaves_no_number_behind(shown: Shown) -> None:
    shown.host("a").apply(vm_yaml("train")).settle()
    shown.delete("train")
    shown.run(lambda: not shown.exists("train") and not shown.store.list(GPUClaim).items)
    samples = shown.scrape()
    assert gpus(samples) == {"Free": 1}
    assert sum(samples.all("hikube_claims").values()) == sum(samples.all("hikube_vms").values()) == 0
    assert samples("hikube_steps_total", kind="VirtualMachine", step="reserve", result="undone") == 1
    assert samples("hikube_steps_total", kind="GPUClaim", step="reset", result="done") == 1


def test_a_gpu_on_its_way_home_is_counted_with_its_time(shown: Shown) -> None:
    shown.host("a").apply(vm_yaml("train")).settle()
    shown.fleet.host("a").set_link("down")
    (claim,) = shown.store.list(GPUClaim).items
    shown.store.update_status(claim.with_status(released_at=shown.ports.now()))
    shown.clock.advance(500)
    samples = shown.scrape()
    assert samples("hikube_claims", state="Released") == 1
    assert gpus(samples) == {"Cleaning": 1}
    oldest_s = samples("hikube_oldest_released_claim_seconds")
    assert oldest_s is not None and 500 <= oldest_s < 600


def test_why_a_vm_waits_and_for_what(shown: Shown) -> None:
    shown.host("a").apply(vm_yaml("first")).settle()
    shown.apply(vm_yaml("second")).settle()
    samples = shown.scrape()
    assert samples("hikube_vms_waiting", reason="InsufficientGPUs") == 1
    assert samples("hikube_gpus_wanted", model=L40S) == 1
    assert samples("hikube_gpus", model=L40S, state="Free") == 0, "a series that is not there cannot be compared"
    shown.delete("first").run(lambda: shown.is_ready("second"))
    samples = shown.scrape()
    assert samples.total("hikube_vms_waiting") == samples.total("hikube_gpus_wanted") == 0
    assert samples("hikube_time_to_ready_seconds_count", kind="VirtualMachine") == 2


def test_a_gpu_in_quarantine_is_seen_where_it_is(shown: Shown) -> None:
    shown.host("a", gpus=2).settle()
    gpu = shown.store.get(GPUHost, "a").status.gpus[0]
    assert quarantine(shown.ports, host="a", address=gpu.address, reason="it smells")
    samples = shown.scrape()
    assert gpus(samples) == {"Free": 1, "Quarantined": 1}
    assert samples("hikube_host_gpus", host="a", model=L40S, state="Quarantined") == 1


def test_free_gpus_that_nobody_can_have_are_not_called_free(shown: Shown) -> None:
    shown.host("a").host("b").host("c").settle()
    shown.configure("a", cordoned=True)
    shown.fleet.host("b").set_link("down")
    shown.pass_time(900)
    samples = shown.scrape()
    assert gpus(samples) == {"Free": 1, "Unavailable": 2}
    assert samples("hikube_host_reachable", host="b") == 0
    assert samples("hikube_hosts", state="away") == 1


def test_passes_that_fail_are_counted_as_such(shown: Shown) -> None:
    shown.host("a").settle()
    shown.fleet.faults.stage(Fault(ZeroDivisionError("a bug"), call="volumes.create", subject="*broken*", times=3))
    shown.apply(vm_yaml("broken")).settle()
    samples = shown.scrape()
    assert samples("hikube_reconcile_seconds_count", kind="VirtualMachine", result="failed") == 3
    assert samples("hikube_vms", kind="VirtualMachine", phase="Ready") == 1, "it got there in the end"


def test_a_call_that_the_store_refuses_has_its_code(shown: Shown) -> None:
    shown.host("a")
    shown.store.fail_next("watch", StoreUnavailable("locked"))
    shown.settle()
    assert shown.scrape()("hikube_store_calls_total", verb="watch", kind="", code="HK-STORE-001") == 1


def test_a_fleet_that_cannot_be_read_is_not_told_as_an_empty_one(shown: Shown) -> None:
    shown.host("a").settle()
    assert shown.scrape()("hikube_fleet_known") == 1
    shown.store.fail_next("watch", StoreUnavailable("away"))
    samples = shown.scrape()
    assert samples("hikube_fleet_known") == 0
    assert not samples.all("hikube_gpus") and not samples.all("hikube_hosts")
    assert samples("hikube_leader") == 1, "everything else is told"


def test_scrapes_in_a_row_look_at_the_fleet_once(shown: Shown) -> None:
    shown.host("a").settle()
    before = shown.scrape().total("hikube_store_calls_total", verb="watch")
    for _ in range(3):
        again = Samples(get(f"{shown.service.url}/metrics").text)
    assert again.total("hikube_store_calls_total", verb="watch") == before + 1, "the look of the scrape before"


def test_who_no_longer_leads_tells_nothing_of_the_fleet(shown: Shown) -> None:
    shown.host("a").settle()
    with shown.service.showing(shown.controller):
        pass
    samples = shown.scrape()
    assert samples("hikube_leader") == samples("hikube_fleet_known") == 0
    assert not samples.all("hikube_gpus") and not samples.all("hikube_queue_keys")


def test_vms_that_were_ready_before_this_process_began_are_none_of_its_times(shown: Shown) -> None:
    shown.host("a").apply(vm_yaml("train")).settle()
    shown.clock.advance(60)
    later = Metrics(health=shown.service.health, clock=shown.clock, version="1", store="memory")
    later.fleet.look_with(shown.controller.known)
    samples = Samples(later.text().decode())
    assert samples("hikube_vms", kind="VirtualMachine", phase="Ready") == 1
    assert not samples.all("hikube_time_to_ready_seconds_count")
