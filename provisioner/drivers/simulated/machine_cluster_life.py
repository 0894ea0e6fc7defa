"""What comes of the machines of a simulated cluster with time, as virt-controller, scheduler and kubelet make it.

    made ──> bound ──> running ──> ended ──> gone ──> (Always, or deleted and to run) made again
      │        │ image refused, node silent: stays      Once, ended by itself: stays
      │        └ fails before it runs ──> Always: back-off of 10·n² s, at most 300
      └ not permitted, over quota, no room: stays

Everything has its moment whether anybody looked then or not: `settle` makes up for what was due since. On a node that does not
answer nothing happens, and after LOSS_S the cluster has noticed.
"""

from __future__ import annotations

from provisioner.drivers.machine_cluster import Ended, ImportedDisk, MachineSpec
from provisioner.drivers.simulated.machine_cluster_scheduler import choose
from provisioner.drivers.simulated.machine_cluster_state import ClusterState, InstanceState, MachineRecord
from provisioner.drivers.simulated.world import World

BIND_S = 0.1
STARTS = (2.0, 4.0)
"""From the binding of a pod until its guest runs."""
QUICK_END_S = 0.2
"""Of an instance whose guest does not run."""
GONE_S = 0.5
"""From the end of an instance until its objects are gone."""
LOSS_S = 53.0
"""From the last sign of a node until the cluster calls it lost; from its deletion until its pods are removed."""
BACK_OFF_MOST_S = 300.0
_STEPS_MAX = 12
"""That one machine can take in one look: a crash loop goes on with the next one."""


def settle(state: ClusterState, now_s: float, *, world: World) -> None:
    """Let happen whatever was due by now."""
    for _ in range(_STEPS_MAX):
        moved = [_step(state, machine, now_s, world=world) for _, machine in sorted(state.machines.items())]
        if not any(moved):
            return


def tell(state: ClusterState, machine: MachineRecord, *, at_s: float, world: World) -> None:
    """Delete its instance: its guest is told to end, and the instance goes after it."""
    instance = machine.instance
    if instance is None or instance.is_told:
        return
    instance.is_told = True
    if instance.ended:
        instance.gone_s = at_s + GONE_S
    elif instance.running_s is None:
        instance.ends_s, instance.ends_as = at_s + QUICK_END_S, "crashed"
    elif state.behaviour_of(machine.key).heeds_shutdown:
        instance.ends_s = at_s + world.chance.within(world.timing.shutdown, "machine-shutdown", instance.uid)
        instance.ends_as = "off"
    else:
        instance.ends_s, instance.ends_as = at_s + instance.spec.shutdown_timeout_s, "crashed"


def end(state: ClusterState, machine: MachineRecord, *, at_s: float, ended: Ended, why: str = "") -> None:
    """Its instance has ended; its GPUs are free."""
    instance = machine.instance
    if instance is None or instance.ended:
        return
    instance.ended, instance.ended_s, instance.why = ended, at_s, why
    instance.asks_to_leave = False
    state.freed_s = max(state.freed_s, at_s)
    if instance.is_told or _wants(machine) != "Once":
        instance.gone_s = at_s + GONE_S


def blocked(state: ClusterState, spec: MachineSpec) -> bool:
    """Whether no pod is made of it: a device that is not permitted, or a quota."""
    return any(name not in state.permitted for name in spec.gpus) or over_quota(state, spec)


def over_quota(state: ClusterState, spec: MachineSpec) -> bool:
    """Whether the pods of its namespace may not ask for its GPUs too."""
    limit = state.gpu_quotas.get(spec.namespace)
    if limit is None:
        return False
    bound = [instance.spec for _, instance in state.instances() if instance.node]
    asked = sum(len(each.gpus) for each in bound if each.namespace == spec.namespace)
    return asked + len(spec.gpus) > limit


def _wants(machine: MachineRecord) -> str:
    if machine.is_going or not machine.spec.is_to_run:
        return "Halted"
    return "Always" if machine.spec.is_restarted else "Once"


