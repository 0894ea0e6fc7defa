"""The program that acts on a device writes files: a tree stands in for them, and a thread for the kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from templates.host.device import act
from tests.unit.host.fake_host import AUDIO, GPU, ROOT_PORT, FakeHost, gpu_host
from tests.unit.host.kernel import Kernel

VFIO = "vfio-pci"
OWN_NAME = Path("/proc/self/comm")


@pytest.fixture(autouse=True)
def own_name() -> Iterator[None]:
    """The program gives its process a name; here that is the test's."""
    before = OWN_NAME.read_text()
    yield
    OWN_NAME.write_text(before)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return gpu_host(tmp_path)


@pytest.fixture
def kernel(host: FakeHost) -> Iterator[Kernel]:
    with Kernel(host, chooses={GPU: "nvidia", AUDIO: "snd_hda_intel"}) as kernel:
        yield kernel


def do(host: FakeHost, operation: str, address: str = GPU, *, limit_s: float = 10.0, **more: str) -> dict[str, Any]:
    return act({"operation": operation, "address": address, "limit_s": limit_s, "root": str(host), **more})


def restore(host: FakeHost, driver: str, override: str = "", **more: Any) -> dict[str, Any]:
    return do(host, "restore", driver=driver, override=override, **more)


def state(host: FakeHost, address: str = GPU) -> tuple[str, str]:
    """Driver and override."""
    folder = host.root / f"sys/bus/pci/devices/{address}"
    driver = folder / "driver"
    override = (folder / "driver_override").read_text().strip()
    return driver.readlink().name if driver.is_symlink() else "", "" if override == "(null)" else override


@pytest.mark.usefixtures("kernel")
class TestBind:
    def test_it_goes_to_vfio_and_stays_there(self, host: FakeHost) -> None:
        for _ in range(2):
            assert do(host, "bind") == {"outcome": "done", "driver": VFIO}
            assert state(host) == (VFIO, VFIO)
        assert state(host, AUDIO) == ("snd_hda_intel", "")

    def test_a_variant_of_vfio_is_as_good(self, host: FakeHost) -> None:
        host.driver("nvgrace_gpu_vfio_pci")
        host.bind(GPU, "nvgrace_gpu_vfio_pci")
        assert do(host, "bind") == {"outcome": "done", "driver": "nvgrace_gpu_vfio_pci"}

    def test_who_has_it_open_is_named_and_nothing_is_touched(self, host: FakeHost) -> None:
        host.process(4711, "nvidia-persiste", "/dev/nvidia3")
        answer = do(host, "bind")
        assert (answer["outcome"], answer["why"]) == ("busy", "nvidia-persiste (pid 4711) has /dev/nvidia3 open")
        assert answer["holders"] == [{"pid": 4711, "command": "nvidia-persiste", "path": "/dev/nvidia3"}]
        assert state(host) == ("nvidia", "")

    def test_what_libvirts_daemon_keeps_open_is_no_obstacle(self, host: FakeHost) -> None:
        host.process(500, "libvirtd", "/dev/nvidia3")
        assert do(host, "bind")["outcome"] == "done"

    def test_a_function_without_a_driver(self, host: FakeHost) -> None:
        host.bind(GPU, "")
        assert do(host, "bind")["driver"] == VFIO

    def test_no_bridge_and_nothing_that_fell_off_the_bus(self, host: FakeHost) -> None:
        assert "bridge" in do(host, "bind", ROOT_PORT)["why"]
        host.device(GPU, "config", b"\xff" * 4096)
        answer = do(host, "bind")
        assert (answer["outcome"], "all ones" in answer["why"]) == ("failed", True)
        assert state(host) == ("nvidia", "")

    def test_what_is_not_there(self, host: FakeHost) -> None:
        assert do(host, "bind", "0000:99:00.0")["outcome"] == "not-found"

    def test_a_kernel_that_does_not_bind_it(self, host: FakeHost) -> None:
        (host.root / "sys/bus/pci/drivers/vfio-pci").rename(host.root / "sys/bus/pci/drivers/vfio-pci-gone")
        answer = do(host, "bind", limit_s=1)
        assert (answer["outcome"], answer["why"]) == ("failed", "it is on no driver after vfio-pci was asked for")


class TestBlocking:
    """A pipe that nobody reads blocks whoever opens it for writing, as an unbind does that waits for a user to let go."""

    def test_an_unbind_that_does_not_return_is_left_alone(self, host: FakeHost) -> None:
        unbind = host.root / "sys/bus/pci/drivers/nvidia/unbind"
        unbind.unlink()
        os.mkfifo(unbind)
        began_s = time.monotonic()
        answer = do(host, "bind", limit_s=0.5)
        assert time.monotonic() - began_s < 5
        assert answer["outcome"] == "timed-out"
        assert "taking it from nvidia" in answer["why"]

    def test_a_config_space_that_does_not_answer_is_left_alone_too(self, host: FakeHost) -> None:
        config = host.root / f"sys/bus/pci/devices/{GPU}/config"
        config.unlink()
        os.mkfifo(config)
        assert do(host, "bind", limit_s=0.5)["outcome"] == "timed-out"

    @pytest.mark.parametrize("operation", ["bind", "reset"])
    def test_a_device_over_which_an_earlier_one_hangs_is_not_touched(self, host: FakeHost, operation: str) -> None:
        host.process(66, f"hk-{GPU}", state="D")
        answer = do(host, operation)
        assert (answer["outcome"], answer["holders"][0]["pid"]) == ("busy", 66)
        assert "stuck in the kernel" in answer["why"]

    def test_two_at_once_are_not_done(self, host: FakeHost) -> None:
        host.process(67, f"hk-{GPU}", state="S")
        assert do(host, "bind")["why"] == "another one is under way"

    def test_somebody_who_only_looks_is_no_obstacle(self, host: FakeHost) -> None:
        host.process(68, f"lk-{GPU}", state="S")
        with Kernel(host, chooses={GPU: "nvidia"}):
            assert do(host, "bind")["outcome"] == "done"


class TestRestore:
    def test_back_to_what_it_had(self, host: FakeHost, kernel: Kernel) -> None:
        do(host, "bind")
        for _ in range(2):
            assert restore(host, "nvidia") == {"outcome": "done", "driver": "nvidia"}
            assert state(host) == ("nvidia", "")

    def test_to_whatever_the_kernel_chooses(self, host: FakeHost, kernel: Kernel) -> None:
        do(host, "bind")
        assert restore(host, "")["driver"] == "nvidia"

    def test_to_no_driver_at_all(self, host: FakeHost, kernel: Kernel) -> None:
        do(host, "bind")
        assert restore(host, "", override="none")["driver"] == ""
        assert state(host) == ("", "none")

    def test_to_vfio_with_the_override_that_it_had(self, host: FakeHost, kernel: Kernel) -> None:
        for override in ("", VFIO):
            assert restore(host, VFIO, override)["driver"] == VFIO
            assert state(host) == (VFIO, override)

    def test_to_a_driver_that_the_kernel_would_not_choose_by_itself(self, host: FakeHost, kernel: Kernel) -> None:
        do(host, "bind")
        host.driver("nouveau")
        kernel.chooses[GPU] = "nouveau"
        assert restore(host, "nvidia", limit_s=1)["driver"] == "nvidia"

    def test_a_driver_that_is_not_loaded(self, host: FakeHost, kernel: Kernel) -> None:
        do(host, "bind")
        kernel.chooses[GPU] = ""
        answer = restore(host, "ast", limit_s=1)
        assert (answer["outcome"], answer["why"]) == ("failed", "the kernel has it on no driver")

    def test_not_while_its_group_is_open(self, host: FakeHost, kernel: Kernel) -> None:
        do(host, "bind")
        host.process(5000, "qemu-system-x86", "/dev/vfio/20", cmdline="qemu -name guest=g,x=y")
        answer = restore(host, "nvidia")
        assert answer["why"] == "qemu-system-x86, domain g (pid 5000) has /dev/vfio/20 open"
        assert state(host) == (VFIO, VFIO)


