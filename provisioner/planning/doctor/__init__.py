"""Whether a host and its GPUs can be used for passthrough, and exactly why not: a pure function of what was seen.

    GPUHost (survey, spec) ─┐
    HostExamination        ─┼─ every check of `table.CHECKS` ─> Diagnosis: findings, what passed, what could not be known
    owned addresses        ─┘

The same checks answer `hikube host doctor`, the step `examine` of a host, and the preflight before a bind. One rule counts for
all of them (`diagnosis.blocking`): a GPU with an error of its own, or on a host with an error, is not handed out. Nothing here
looks at a host, keeps anything, or changes a driver; a fact that could not be read is "not known", never "fine".
"""
