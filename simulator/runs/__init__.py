"""Scenarios and their runs: what happens, what is expected, many seeds, the smallest that fails."""
