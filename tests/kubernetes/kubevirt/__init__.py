"""A stand-in for KubeVirt on a real API server: virt-api, virt-controller, and the nodes with their guests.

        clients  ->  kube-apiserver  ->  virt_api (webhooks, subresources)        kube-scheduler, kube-controller-manager: real
                        ^   ^   ^
        machines (VM) --+   |   +-- node_side, kubelet, nodes (virt-handler, launcher, guests)
        instances (VMI) ----+

KubeVirt's own definitions and the scheduler's own decisions, under controllers that are level-triggered and quick. Decisions
are pure (run_strategy, printable_status, machine_status, instance_status, back_off, overhead, *_rules, subresources); loops
read and write. Order, words and failures are those of the observed KubeVirt, v1.9.0-beta.0-1264.

Not played: live migration, DataVolumes beyond their absence, network attachments, WaitAsReceiver, pause, `expand-spec`,
`guestosinfo`, `status.deviceStatus` (the definitions have no such field), `cpu.cores: 0`, preference requirements, the words of
ResourceQuotas, PodDisruptionBudgets, a virt-handler that is down alone. Not known, and chosen: identifiers that a later write
leaves out are kept; the `reason` of a cause.
"""
