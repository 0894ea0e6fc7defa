"""`hikube gpu vm …`."""
