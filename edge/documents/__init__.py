"""The signed documents that a node obeys: which are believed, which are in force, which wait."""
