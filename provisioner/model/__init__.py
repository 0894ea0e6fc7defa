"""What hikube talks about: resources, quantities, the GPU catalogue, errors and time.

Pure: no input or output, no clock, no randomness, no environment. Everything else imports this room; it imports nobody.
"""
