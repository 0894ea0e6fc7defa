"""Decisions: which host and GPUs, what hardware layout, what time budget; or exactly why not.

Pure functions of a snapshot. `--dry-run`, "why is it pending?" and the reconciler call the same functions.
"""
