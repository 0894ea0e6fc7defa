"""deploy/Dockerfile gives an image that runs as nobody in particular, on files that it cannot change, with what it needs."""

from __future__ import annotations

import json
import re
import tomllib
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import httpx
import pytest

from tests.documents import ROOT
from tests.kubernetes.charts import NAMESPACE, OF_RBAC, Helm, applied, of_kind, only
from tests.kubernetes.containers import BASE_NAME, Buildah, Ended, base_tar, why_not
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.processes import Daemon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
TAG = "localhost/hikube:test"
REVISION = "0" * 40
UID = 10001
WRITABLE = ("/tmp", "/var/lib/hikube", "/var/cache/hikube")
"""As the chart's deployment mounts them."""


def only_probes() -> dict[str, str]:
    """Which paths the chart's probes ask for."""
    with TemporaryDirectory() as home:
        (template,) = only(Helm(Path(home)).rendered(), "Deployment")["spec"]["template"]["spec"]["containers"]
    return {name: template[name]["httpGet"]["path"] for name in ("livenessProbe", "readinessProbe")}


def words(name: str) -> dict[str, object]:
    """A table of pyproject.toml."""
    table: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())[name]
    return table


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    if reason := why_not():
        pytest.skip(reason)
    made = Buildah(tmp_path_factory.mktemp("buildah"))
    yield made
    made.remove()


@pytest.fixture(scope="module")
def image(buildah: Buildah) -> str:
    """Built from the tree as it is."""
    buildah.import_base(base_tar())
    buildah.build(ROOT, DOCKERFILE, tag=TAG, arguments={"BASE": BASE_NAME, "REVISION": REVISION})
    return TAG


@pytest.fixture(scope="module")
def container(buildah: Buildah, image: str) -> str:
    return buildah.start(image)


@pytest.fixture(scope="module")
def hikube(buildah: Buildah, container: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ended]:
    """Runs a command as a pod does: the image's user, a root that is read only, three places to write to."""
    account = tmp_path_factory.mktemp("no-account")
    return lambda *argv: buildah.run_as_a_pod(container, *argv, user=UID, writable=WRITABLE, account=account)


