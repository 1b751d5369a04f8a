"""How soon somebody may try a password or a code again.

Each failure makes the next attempt wait longer, up to a cap, and is forgotten after a while. Three counts are kept
for an attempt: the account from this network, the network, and the account from everywhere that is not known. A device
from which the person has logged in before has a count of its own and no other: strangers who guess an account's
password delay one another, never its owner at the usual desk. No account is ever locked.

Rules kept: an attempt counts as failed from its beginning, so that a hundred at once are not one; memory is bounded,
the count that was touched longest ago goes first. Pure: the caller says what time it is.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

COUNTS_MAX: Final = 20_000
"""Counts that are remembered: about 4 MiB."""
FORGET_MS: Final = 3_600_000
"""A count at which nothing happened for an hour begins anew."""
IPV6_NETWORK_BITS: Final = 64
"""What one household or one server is given at least; its addresses are as many as it likes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Failures that cost nothing, the first delay, and the longest; each failure more doubles the delay."""

    free: int
    first_ms: int
    longest_ms: int

    def delay_ms(self, failures: int) -> int:
        """What follows after so many failures."""
        if failures < self.free:
            return 0
        return min(self.longest_ms, self.first_ms << min(failures - self.free, 32))


OWN_DEVICE: Final = Patience(free=5, first_ms=1_000, longest_ms=60_000)
"""The owner's fingers slip; a thief of the device gets 1,440 guesses a day at most."""
ACCOUNT_FROM_NETWORK: Final = Patience(free=3, first_ms=1_000, longest_ms=900_000)
"""At most 96 guesses a day against one account from one network."""
NETWORK: Final = Patience(free=20, first_ms=1_000, longest_ms=300_000)
"""An office behind one address: twenty people may err at once."""
ACCOUNT_FROM_ANYWHERE: Final = Patience(free=30, first_ms=1_000, longest_ms=60_000)
"""Guessing spread over many networks; the cap is what the owner waits on a new device at most."""

Key = tuple[str, ...]


@dataclass(slots=True)
class _Count:
    failures: int
    not_before_ms: int
    touched_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt: whose account, from which address, on which device if that is known to be the account's.

    "" is nobody's account: what cannot be guessed (a passkey) is measured by its network alone.
    """

    account: str
    address: str
    known_device: str | None = None

    def counts(self) -> tuple[tuple[Key, Patience], ...]:
        """What it is measured by."""
        if self.known_device is not None:
            return ((("device", self.account, self.known_device), OWN_DEVICE),)
        network = network_of(self.address)
        if not self.account:
            return ((("network", network), NETWORK),)
        return (
            (("account", self.account, network), ACCOUNT_FROM_NETWORK),
            (("network", network), NETWORK),
            (("anywhere", self.account), ACCOUNT_FROM_ANYWHERE),
        )


class Throttle:
    """All counts of one process."""

    def __init__(self, *, counts_max: int = COUNTS_MAX) -> None:
        self._counts: OrderedDict[Key, _Count] = OrderedDict()
        self._counts_max = counts_max

    def __len__(self) -> int:
        return len(self._counts)

    def begin(self, attempt: Attempt, now_ms: int) -> int:
        """0 where it may be tried now, and it counts as failed; else how long to wait, and nothing is counted."""
        counts = attempt.counts()
        wait_ms = max(self._wait_ms(key, now_ms) for key, _ in counts)
        if wait_ms > 0:
            return wait_ms
        for key, patience in counts:
            self._fail(key, patience, now_ms)
        return 0

    def succeed(self, attempt: Attempt) -> None:
        """It was right: the account's counts are forgotten; the network keeps its own, less this attempt."""
        for key, _ in attempt.counts():
            if key[0] != "network":
                self._counts.pop(key, None)
            elif key in self._counts:
                self._counts[key].failures = max(0, self._counts[key].failures - 1)
                self._counts[key].not_before_ms = 0

    def _wait_ms(self, key: Key, now_ms: int) -> int:
        count = self._counts.get(key)
        return 0 if count is None else max(0, count.not_before_ms - now_ms)

    def _fail(self, key: Key, patience: Patience, now_ms: int) -> None:
        count = self._counts.get(key)
        if count is None or now_ms - count.touched_ms > FORGET_MS:
            count = _Count(failures=0, not_before_ms=0, touched_ms=now_ms)
        count.failures += 1
        count.touched_ms = now_ms
        count.not_before_ms = now_ms + patience.delay_ms(count.failures)
        self._counts[key] = count
        self._counts.move_to_end(key)
        while len(self._counts) > self._counts_max:
            self._counts.popitem(last=False)


def network_of(address: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_NETWORK_BITS), strict=False))
    return str(parsed)
