"""The keys of a province: sealed key files, the root's ceremonies, keysets, and what a signer may be asked for."""
