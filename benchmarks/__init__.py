"""What hikube costs beside what it is made of: each benchmark runs hikube and a bare script on the same machine, in one run.

    python -m benchmarks control-plane      its store, steps and checks beside raw libvirt calls, on libvirt's test driver
    python -m benchmarks box                apply-to-proven beside a bare script, in the GPU host in a box

The machine is shared and noisy, so both sides alternate and the median counts. Numbers and their meaning are in
docs/explanation/costs.md.
"""
