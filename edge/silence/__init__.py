"""What keeps a node silent, by order or by its button."""
