"""What is fuzzed: one decoder of bytes from outside, the errors that it declares, real messages to begin from.

The same targets are tried by hypothesis in each run of the tests (`test_targets`) and by atheris, which is led by the
code that it reaches, as long as one likes (`./scripts/test --fuzz SECONDS`, `run`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

BYTES_MAX = 20_000
"""Beyond the largest message (16 KiB), so that the bound itself is reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`decode` may raise `declared` and nothing else; `seeds` makes real messages when it is asked to."""

    name: str
    decode: Callable[[bytes], object]
    declared: tuple[type[Exception], ...]
    seeds: Callable[[], Sequence[bytes]]

    def run(self, data: bytes) -> bool:
        """Whether the bytes were taken; lets through what must never be raised."""
        try:
            self.decode(data)
        except self.declared:
            return False
        return True
