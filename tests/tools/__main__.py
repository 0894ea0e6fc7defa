"""`python -m tests.tools`: build what is absent and say what happens, on stderr. Exit 1 if something could not be built."""

from __future__ import annotations

import sys

from tests.tools import binaries
from tests.tools.build import BuildFailed, build


def _say(line: str) -> None:
    sys.stderr.write(f"tools: {line}\n")
    sys.stderr.flush()


def main() -> int:
    """One line if there is nothing to do."""
    try:
        build(_say)
    except BuildFailed as error:
        _say(str(error))
        return 1
    folders = sorted({str(place.parent) for program in binaries.PACKAGES if (place := binaries.find(program)) is not None})
    _say(f"{', '.join(binaries.PACKAGES)} are in {' and '.join(folders)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
