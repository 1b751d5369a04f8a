"""Synchronous playout in virtual time: what is emulated, the peer's method beside it, how it is measured."""
