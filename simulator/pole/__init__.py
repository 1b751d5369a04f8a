"""One pole in virtual time: its machine, its box, and every device in it, with their physics."""
