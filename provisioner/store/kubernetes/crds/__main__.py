"""`python -m provisioner.store.kubernetes.crds [--check] [DIRECTORY]`: write the definitions, or say which files differ."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from provisioner.store.kubernetes.crds import documents

_DIRECTORY = Path("deploy/crds")


def main() -> int:
    """Exit status 1 if `--check` found a file that differs."""
    parser = argparse.ArgumentParser(prog="python -m provisioner.store.kubernetes.crds", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file is not as it should be")
    parser.add_argument("directory", nargs="?", type=Path, default=_DIRECTORY)
    options = parser.parse_args()
    changed = documents.differences(options.directory) if options.check else documents.write(options.directory)
    for path in changed:
        sys.stdout.write(f"{path} {'differs' if options.check else 'written'}\n")
    return 1 if options.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
