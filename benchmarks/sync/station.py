"""The controller's end: shared time, answers about it, a stream's packets. Signatures are real, the clock is a sum.

Sound is the ruler's pattern in packets of 100 ms as relays send them, each sent the group's delay before its first
sample is due. The stream's own timeline stays where it began when the controller's clock is set, as its sample index
says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.sync.cases import Disturbance, Kind
from benchmarks.sync.ruler import FRAMES_A_PERIOD, PERIOD_SAMPLES
from protocol.clock_sync import TIME_REPLY, open_request, seal_reply
from protocol.envelope import signer_from_private_key
from protocol.keyring import Keyring
from protocol.messages import BroadcastClass, KeyScope, OperationalKey, Reality
from protocol.stream import AudioPacket
from protocol.units import FRAME_MS, FRAME_SAMPLES, NS_PER_MS, NS_PER_S, SAMPLE_RATE_HZ, SharedNs
from simulator.world import World

STREAM: Final = "5f" * 8
FRAMES_A_PACKET: Final = 5
PACKET_NS: Final = FRAMES_A_PACKET * FRAME_MS * NS_PER_MS
GROUP_DELAY_NS: Final = NS_PER_S
"""What relays have by default, and the peer's buffer."""
YEARS_MS: Final = 10 * 365 * 24 * 3_600_000


class Station:
    """Shared time, the time service, the sender; `starts_ns` is when the first sample is due, by true time."""

    def __init__(
        self,
        world: World,
        *,
        starts_ns: int,
        frames: tuple[bytes, ...],
        disturbances: tuple[Disturbance, ...] = (),
    ) -> None:
        self.starts_ns: Final = starts_ns
        self._world = world
        self._frames: Final = frames
        self._steps: Final = tuple(
            (starts_ns + round(each.at_s * NS_PER_S), round(each.by_ms * NS_PER_MS))
            for each in disturbances
            if each.kind is Kind.SHARED_STEP
        )
        key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        self._signer: Final = signer_from_private_key("time", key)
        self.keyring: Final = _keyring(key, world.now_ns // NS_PER_MS)

    def shared_ns(self, true_ns: int) -> SharedNs:
        """Shared time at a true instant."""
        return SharedNs(true_ns + sum(by_ns for at_ns, by_ns in self._steps if at_ns <= true_ns))

    def grid_place(self, true_ns: float) -> float:
        """Which grid sample should sound at a true instant, modulo the pattern's period."""
        whole = int(true_ns)
        return (self.shared_ns(whole) * SAMPLE_RATE_HZ / NS_PER_S + (true_ns - whole) * 48e-6) % PERIOD_SAMPLES

    def answer(self, topic: str, payload: bytes, reply: Callable[[str, bytes], None]) -> None:
        """A question about the time came."""
        question = open_request(payload, at=topic)
        now_ns = self.shared_ns(self._world.now_ns)
        reply(question.reply_topic, seal_reply(question, received=now_ns, transmitted=now_ns, signer=self._signer))

    def send(self, lasts_ns: int, deliver: Callable[[AudioPacket], None]) -> None:
        """Send the stream, packet by packet, from now on, and on for as long as the group's delay."""
        for number in range((lasts_ns + 2 * GROUP_DELAY_NS) // PACKET_NS):
            at_ns = self.starts_ns - GROUP_DELAY_NS + number * PACKET_NS
            self._world.at(at_ns, lambda n: deliver(self._packet(n)), number)

    def _packet(self, number: int) -> AudioPacket:
        first = number * FRAMES_A_PACKET
        return AudioPacket(
            stream=STREAM,
            epoch=1,
            sequence=number,
            first_sample=first * FRAME_SAMPLES,
            play_at_ns=SharedNs(self.starts_ns + number * PACKET_NS),
            frames=tuple(self._frames[(first + index) % len(self._frames)] for index in range(FRAMES_A_PACKET)),
        )


def _keyring(key: Ed25519PrivateKey, now_ms: int) -> Keyring:
    scope = KeyScope(
        document_types=(TIME_REPLY,), areas=("*",), classes=tuple(BroadcastClass), realities=(Reality.REAL,)
    )
    operational = OperationalKey(
        key_id="time",
        public_key=key.public_key().public_bytes_raw(),
        scope=scope,
        not_before_ms=now_ms - YEARS_MS,
        expires_at_ms=now_ms + YEARS_MS,
    )
    return Keyring(version=1, keys={"time": operational})


def start_of(world: World, known_ns: int) -> int:
    """When the first sample is due: `known_ns` from now, where the pattern begins anew on the grid."""
    period_ns = FRAMES_A_PERIOD * FRAME_MS * NS_PER_MS
    return -(-(world.now_ns + known_ns) // period_ns) * period_ns
