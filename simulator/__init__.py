"""A province on one machine: the demo, and the means to measure it."""
