"""A fleet: hundreds of real agents in one process, in wall-clock time, on a real broker and controller."""
