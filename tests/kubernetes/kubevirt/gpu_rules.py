"""What admission refuses about GPUs, host devices and their claims. Pure. Device names are not looked at here."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tests.kubernetes.kubevirt.fields import Document, at, items
from tests.kubernetes.kubevirt.refusals import SPEC, Cause

GPUS_WITH_DRA = "GPUsWithDRA"
HOST_DEVICES_WITH_DRA = "HostDevicesWithDRA"
HOST_DEVICES = "HostDevices"
_GPUS = "vmi.spec.domain.devices.gpus"
_DEVICES = f"{SPEC}.domain.devices"


def gpu_causes(spec: Document, gates: Collection[str]) -> Iterator[Cause]:
    """Args: spec: of the instance; gates: the feature gates that are on."""
    gpus = items(spec, "domain", "devices", "gpus")
    devices = items(spec, "domain", "devices", "hostDevices")
    if devices and HOST_DEVICES not in gates:
        yield Cause("Host Devices feature gate is not enabled in kubevirt-config", f"{SPEC}.HostDevices")
    yield from _gates(gpus, devices, gates)
    yield from _shape(gpus)
    yield from _claims(spec, gpus, devices)


def _gates(gpus: list[Document], devices: list[Document], gates: Collection[str]) -> Iterator[Cause]:
    if any(each.get("claimName") for each in gpus) and GPUS_WITH_DRA not in gates:
        yield Cause(f"{_GPUS} contains DRA enabled GPUs but feature gate is not enabled", f"{_DEVICES}.gpus")
    if any(each.get("claimName") for each in devices) and HOST_DEVICES_WITH_DRA not in gates:
        text = "vmi.spec.domain.devices.hostDevices contains DRA enabled HostDevices but feature gate is not enabled"
        yield Cause(text, f"{_DEVICES}.hostDevices")


def _shape(gpus: list[Document]) -> Iterator[Cause]:
    field = f"{_DEVICES}.gpus"
    named = [bool(each.get("deviceName")) for each in gpus]
    claimed = [bool(each.get("claimName") or each.get("requestName")) for each in gpus]
    if any(not name and not claim for name, claim in zip(named, claimed, strict=True)):
        must = "each GPU must specify either a deviceName or a claimRequest"
        yield Cause(f"{_GPUS} contains GPUs without deviceName or claimRequest; {must}", field)
    both = [name and claim for name, claim in zip(named, claimed, strict=True)]
    if any(both):
        yield Cause(f"{_GPUS} contains GPUs with both deviceName and claimRequest", field)
    elif any(named) and any(claimed):
        must = "each GPU must be either DRA or non-DRA"
        yield Cause(f"{_GPUS} contains both DRA and non-DRA GPUs; {must}", field)


def _claims(spec: Document, gpus: list[Document], devices: list[Document]) -> Iterator[Cause]:
    known = {each["name"] for each in items(spec, "resourceClaims")}
    claimed = [each for each in [*gpus, *devices] if each.get("claimName") and not each.get("deviceName")]
    if any(not each.get("requestName") for each in gpus if each.get("claimName")):
        yield Cause("requestName is required for DRA GPU", f"{_DEVICES}.gpus")
    if any(each["claimName"] not in known for each in claimed):
        text = f"vmi.spec.resourceClaims must specify all claims used in {_GPUS} and vmi.spec.domain.devices.hostDevices"
        yield Cause(text, f"{SPEC}.resourceClaims")
    seen: set[tuple[str, str]] = set()
    for each in claimed:
        pair = (each["claimName"], str(each.get("requestName") or ""))
        if pair in seen and pair[1]:
            yield Cause(f'duplicate claimName/requestName pair "{pair[0]}/{pair[1]}"', f"{_DEVICES}.gpus")
        seen.add(pair)


def enabled_gates(kubevirt: Document | None) -> set[str]:
    """What the KubeVirt object turns on, and the two that are on by default unless it turns them off."""
    developer = at(kubevirt, "spec", "configuration", "developerConfiguration", default={})
    return ({GPUS_WITH_DRA, HOST_DEVICES_WITH_DRA} | set(items(developer, "featureGates"))) - set(
        items(developer, "disabledFeatureGates")
    )
