"""How far apart two neighbours' clocks are by the exchange alone, in virtual time, and what a burst costs.

Two nodes whose crystals are 100 ppm apart ask one service over lines like each other, with the product's pace, replies
and filter; every second of ten minutes of sound their clocks are compared, from the first second that both know. Beside
it Snapcast's method (median of the last 200 samples, one a second) on the same lines and crystals. Processor time is
that of one thread. Run: `./scripts/bench clock_filter`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.measure import print_table, quantile
from benchmarks.sync.cases import MOBILE, WIFI, WIRED, LinkModel
from benchmarks.sync.snapcast import MedianClock
from edge.clock.time_exchange import (
    EXCHANGE_BYTES,
    ActivityChanged,
    AskTime,
    Connected,
    ExchangeEvent,
    ReplyArrived,
    TimeExchange,
    Wake,
)
from protocol.clock_filter import WINDOW_BURSTS, ClockFilter
from protocol.clock_sync import TIME_REPLY, TimeSample, open_request, sample_of, seal_reply
from protocol.envelope import signer_from_private_key
from protocol.keyring import Keyring
from protocol.messages import BroadcastClass, KeyScope, OperationalKey, Reality
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, Now, SharedNs, TimeSource
from simulator.chance import Chance, stream_of

PPB: Final = 50_000
SOUND_S: Final = 600
SILENCES_S: Final = {"from cold": 0, "after an hour": 3_600}
PAIRS_DEFAULT: Final = 20
T0_NS: Final = 1_800_000_000 * NS_PER_S
KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER: Final = signer_from_private_key("time", KEY)
NONCE_BITS: Final = 63


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="clock_filter", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS_DEFAULT, help=f"pairs of each line ({PAIRS_DEFAULT})")
    pairs = parser.parse_args(argv).pairs
    rows = []
    for line in (WIRED, WIFI, MOBILE):
        for name, silence_s in SILENCES_S.items():
            rows.append(_row(f"{line.name}, {name}", [_pair(line, seed, silence_s) for seed in range(pairs)]))
        rows.append(_row(f"{line.name}, Snapcast's method", [_peers(line, seed) for seed in range(pairs)]))
    print_table("two neighbours' clocks apart, ms", rows, note=f"{pairs} pairs of 10 min, crystals at +50 and -50 ppm")
    print_table("processor time", [{"what": "a burst of 8 into a full window", "µs": f"{_filter_us():.0f}"}])
    return 0


def _row(what: str, runs: list[tuple[list[float], float]]) -> dict[str, str]:
    apart_ms = [each for run, _ in runs for each in run]
    kib = sum(each for _, each in runs) / len(runs)
    shares = {"p50": 0.5, "p95": 0.95, "p99.9": 0.999}
    shown = {name: f"{quantile(apart_ms, share):.3f}" for name, share in shares.items()}
    return {"line": what, **shown, "KB in the 10 min": f"{kib:.0f}" if kib else ""}


def _pair(line: LinkModel, seed: int, silence_s: int) -> tuple[list[float], float]:
    nodes = [Asker(line, ppb, stream_of(seed, f"node {ppb}")) for ppb in (PPB, -PPB)]
    errors = [node.listen(silence_s) for node in nodes]
    return [abs(one - other) for one, other in zip(*errors, strict=True)], nodes[0].sound_bytes / 1_000


class Asker:
    """One node: its exchange, its crystal, its line, and a service that answers at once."""

    def __init__(self, line: LinkModel, ppb: int, chance: Chance) -> None:
        self._line, self._ppb, self._chance = line, ppb, chance
        self._true_ns = 0
        self._asked_before = 0
        self._exchange = TimeExchange(node="N001", keyring=_keyring(), draw=lambda: chance.getrandbits(NONCE_BITS))

    @property
    def sound_bytes(self) -> int:
        """What was sent and received while something sounded."""
        return (self._exchange.asked - self._asked_before) * EXCHANGE_BYTES

    def listen(self, silence_s: int) -> list[float]:
        """How wrong it is in each second of sound, in ms, by true time."""
        self._happen(Connected())
        self._run_until(silence_s * NS_PER_S)
        self._asked_before = self._exchange.asked if silence_s else 0
        begins_ns = self._true_ns
        self._happen(ActivityChanged(is_active=True))
        errors = []
        for second in range(2, SOUND_S):
            self._run_until(begins_ns + second * NS_PER_S)
            raw_ns = self._raw_ns(begins_ns + second * NS_PER_S)
            estimate = self._exchange.filter.estimate(raw_ns)
            told_ns = 0 if estimate is None else raw_ns + estimate.offset_ns
            errors.append((told_ns - T0_NS - begins_ns - second * NS_PER_S) / NS_PER_MS)
        return errors

    def _run_until(self, true_ns: int) -> None:
        while (due := self._exchange.next_deadline()) is not None and due <= self._raw_ns(true_ns):
            while self._raw_ns(self._true_ns) < due:
                self._true_ns += max(1, (due - self._raw_ns(self._true_ns)) * 999 // 1_000)
            self._happen(Wake())
        self._true_ns = max(self._true_ns, true_ns)

    def _happen(self, event: ExchangeEvent) -> None:
        raw_ns = self._raw_ns(self._true_ns)
        now = Now(monotonic_ns=raw_ns, shared_ns=SharedNs(0), source=TimeSource.UNKNOWN)
        for effect in self._exchange.handle(event, now):
            if isinstance(effect, AskTime):
                self._answer(effect)

    def _answer(self, asked: AskTime) -> None:
        question = open_request(asked.payload, at=asked.topic)
        self._true_ns += self._line.up.sample_ns(self._chance, 1)
        told = SharedNs(T0_NS + self._true_ns)
        reply = seal_reply(question, received=told, transmitted=told, signer=SIGNER)
        self._true_ns += self._line.down.sample_ns(self._chance, 1)
        self._happen(ReplyArrived(topic=question.reply_topic, payload=reply))

    def _raw_ns(self, true_ns: int) -> MonotonicNs:
        return MonotonicNs(NS_PER_S + true_ns + true_ns * self._ppb // 1_000_000_000)


def _peers(line: LinkModel, seed: int) -> tuple[list[float], float]:
    """The same two crystals by medians, from the 50th second on, when they begin to be used."""
    errors = []
    for ppb in (PPB, -PPB):
        chance, clock, own = stream_of(seed, f"peer {ppb}"), MedianClock(), []
        for second in range(SOUND_S):
            at_ns = second * NS_PER_S
            sample = _sample(line, chance, at_ns, ppb)
            clock.observe(sample.offset_ns, sample.at_ns)
            if clock.is_known:
                own.append((at_ns + at_ns * ppb // 1_000_000_000 + clock.offset_ns - T0_NS - at_ns) / NS_PER_MS)
        errors.append(own)
    return [abs(one - other) for one, other in zip(*errors, strict=True)], 0.0


def _sample(line: LinkModel, chance: Chance, at_ns: int, ppb: int) -> TimeSample:
    there_ns, back_ns = line.up.sample_ns(chance, 1), line.down.sample_ns(chance, 1)
    told = SharedNs(T0_NS + at_ns + there_ns)
    back_at_ns = at_ns + there_ns + back_ns
    return sample_of(
        sent=MonotonicNs(at_ns + at_ns * ppb // 1_000_000_000),
        arrived=told,
        left=told,
        received=MonotonicNs(back_at_ns + back_at_ns * ppb // 1_000_000_000),
    )


def _filter_us() -> float:
    chance, known = stream_of(1, "cost"), ClockFilter()
    bursts = [
        [_sample(MOBILE, chance, (10 * number + sample) * NS_PER_S // 8, PPB) for sample in range(8)]
        for number in range(2 * WINDOW_BURSTS)
    ]
    for burst in bursts[:WINDOW_BURSTS]:
        known.add(burst)
    began_ns = time.thread_time_ns()
    for burst in bursts[WINDOW_BURSTS:]:
        known.add(burst)
    return (time.thread_time_ns() - began_ns) / WINDOW_BURSTS / 1_000


def _keyring() -> Keyring:
    scope = KeyScope(
        document_types=(TIME_REPLY,), areas=("*",), classes=tuple(BroadcastClass), realities=(Reality.REAL,)
    )
    key = OperationalKey(
        key_id="time",
        public_key=KEY.public_key().public_bytes_raw(),
        scope=scope,
        not_before_ms=0,
        expires_at_ms=2 * T0_NS // NS_PER_MS,
    )
    return Keyring(version=1, keys={"time": key})


if __name__ == "__main__":
    sys.exit(main())
