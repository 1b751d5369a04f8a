"""When a keep-alive runs out, worked out instead of simulated.

While messages flow, every ping is answered and nothing needs to happen: a thousand poles for a week would be
twenty million pings that change nothing. Only once a path stalls do the two ends work out when the last ping
passed, and so when each of them would give up: the broker at 1.5 times the keep-alive after the last thing it
received (MQTT 5, 3.1.2.10), the client one keep-alive after a ping that was not answered (as paho does).
When the path heals, the ping that is due or waiting goes out at TCP's next try; if that is too late, the end gives
up as it would have.
"""

from __future__ import annotations

from simulator.network.delay import first_retransmission_after


class KeepAlive:
    """The keep-alive of one end of a connection; all times are true time in nanoseconds."""

    __slots__ = ("every_ns", "last_ns", "patience_ns")

    def __init__(self, *, every_ns: int, patience_ns: int, now_ns: int) -> None:
        self.every_ns = every_ns
        self.patience_ns = patience_ns
        self.last_ns = now_ns

    def gives_up_at(self, now_ns: int) -> int:
        """The path stalls now: when this end has had enough."""
        since_ns = max(0, now_ns - self.last_ns)
        self.last_ns += since_ns // self.every_ns * self.every_ns
        return self.last_ns + self.patience_ns

    def is_saved(self, now_ns: int) -> bool:
        """The path heals now: whether the ping passes before this end gives up."""
        ping_ns = self.last_ns + self.every_ns
        passes_ns = ping_ns if ping_ns > now_ns else first_retransmission_after(ping_ns, now_ns)
        if passes_ns > self.last_ns + self.patience_ns:
            return False
        self.last_ns = min(passes_ns, now_ns)
        return True
