"""What a link does to a message: delay, jitter, spikes, loss; and the links that poles really have.

Loss never removes a message here: below MQTT there is TCP, for which a lost segment is a wait for its
retransmission (RFC 6298: at least 200 ms on Linux, doubled each time). The mobile figures are those that
player.md measures with: 18 ms up, 12 ms down, gamma jitter of mean 12 and 6 ms, 2 % spikes of mean 120 ms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from simulator.chance import Chance

NS_PER_MS: Final = 1_000_000
RETRANSMIT_NS: Final = 200 * NS_PER_MS
"""Linux's least retransmission timeout (TCP_RTO_MIN)."""
RETRANSMIT_NS_MAX: Final = 120_000 * NS_PER_MS
"""Linux's longest (TCP_RTO_MAX)."""
_LOSSES_IN_A_ROW_MAX: Final = 9
"""200 ms doubled nine times is 102 s: any keep-alive has given up by then."""
SEGMENT_BYTES: Final = 1_400
"""Payload of one segment below mobile networks' MTU."""
SEGMENT_OVERHEAD_BYTES: Final = 114
"""A segment's IP, TCP (timestamps) and TLS record headers, and the acknowledgement that comes back: 52 + 22 + 40."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayModel:
    """One direction of a link: a fixed delay, gamma jitter of a whole shape, now and then a spike."""

    fixed_ns: int = 0
    jitter_mean_ns: int = 0
    jitter_shape: int = 2
    spike_ppm: int = 0
    spike_mean_ns: int = 0
    loss_ppm: int = 0

    def sample_ns(self, chance: Chance, segments: int) -> int:
        """How long a message of so many segments takes, waits for retransmissions included."""
        total = self.fixed_ns
        if self.jitter_mean_ns:
            total += chance.gamma_ns(self.jitter_mean_ns, self.jitter_shape)
        if self.spike_ppm and chance.happens(self.spike_ppm):
            total += chance.exponential_ns(self.spike_mean_ns)
        if self.loss_ppm:
            losses = 0
            while losses < _LOSSES_IN_A_ROW_MAX and chance.happens(self.loss_ppm * (1 if losses else segments)):
                total += RETRANSMIT_NS << losses
                losses += 1
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """A machine's access to the network.

    Bandwidths of 0 are unlimited. `data_cap_bytes` is the SIM's volume (None: none); beyond it the operator
    throttles to `after_cap_bps`, or with 0 cuts the SIM off until `renew_data`.
    """

    up: DelayModel = field(default_factory=DelayModel)
    down: DelayModel = field(default_factory=DelayModel)
    up_bps: int = 0
    down_bps: int = 0
    data_cap_bytes: int | None = None
    after_cap_bps: int = 0


DATA_CENTRE: Final = AccessSettings(up=DelayModel(fixed_ns=200_000), down=DelayModel(fixed_ns=200_000))
"""The controller beside its broker."""
WIRED: Final = AccessSettings(
    up=DelayModel(fixed_ns=5 * NS_PER_MS, jitter_mean_ns=300_000, loss_ppm=100),
    down=DelayModel(fixed_ns=5 * NS_PER_MS, jitter_mean_ns=300_000, loss_ppm=100),
    up_bps=50_000_000,
    down_bps=100_000_000,
)
"""A village's fibre line."""
MOBILE: Final = AccessSettings(
    up=DelayModel(
        fixed_ns=18 * NS_PER_MS,
        jitter_mean_ns=12 * NS_PER_MS,
        spike_ppm=20_000,
        spike_mean_ns=120 * NS_PER_MS,
        loss_ppm=2_000,
    ),
    down=DelayModel(
        fixed_ns=12 * NS_PER_MS,
        jitter_mean_ns=6 * NS_PER_MS,
        spike_ppm=20_000,
        spike_mean_ns=120 * NS_PER_MS,
        loss_ppm=2_000,
    ),
    up_bps=5_000_000,
    down_bps=15_000_000,
)
"""A 4G SIM on a pole."""


def first_retransmission_after(blocked_from_ns: int, now_ns: int) -> int:
    """When TCP tries again after `now_ns`, having tried in vain since `blocked_from_ns` with doubling waits."""
    attempt_ns, wait_ns = blocked_from_ns, RETRANSMIT_NS
    while attempt_ns <= now_ns:
        attempt_ns += wait_ns
        wait_ns = min(2 * wait_ns, RETRANSMIT_NS_MAX)
    return attempt_ns