class TestReset:
    @pytest.fixture(autouse=True)
    def bound(self, host: FakeHost, kernel: Kernel) -> None:
        for address in (GPU, AUDIO):
            do(host, "bind", address)

    def test_by_the_best_method(self, host: FakeHost, kernel: Kernel) -> None:
        assert do(host, "reset") == {"outcome": "done", "method": "flr"}
        host.device(GPU, "reset_method", "pm bus\n")
        assert do(host, "reset")["method"] == "pm"

    def test_not_what_a_driver_of_the_hosts_has(self, host: FakeHost, kernel: Kernel) -> None:
        restore(host, "nvidia")
        answer = do(host, "reset")
        assert (answer["outcome"], kernel.resets) == ("busy", [])
        assert "nvidia" in answer["why"]

    def test_not_what_somebody_has_open(self, host: FakeHost, kernel: Kernel) -> None:
        host.process(5000, "qemu-system-x86", "/dev/vfio/20")
        assert (do(host, "reset")["outcome"], kernel.resets) == ("busy", [])

    def test_nothing_without_a_method(self, host: FakeHost) -> None:
        host.device(GPU, "reset_method", "\n")
        assert do(host, "reset")["outcome"] == "unsupported"

    def test_a_device_that_does_not_come_back(self, host: FakeHost, kernel: Kernel) -> None:
        kernel.dies_in_resets = True
        host.device(GPU, "reset", "1\n")  # the kernel is at it already when the program asks
        answer = do(host, "reset", limit_s=1)
        assert answer["outcome"] == "failed"
        assert "all ones" in answer["why"] or "did not come back" in answer["why"]

    def test_a_bus_that_only_vfio_can_reset(self, host: FakeHost) -> None:
        answer = do(host, "reset", AUDIO)
        assert answer["outcome"] == "failed"
        assert "the bus reset: No such file or directory" in answer["why"]  # of /dev/vfio, which is not in this tree


class TestScrub:
    @pytest.fixture(autouse=True)
    def bound(self, host: FakeHost, kernel: Kernel) -> None:
        do(host, "bind")

    def test_its_status_and_the_end_of_what_it_prints(self, host: FakeHost) -> None:
        answer = do(host, "scrub", command="seq 1 9999; echo {address} >&2; exit 3")
        assert (answer["outcome"], answer["exit_status"], len(answer["output_tail"])) == ("done", 3, 4000)
        assert answer["output_tail"].endswith(f"9999\n{GPU}\n")

    def test_one_that_is_killed_by_a_signal(self, host: FakeHost) -> None:
        assert do(host, "scrub", command="kill -9 $$")["exit_status"] == 137

    def test_at_its_limit_it_is_killed_with_all_that_it_started(self, host: FakeHost, tmp_path: Path) -> None:
        command = f"sh -c 'echo $$ > {tmp_path}/pid; echo begun; exec sleep 600' & wait"
        answer = do(host, "scrub", command=command, limit_s=1)
        assert (answer["outcome"], answer["output_tail"]) == ("timed-out", "begun\n")
        deadline_s = time.monotonic() + 5
        while Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists():
            assert time.monotonic() < deadline_s

    def test_it_does_not_wait_for_what_is_left_in_the_background(self, host: FakeHost) -> None:
        began_s = time.monotonic()
        assert do(host, "scrub", command="sleep 4 & echo done")["output_tail"] == "done\n"
        assert time.monotonic() - began_s < 3

    def test_not_what_somebody_has_open(self, host: FakeHost) -> None:
        host.process(5000, "qemu-system-x86", "/dev/vfio/20")
        assert do(host, "scrub", command="true")["outcome"] == "busy"
