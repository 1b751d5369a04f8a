"""The flight recorder: what is written of a node's life, so that it can be replayed."""
