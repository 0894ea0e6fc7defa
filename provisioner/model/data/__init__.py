"""Tables that hikube knows by itself: GPUs, instance types, golden images, instance profiles. Read by model.tables."""
