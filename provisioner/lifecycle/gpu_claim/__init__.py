"""The life of a GPUClaim after its VM: table.py is its table of contents, each step has a file, reconciler.py drives it."""
