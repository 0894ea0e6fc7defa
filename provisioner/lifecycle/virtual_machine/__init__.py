"""The life of a GPU VM: table.py is its table of contents, each step has a file, reconciler.py decides which way to run."""
