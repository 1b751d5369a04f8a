"""Loopback ports that only one demo takes, however many begin in the same second.

A port that is found free is taken by its server only later; until then another demo would find it free too. So each
demo claims its ports beside: a name in the kernel's own room (an abstract socket) that one process can hold, and that
is gone with it. Leaves other programs to the probe; against those nothing helps but to begin again.
"""

from __future__ import annotations

import socket
from typing import Final

from simulator.demo.broker import BrokerError, free_port

TRIES: Final = 20
"""Ports that the kernel proposes until one is nobody's; more than one try is rare."""


class PortClaims:
    """The ports of one demo, from `claim` to `release`."""

    def __init__(self) -> None:
        self._claims: list[socket.socket] = []

    def claim(self, preferred: int = 0) -> int:
        """A port that is free and no other demo's; the preferred one if it is. Raises BrokerError."""
        for candidate in (preferred, *[0] * TRIES):
            port = free_port(candidate)
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(f"\0loaxa-demo-port-{port}")
            except OSError:
                claim.close()
            else:
                self._claims.append(claim)
                return port
        raise BrokerError("other demos have claimed every port that was found free; end one of them")

    def release(self) -> None:
        """Let others have them."""
        for claim in self._claims:
            claim.close()
        self._claims.clear()
