"""The one seeded generator, parted into named streams that do not disturb each other.

A consumer asks for a stream by name; its numbers depend on the seed and that name alone, so a new consumer
shifts nobody else's. Names are hashed by BLAKE2, never by Python's `hash`, which differs between processes.

Rule kept: only operations that every machine computes alike (integers, comparison, IEEE 754 addition and
multiplication). No logarithm, no exponential: their last digit depends on the C library, and one digit is
enough to make two machines replay two different provinces.
"""

from __future__ import annotations

import hashlib
import random
from typing import Final

_SEED_BYTES: Final = 16
PARTS_PER_MILLION: Final = 1_000_000


class Chance(random.Random):
    """A stream of random numbers with the few distributions that the fakes need, all in integers."""

    def exponential(self) -> float:
        """A draw from the exponential distribution of mean 1.

        Von Neumann's comparison method (1951; Knuth, TAOCP 2, 3.4.1): runs of falling uniforms, no logarithm.
        """
        draw = self.random
        whole = 0
        while True:
            first = previous = draw()
            is_odd = True
            while (following := draw()) < previous:
                previous = following
                is_odd = not is_odd
            if is_odd:
                return whole + first
            whole += 1

    def exponential_ns(self, mean_ns: int) -> int:
        """A whole number of nanoseconds, exponential around its mean."""
        return int(self.exponential() * mean_ns)

    def gamma_ns(self, mean_ns: int, shape: int) -> int:
        """Gamma-distributed nanoseconds of a whole shape: the sum of `shape` exponentials."""
        total = 0.0
        for _ in range(shape):
            total += self.exponential()
        return int(total * mean_ns / shape)

    def happens(self, parts_per_million: int) -> bool:
        """Whether something of this probability happens now; draws nothing where it is impossible."""
        return parts_per_million > 0 and self.random() * PARTS_PER_MILLION < parts_per_million

    def within(self, least: int, most: int) -> int:
        """A whole number from `least` to `most`, both possible, without `randrange`'s changes between versions."""
        return least + int(self.random() * (most - least + 1))


def stream_of(seed: int, name: str) -> Chance:
    """The stream that this seed and this name always give."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=_SEED_BYTES).digest()
    return Chance(int.from_bytes(digest))
