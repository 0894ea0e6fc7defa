"""From one store to another, with everything that an object is; see moving.py. Nothing on a host is touched by it."""
