"""`hikube store …`."""
