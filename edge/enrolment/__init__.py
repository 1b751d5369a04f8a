"""How a unit comes by its identity, and what it knows of it."""
