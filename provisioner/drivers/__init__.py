"""The edges: hypervisors, images, guests. Each seam is a Protocol with a real implementation and a simulated twin.

Only these modules touch the outside, and only they translate its exceptions into provisioner.model.errors.
"""
