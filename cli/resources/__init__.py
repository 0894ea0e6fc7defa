"""The verbs that work on every kind: apply, validate, get, describe, delete, wait, events, explain."""
