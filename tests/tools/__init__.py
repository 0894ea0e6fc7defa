"""Programs of other projects that the tests run, pinned in `go.mod` and built here: no registry in reach has them as binaries.

Standard library only: `scripts/tools` needs nothing but a Python with pip. Nothing of hikube is imported, or written in Go.
"""
