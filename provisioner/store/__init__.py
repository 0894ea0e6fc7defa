"""Where resources live. One protocol; SQLite is the embedded default. Siblings of the drivers: neither imports the other."""
