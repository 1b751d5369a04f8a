"""The bench: one device, a broker and a controller of its own, and a sheet of what it did right."""
