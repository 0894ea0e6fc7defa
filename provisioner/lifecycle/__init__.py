"""How a resource gets from wanted to real: tables of small steps, the queue that drives them, the reconcilers.

Everything here works through the protocols of store and drivers; nothing relies on memory of an earlier run.
"""
