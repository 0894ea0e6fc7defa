"""`hikube disk …`."""
