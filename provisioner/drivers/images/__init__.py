"""Base images from URL to a checked local file, and the NoCloud seed as an ISO image."""
