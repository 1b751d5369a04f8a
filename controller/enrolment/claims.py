"""Claim codes: what proves, once, that a box was sent to its place by somebody who may.

A code has 80 bits and is kept only as its hash, which is found by looking it up: no code that is guessed tells
anything about another. Guesses are bounded for each address and for all together, in a sliding window; whoever
passes the bound is told so and when to come back. Making codes needs chance and is the rim's duty.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from protocol.enrolment import read_grouped

CODE_BYTES: Final = 10
"""80 bits of chance: beyond guessing even at millions of tries a second for years."""
GUESSES_PER_ADDRESS_MAX: Final = 10
"""A technician's slips of the finger, and no more."""
GUESSES_MAX: Final = 1_000
"""From all addresses together: a fleet of strangers is refused too; approval by label still works."""
GUESS_WINDOW_MS: Final = 3_600_000
ADDRESSES_MAX: Final = 4_096
"""Addresses remembered; past it the one that was silent for longest is forgotten."""
_IPV6_HOME_BITS: Final = 64
"""One subscriber has this many addresses of IPv6; they count as one."""


def claim_hash(code: str) -> str | None:
    """The hash under which a code is kept; None for what can be no code."""
    plain = read_grouped(code)
    return None if plain is None else hashlib.sha256(plain.encode()).hexdigest()


def address_group(address: str) -> str:
    """What counts as one address: an IPv4 address, or a subscriber's network of IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        if mapped is not None:
            return str(mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_HOME_BITS), strict=False))
    return str(parsed)


@dataclass(slots=True)
class GuessLimits:
    """Wrong codes of the last hour, by address and together."""

    per_address_max: int = GUESSES_PER_ADDRESS_MAX
    all_max: int = GUESSES_MAX
    window_ms: int = GUESS_WINDOW_MS
    _by_address: dict[str, deque[int]] = field(default_factory=dict)
    _all: deque[int] = field(default_factory=deque)

    def wait_ms(self, address: str, now_ms: int) -> int:
        """0 when this address may try a code now; else how long it has to wait."""
        group = address_group(address)
        own = self._by_address.get(group, deque())
        waits = [
            tries[-most] + self.window_ms - now_ms
            for tries, most in ((own, self.per_address_max), (self._all, self.all_max))
            if len(tries) >= most
        ]
        return max(0, *waits) if waits else 0

    def wrong(self, address: str, now_ms: int) -> None:
        """A code was wrong."""
        group = address_group(address)
        own = self._by_address.pop(group, None) or deque(maxlen=self.per_address_max)
        own.append(now_ms)
        self._by_address[group] = own  # the latest stands last
        while len(self._by_address) > ADDRESSES_MAX:
            del self._by_address[next(iter(self._by_address))]
        self._all.append(now_ms)
        while len(self._all) > self.all_max:
            self._all.popleft()
