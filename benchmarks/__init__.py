"""What hikube costs: beside a bare script on the same machine, in one run; and how that grows with the fleet.

    python -m benchmarks control-plane      its store, steps and checks beside raw libvirt calls, on libvirt's test driver
    python -m benchmarks fleet              how time, CPU and memory grow with the fleet, in virtual time
    python -m benchmarks box                apply-to-proven beside a bare script, in the GPU host in a box

The machine is shared and noisy, so sides alternate and the median, or for growth the least, counts. Numbers and their meaning
are in docs/explanation/costs.md.
"""