def _step(state: ClusterState, machine: MachineRecord, now_s: float, *, world: World) -> bool:
    """Whether anything happened to it."""
    instance = machine.instance
    if instance is None:
        return _make(state, machine, now_s, world=world)
    if instance.ended:
        return _let_go(machine, instance, now_s)
    if _wants(machine) == "Halted" and not instance.is_told:
        tell(state, machine, at_s=machine.changed_s, world=world)
        return True
    node = state.nodes.get(instance.node)
    if node is not None and not node.answers:
        return _removed_with_its_node(state, machine, now_s)
    if instance.ends_s is not None:
        if now_s >= instance.ends_s:
            end(state, machine, at_s=instance.ends_s, ended=instance.ends_as)
        return now_s >= instance.ends_s
    if not instance.node:
        return _bind(state, machine, instance, now_s, world=world)
    return instance.running_s is None and _start(state, machine, instance, now_s, world=world)


def _make(state: ClusterState, machine: MachineRecord, now_s: float, *, world: World) -> bool:
    if machine.is_going:
        del state.machines[machine.key]
        return True
    cannot_import = isinstance(machine.spec.disk, ImportedDisk) and not state.can_import_disks
    made_s = max(machine.changed_s, machine.retry_s or 0.0)
    if not machine.spec.is_to_run or cannot_import or now_s < made_s:
        return False
    machine.starts += 1
    uid = world.chance.uuid("instance", *machine.key, machine.starts, made_s)
    machine.instance = InstanceState(uid=uid, spec=machine.spec, made_s=made_s)
    machine.retry_s = None
    return True


def _let_go(machine: MachineRecord, instance: InstanceState, now_s: float) -> bool:
    if instance.gone_s is None and _wants(machine) != "Once":
        instance.gone_s = max(instance.ended_s, machine.changed_s) + GONE_S
    if instance.gone_s is None or now_s < instance.gone_s:
        return False
    machine.instance, machine.changed_s = None, instance.gone_s
    return True


def _bind(state: ClusterState, machine: MachineRecord, instance: InstanceState, now_s: float, *, world: World) -> bool:
    bound_s = max(instance.made_s + BIND_S, state.freed_s)
    if now_s < bound_s or blocked(state, instance.spec):
        return False
    found = choose(state, instance.spec)
    if found is None:
        return False
    instance.node, instance.gpus = found
    instance.user_data = machine.spec.user_data
    instance.running_due_s = bound_s + world.chance.within(STARTS, "machine-start", instance.uid)
    return True


def _start(state: ClusterState, machine: MachineRecord, instance: InstanceState, now_s: float, *, world: World) -> bool:
    due_s = instance.running_due_s or now_s
    if getattr(instance.spec.disk, "image", "") in state.refused_images:
        instance.running_due_s = max(due_s, now_s + BIND_S)  # not before it is allowed
        return False
    if now_s < due_s:
        return False
    if state.failing_starts.get(machine.key, 0):
        _fail(state, machine, instance, due_s, world=world)
        return True
    machine.failures = 0
    instance.running_s = due_s
    behaviour = state.behaviour_of(machine.key)
    if behaviour.boots and behaviour.gets_address:
        state.addresses += 1
        instance.address = f"10.244.{state.addresses // 250 % 250}.{state.addresses % 250 + 1}"
        timing, chance = world.timing, world.chance
        instance.ssh_s = due_s + chance.within(timing.address, "machine-address", instance.uid)
        instance.ssh_s += chance.within(timing.ssh, "machine-ssh", instance.uid)
        instance.cloud_init_s = instance.ssh_s + chance.within(timing.cloud_init, "machine-cloud-init", instance.uid)
    return True


def _fail(state: ClusterState, machine: MachineRecord, instance: InstanceState, at_s: float, *, world: World) -> None:
    state.failing_starts[machine.key] -= 1
    machine.failures += 1
    end(state, machine, at_s=at_s, ended="crashed", why="the launcher ended before the guest ran")
    if _wants(machine) != "Always":
        return
    delay_s = 10.0 * machine.failures**2 * (1.0 + world.chance.fraction("back-off", instance.uid) / 2)
    machine.retry_s = at_s + min(BACK_OFF_MOST_S, delay_s)


def _removed_with_its_node(state: ClusterState, machine: MachineRecord, now_s: float) -> bool:
    node = state.nodes[machine.instance.node] if machine.instance else None
    if node is None or node.gone_since_s is None or now_s < node.gone_since_s + LOSS_S:
        return False
    end(state, machine, at_s=node.gone_since_s + LOSS_S, ended="crashed", why="NodeUnresponsive")
    return True
