"""The `hikube` command: one module per noun; each parses, calls what is below, renders. No decision is made here."""
