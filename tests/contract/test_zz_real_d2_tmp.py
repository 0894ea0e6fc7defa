import os, signal, pathlib
import pytest
from contextlib import suppress
from provisioner.drivers.libvirt import LibvirtConnector
from provisioner.model.errors import HikubeError
from tests.contract.hypervisors import Bench
from tests.contract.test_hypervisor import *
from tests.contract.test_hypervisor_volumes import *
from tests.contract.test_hypervisor_devices import *
from tests.contract.test_hypervisor_domains import *
URI='qemu+ssh://root@127.0.0.1:2222/system?keyfile=/root/lab/key&command=/root/lab/ssh&no_tty=1'
def kill(name):
    os.kill(int(pathlib.Path(f"/tmp/d2/lv/run/qemu/{name}.pid").read_text()), signal.SIGKILL)
@pytest.fixture
def bench():
    made = Bench.for_host(URI, LibvirtConnector(), domain_type="kvm", network="default", dead_uri="qemu+tcp://127.0.0.1:1/system", kill=None)
    yield made
    made.clean()
    made.hypervisor.close()
