"""The guest over SSH: keys, the pinned host key, the one command that we may run there."""
