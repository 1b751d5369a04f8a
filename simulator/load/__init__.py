"""Load: thousands of light listeners in one process, for measuring the broker and the controller."""
