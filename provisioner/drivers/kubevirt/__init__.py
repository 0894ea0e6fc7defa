"""Machines on KubeVirt: VirtualMachine objects written and looked at through the API server of their cluster.

    connector ──> cluster ──┬─ survey      nodes, what pods hold of them, permitted devices
                            ├─ applying    the VirtualMachine and its Secret, by server-side apply
                            ├─ looking     objects of one machine, or of all ──> reading (pure): state, trouble
                            ├─ ending      restart, destroy, remove
                            └─ feed        watches ──> host events
                                  all through api: JSON, time limits, a bounded rate

What KubeVirt really does, and so what each rule here stands on, is in docs/reference/kubevirt.md.
"""
