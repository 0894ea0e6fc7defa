"""The rows of the reference pages that come from the tables; `python -m tests.unit.model.reference_pages` prints them."""

from __future__ import annotations

from provisioner.model.quantities import MIB, format_bytes
from provisioner.model.tables import Tables


def gpu_rows(tables: Tables) -> list[str]:
    rows = []
    for model in tables.gpus.models:
        memory = f"{model.memory_gib} GiB" if model.memory_gib else "–"
        aliases = ", ".join(f"`{alias}`" for alias in model.aliases) or "–"
        shorts = ", ".join(f"`{short}`" for short in model.short_names)
        proof = (
            "PCI ids" if not model.is_nvidia else "nvidia-smi, open modules only" if model.needs_open_modules else "nvidia-smi"
        )
        ids = ", ".join(f"`{identifier}`" for identifier in model.ids)
        rows.append(f"| {model.display_name} | `{model.name}` | {shorts} | {aliases} | {ids} | {memory} | {proof} |")
    return rows


def instance_type_rows(tables: Tables) -> list[str]:
    types = tables.instance_types.values()
    return [f"| `{kind.name}` | {kind.vcpus} | {format_bytes(kind.memory_mib * MIB)} |" for kind in types]


def image_rows(tables: Tables) -> list[str]:
    return [
        f"| `{name}` | {image.spec.min_storage} | `{image.spec.default_user}` | {image.spec.distribution} |"
        for name, image in tables.images.items()
    ]


def profile_rows(tables: Tables) -> list[str]:
    return [f"| `{name}` | {f'`{profile.image}`' if profile.image else '–'} |" for name, profile in tables.profiles.items()]


if __name__ == "__main__":
    for rows in (gpu_rows, instance_type_rows, image_rows, profile_rows):
        print("\n".join(rows(Tables.builtin())), end="\n\n")
