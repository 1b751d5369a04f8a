"""What goes wrong in a run: a seeded plan of faults, and who carries each out."""
