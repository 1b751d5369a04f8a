"""The judges of a simulated province, one subject a file."""
