"""`hikube host …`."""
