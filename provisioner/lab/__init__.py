"""The GPU host in a box: images, machines, access."""
