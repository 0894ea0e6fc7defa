"""What goes into a guest: its NoCloud seed, and the report command that answers for it.

The seed's texts are made here and are a function of their arguments; the ISO image around them is made by drivers.images.seed.
"""

from templates.guest.host_key import pinned_host_key
from templates.guest.seed import DriverInstall, SeedContent, SeedPlan, restricted_key_line, seed_content

__all__ = ["DriverInstall", "SeedContent", "SeedPlan", "pinned_host_key", "restricted_key_line", "seed_content"]
