"""GPUQuota as operators write it: models by any name of the catalogue, which only hikube knows; numbers; labels."""

from __future__ import annotations

from provisioner.model.door.gpu_quota import MOST_GPUS, MOST_MODELS
from provisioner.store.kubernetes.crds.patches import RULES, Patch, below
from provisioner.store.kubernetes.crds.shapes import described, rule

_SPEC: dict[str, Patch] = {
    "": {
        RULES: [
            rule(
                "has(self.hard) && self.hard.size() > 0 || has(self.hostSelector) && self.hostSelector.size() > 0",
                "a quota that says nothing limits nothing; say hard, hostSelector or both",
            )
        ]
    },
    "hard": described(
        "The most GPUs, by model (a resource name such as nvidia.com/AD102GL_L40S, or a short name such as L40S), and by"
        " gpus of all models together. Models that are not named are not limited by themselves.",
        maxProperties=MOST_MODELS,
        rules=[
            rule(
                "self.all(name, name.size() > 0 && name.size() <= 253)",
                "a model has a name of at most 253 characters",
            ),
            rule(
                "!self.exists(name, name.size() <= 20 && name.lowerAscii() in ['gpu', 'all', 'any', 'nvidia.com/gpu'])",
                "this names no model of GPU; all models together are called gpus",
            ),
        ],
    ),
    "hard{}": {"minimum": 0, "maximum": MOST_GPUS},
    "hostSelector": {"maxProperties": 64},
    "hostSelector{}": {"maxLength": 63},
}

GPU_QUOTA = (below("spec", _SPEC),)
