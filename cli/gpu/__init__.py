"""`hikube gpu …`, as far as it is about single GPUs: what they are, who had them, in and out of service."""
