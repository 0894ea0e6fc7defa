"""A whole fleet from one seed: the production control plane in one thread and virtual time, with trouble at every seam.

    scenario ──seed──> plan: happenings, as data                       what users do, what operators do, what breaks
                          │ each at its time, between two passes or between two port calls of one
                          v
    Universe   clock, hosts, store, controller processes                 every port call passes through `moments`
                          │ after every pass and every happening
                          v
    checks     safety: what must never be so;  liveness: what must be so in the end, once trouble has stopped
                          │
                          v
    Trial      one seed to its end, or the first Violation ──> shrinking: the shortest plan found that still fails

    python -m tests.simulation --seeds 1000            many seeds, on every core; exit 1 if one fails
    python -m tests.simulation --seed 17 --trace       one of them, with what happens in it

Nothing here may ask the machine for time, randomness or identifiers, nor start a thread: the same seed is the same run, in any
process. The code under test is the production code; twins stand at the edges only.
"""