@pytest.fixture
def account(kinds: ControlPlane, tmp_path: Path) -> Iterator[Path]:
    """The files of the controller's service account, as a kubelet puts them into a pod."""
    with applied(kinds, of_kind(Helm(tmp_path).rendered(), *OF_RBAC)):
        kinds.admin.delete(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases")  # of somebody who was killed
        yield _files_of_account(kinds, tmp_path)


@pytest.fixture
def pod(buildah: Buildah, container: str, kinds: ControlPlane, account: Path, tmp_path: Path) -> Iterator[Daemon]:
    """The chart's container, with its arguments, but for the port."""
    (template,) = only(Helm(tmp_path).rendered(), "Deployment")["spec"]["template"]["spec"]["containers"]
    arguments = [each.replace("0.0.0.0:8080", "127.0.0.1:0") for each in template["args"]]
    variables = [f"{each['name']}={each['value']}" for each in template["env"]]
    api_server = urlsplit(kinds.server)
    variables += [f"KUBERNETES_SERVICE_HOST={api_server.hostname}", f"KUBERNETES_SERVICE_PORT={api_server.port}"]
    whole = buildah.argv_as_a_pod(container, *variables, "hikube", *arguments, user=UID, writable=WRITABLE, account=account)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    made = Daemon("pod", whole, folder=tmp_path, environment=environment)
    yield made
    made.kill()


def test_every_room_of_the_package_may_enter_the_build_and_nothing_else():
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    rooms = {each.rstrip("*") for each in found if (ROOT / each.rstrip("*")).is_dir()}
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == {*rooms, "pyproject.toml", "README.md"}


def test_the_command_runs_as_a_user_that_is_not_root(hikube):
    version = hikube("hikube", "version")
    assert version.code == 0, version.err
    assert str(words("project")["version"]) in version.out
    usage = hikube("hikube", "controller", "--help")
    assert usage.code == 0, usage.err
    assert "--workers" in usage.out
    assert hikube("id", "-u").out.strip() == str(UID)
    assert "Read-only file system" in hikube("touch", "/opt/hikube/new").err


def test_the_image_itself_names_that_user(buildah, container):
    ran = buildah.run(container, "hikube", "version")
    assert ran.code == 0, ran.err
    assert buildah.run(container, "id", "-u").out.strip() == str(UID)


def test_what_hosts_are_reached_by_is_there(hikube):
    looked = hikube("/opt/hikube/bin/python", "-c", "import libvirt; print(libvirt.getVersion())")
    assert looked.code == 0, looked.err
    assert int(looked.out) >= 9_000_000
    assert hikube("ssh", "-V").err.startswith("OpenSSH")
    asked = hikube("ssh", "-G", "gpu-1")  # ssh ends at once for a uid without a name
    assert "identityfile ~/.ssh/id_ed25519" in asked.out, asked.err


def test_nothing_of_the_image_is_its_users_to_change(buildah, container):
    found = buildah.run(container, "find", "/", "-xdev", "-writable", "-not", "-type", "l", "-not", "-path", "/proc/*")
    of_the_image = {line for line in found.out.splitlines() if not line.startswith(("/dev", "/sys", "/proc"))}
    assert of_the_image == {*WRITABLE, "/run/lock", "/var/tmp"}


def test_no_file_of_it_lends_rights_or_is_a_secret(buildah, container):
    root = buildah.mount(container)
    keys = [
        path
        for path in root.rglob("*")
        if path.suffix in (".key", ".pem") and path.is_file() and b"PRIVATE KEY" in path.read_bytes()
    ]
    assert keys == []
    assert not (root / "etc/pip.conf").exists() or (root / "etc/pip.conf").stat().st_size == 0
    assert not list((root / "etc/ssh").glob("ssh_host_*"))
    assert not (root / "tmp/hikube").exists()
    compilers = [name for name in ("gcc", "cc", "make") if (root / "usr/bin" / name).exists()]
    assert compilers == []


def test_the_package_is_installed_and_not_linked_to_a_tree(hikube):
    place = hikube("/opt/hikube/bin/python", "-c", "import cli.main; print(cli.main.__file__)")
    assert place.out.startswith("/opt/hikube/lib/python3"), place.err


def test_the_image_says_what_it_is_and_who_runs_it(buildah, image):
    config = buildah.inspect(image)["config"]
    assert config["User"] == f"{UID}:{UID}"
    assert config["Entrypoint"] == ["hikube"]
    assert config["Labels"]["org.opencontainers.image.version"] == words("project")["version"]
    assert config["Labels"]["org.opencontainers.image.revision"] == REVISION
    assert not [each for each in config["Env"] if re.search("KEY|TOKEN|PASSWORD|PIP_", each)]


def test_a_pod_of_it_leads_is_ready_shows_metrics_and_ends_in_time(pod, kinds):
    probes = only_probes()
    pod.start()
    pod.wait_until(lambda: "http://" in pod.log.read_text(), "does not say where it listens")
    found = re.search(r"http://127\.0\.0\.1:\d+", pod.log.read_text())
    assert found is not None
    url = found[0]
    with httpx.Client(trust_env=False) as client:
        pod.wait_until(lambda: client.get(url + probes["readinessProbe"]).status_code == 200, "is not ready")
        lease = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/hikube-controller"
        holder = kinds.admin.get(lease)["spec"].get("holderIdentity")
        pod.wait_until(lambda: kinds.admin.get(lease)["spec"].get("holderIdentity"), f"does not lead, {holder} does")
        assert client.get(url + probes["livenessProbe"]).status_code == 200
        assert "hikube_build_info" in client.get(f"{url}/metrics").text
    pod.stop()
    assert pod.exit_code == 0
    lines = [json.loads(line) for line in pod.log.read_text().splitlines()]
    assert "the control loop has ended" in str(lines[-1])
    assert not kinds.admin.get(lease)["spec"].get("holderIdentity")


def _files_of_account(plane: ControlPlane, root: Path) -> Path:
    kubeconfig = json.loads(plane.kubeconfig_of_service_account("hikube-controller", namespace=NAMESPACE).read_text())
    folder = root / "account"
    folder.mkdir()
    (folder / "token").write_text(kubeconfig["users"][0]["user"]["token"])
    authority = b64decode(kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"])
    (folder / "ca.crt").write_bytes(authority)
    (folder / "namespace").write_text(NAMESPACE)
    for path in (root, folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder
