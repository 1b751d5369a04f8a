"""The node's clock: whom it asks, what it believes, how it gets from one time to another."""
