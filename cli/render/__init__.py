"""Pure rendering: data in, text out. Nothing here reads a store, a clock or a terminal."""
