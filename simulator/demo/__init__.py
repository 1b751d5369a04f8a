"""The demo: real processes on one machine, and an independent listener."""
