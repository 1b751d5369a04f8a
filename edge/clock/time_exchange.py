"""When a node asks the controller for the time, and what it believes of the answers; pure.

`TimeExchange` is `handle(event, now) -> effects` with `next_deadline()` (`protocol.node`). Of `now` only the monotonic
reading counts, and it must be the *raw* clock (CLOCK_MONOTONIC_RAW), read right before an `AskTime` leaves and right
after a `ReplyArrived` came: these are t1 and t4. Deadlines are on the same clock.

Rules kept: one request is under way at a time, so that no request waits behind another; a burst is asked for at once on
the first connection, often while something sounds or is about to, rarely otherwise, so that a SIM's volume is not spent
on silence; a fleet's bursts are spread, also when all of it begins to sound; a nonce is random, used once; a service
that does not answer is asked less and less; every refusal is counted by its reason. A reply changes nothing alone: only
a burst reaches the filter (`protocol.clock_filter`). Kept elsewhere: the stamps and the connection (the adapter), which
clock the node goes by (`edge.clock.shared_clock`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocol.clock_filter import ClockFilter, Verdict
from protocol.clock_sync import NONCE_MAX, TimeQuestion, TimeSample, ask, open_reply
from protocol.errors import Refusal, RefusalReason
from protocol.keyring import Keyring
from protocol.topics import TopicName, topic
from protocol.units import NS_PER_S, MonotonicNs, Now

BURST_SAMPLES: Final = 8
"""Of so many the quickest ways count; the service answers twenty at once, and two each second."""
SECOND_S: Final = 1.0
"""The second burst follows soon: before it nothing is known of the crystal."""
QUICK_EVERY_S: Final = 4.5
"""While the filter is less sure than is wanted, or speaks of a clock that was set: a little less
than the service answers at most, so that a pause that chance made short meets no refusal."""
ACTIVE_EVERY_S: Final = 10.0
"""From burst to burst while something sounds: 0.4 KB a second beside 4 KB of sound."""
STEADY_EVERY_S: Final = 30.0
"""The same where the ways are so even that a burst every ten seconds would teach nothing: most wired nodes."""
IDLE_EVERY_S: Final = 300.0
"""While nothing sounds, and all is known well: 1.3 MB a day, on 4G 2.1 MB; a drift leads astray by 0.1 ms meanwhile."""
IDLE_PARTS: Final = 4
"""The shortest pause in silence is this part of the longest: for a drift that is not well known yet, or a bad link."""
WANTED_NOISE_NS: Final = 300_000
"""Two such neighbours differ by 0.8 ms at most in 95 of 100 instants."""
WANTED_IDLE_NOISE_NS: Final = 800_000
"""The same at the end of a pause in silence, so that sound begins aligned and not by and by."""
STEADY_NOISE_NS: Final = 50_000
QUICK_BURSTS_FIRST: Final = 12
"""Quick bursts after the start: they tell the drift, in a minute, for 50 KB."""
QUICK_BURSTS_ACTIVE: Final = 40
"""At most so many when something begins to sound."""
QUICK_BURSTS_SUSPICIOUS: Final = 6
"""At most so many when a burst does not fit; three agreeing ones decide."""
ANSWER_S_MAX: Final = 1.0
"""A reply that comes later is wrong by up to half of it, and worth less than the next question."""
UNANSWERED_MAX: Final = 3
"""So many unanswered in a row end a burst with what it has."""
BACK_OFF_S_MAX: Final = 600.0
"""A service that never answers is asked each ten minutes, three times: 0.1 MB a day."""
JITTER_MIN: Final = 0.75
"""Pauses vary by a quarter either way, so that a fleet that began together does not stay together."""
EXCHANGE_BYTES: Final = 550
"""A request and its reply on the wire: 70 and 190 bytes, topics, TLS, TCP and IP headers, acknowledgements."""


class Unusable(StrEnum):
    """Why a reply or a question came to nothing; what `open_reply` refuses has its own reasons."""

    UNASKED = "unasked"
    UNANSWERED = "unanswered"
    LATE = "late"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The connection for the time stands, and the reply topic is subscribed to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """It is gone: what was under way is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysChanged:
    """The keyring that replies are judged by from now on."""

    keyring: Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityChanged:
    """Whether something sounds or is about to."""

    is_active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyArrived:
    """Bytes on the reply topic; `now` of `handle` is when they came (t4)."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """The deadline has come."""


ExchangeEvent = Connected | Disconnected | KeysChanged | ActivityChanged | ReplyArrived | Wake


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTime:
    """Publish at once, QoS 0, not retained."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A burst is over and the filter has judged it; `samples` of it had an answer."""

    verdict: Verdict
    samples: int


ExchangeEffect = AskTime | Learned


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings:
    """How often is asked, and how much."""

    burst_samples: int = BURST_SAMPLES
    quick_every_s: float = QUICK_EVERY_S
    active_every_s: float = ACTIVE_EVERY_S
    steady_every_s: float = STEADY_EVERY_S
    idle_every_s: float = IDLE_EVERY_S

    def bytes_a_day_max(self, active_share: float) -> float:
        """What a start and a day cost a SIM at most if something sounds, in one piece, during `active_share` of it."""
        active_s = 86_400 * active_share
        quick = QUICK_BURSTS_FIRST + (QUICK_BURSTS_ACTIVE if active_share else 0)
        bursts = quick + active_s / self.active_every_s + (86_400 - active_s) * IDLE_PARTS / self.idle_every_s
        return bursts / JITTER_MIN * self.burst_samples * EXCHANGE_BYTES


class TimeExchange:
    """One node's. `draw` gives a fresh random number from 0 to NONCE_MAX, from the operating system.

    `filter` is what is known; `refused` counts by reason; `asked` and `answered` count exchanges.
    """

    def __init__(
        self,
        *,
        node: str,
        keyring: Keyring,
        draw: Callable[[], int],
        clock_filter: ClockFilter | None = None,
        settings: ExchangeSettings | None = None,
    ) -> None:
        self.filter: Final = clock_filter or ClockFilter()
        self.refused: Counter[str] = Counter()
        self.asked = self.answered = 0
        self._node = node
        self._keyring = keyring
        self._draw = draw
        self._settings = settings or ExchangeSettings()
        self._is_connected = self._is_active = False
        self._due: MonotonicNs | None = None
        """The next burst, or the end of waiting for the reply under way."""
        self._question: TimeQuestion | None = None
        self._given_up: TimeQuestion | None = None
        """The last question that was not answered in time: its answer may come yet, and is nobody's forgery."""
        self._burst: list[TimeSample] = []
        self._tried = self._unanswered = 0
        self._fruitless = 0
        """Bursts in a row without one answer."""
        self._quick_left = QUICK_BURSTS_FIRST
        self._is_suspicious = False

    def next_deadline(self) -> MonotonicNs | None:
        """When `Wake` must come at the latest, on the raw clock."""
        return self._due

    def handle(self, event: ExchangeEvent, now: Now) -> tuple[ExchangeEffect, ...]:
        """Take in one event."""
        at = now.monotonic_ns
        match event:
            case Connected():
                self._is_connected = True
                self._forget_burst()
                self._rest(at, 0.0 if self.filter.track is None else self._settings.active_every_s * self._share())
            case Disconnected():
                self._is_connected = False
                self._forget_burst()
                self._due = None
            case KeysChanged(keyring=keyring):
                self._keyring = keyring
                if self._fruitless:
                    self._fruitless = 0
                    self._hurry(at)
            case ActivityChanged(is_active=is_active):
                self._be_active(at, is_active=is_active)
            case ReplyArrived():
                return self._take(event, at)
            case Wake():
                pass
        return self._go_on(at)

    def _go_on(self, at: MonotonicNs) -> tuple[ExchangeEffect, ...]:
        if not self._is_connected or self._due is None or at < self._due:
            return ()
        if self._question is not None:
            self._given_up, self._question = self._question, None
            self._unanswered += 1
            self.refused[Unusable.UNANSWERED] += 1
            if self._unanswered >= UNANSWERED_MAX:
                return self._finish(at)
        return self._next(at)

    def _next(self, at: MonotonicNs) -> tuple[ExchangeEffect, ...]:
        """The next question of the burst, or its end."""
        if self._tried >= self._settings.burst_samples:
            return self._finish(at)
        self._tried += 1
        self.asked += 1
        self._question = ask(self._node, nonce=self._draw(), now=at)
        self._rest(at, ANSWER_S_MAX)
        return (AskTime(topic=topic(TopicName.TIME_REQUEST, node=self._node), payload=self._question.data),)

    def _take(self, event: ReplyArrived, at: MonotonicNs) -> tuple[ExchangeEffect, ...]:
        """What a reply ends, if anything. It asks nothing: judging took time, a question has a reading of its own."""
        if self._is_late(event, at):
            self.refused[Unusable.LATE] += 1
            return ()
        if self._question is None:
            self.refused[Unusable.UNASKED] += 1
            return ()
        try:
            sample = open_reply(
                event.payload, at=event.topic, question=self._question, received=at, keyring=self._keyring
            )
        except Refusal as refusal:
            self.refused[refusal.reason.value] += 1
            return ()
        self._question = None
        self._unanswered = 0
        self.answered += 1
        self._burst.append(sample)
        if self._tried >= self._settings.burst_samples:
            return self._finish(at)
        self._due = at
        return ()

    def _is_late(self, event: ReplyArrived, at: MonotonicNs) -> bool:
        """Whether it is the answer to the question that was given up; asked of each reply until that has come."""
        if self._given_up is None:
            return False
        try:
            open_reply(event.payload, at=event.topic, question=self._given_up, received=at, keyring=self._keyring)
        except Refusal as refusal:
            if refusal.reason is not RefusalReason.EXPIRED:
                return False
        self._given_up = None
        return True

    def _finish(self, at: MonotonicNs) -> tuple[ExchangeEffect, ...]:
        samples, is_whole = len(self._burst), len(self._burst) == self._tried
        verdict = self.filter.add(self._burst)
        if verdict is Verdict.OUTLIER and not self._is_suspicious:
            self._quick_left = max(self._quick_left, QUICK_BURSTS_SUSPICIOUS)
        elif verdict is Verdict.STEPPED:
            self._quick_left = max(self._quick_left, QUICK_BURSTS_FIRST)
        self._is_suspicious = self.filter.has_suspicion
        self._fruitless = 0 if samples else self._fruitless + 1
        self._forget_burst()
        if self._fruitless:
            pause_s = min(self._settings.quick_every_s * 2 ** min(self._fruitless, 16), BACK_OFF_S_MAX)
        elif verdict is Verdict.FIRST:
            pause_s = SECOND_S
        elif is_whole and self._quick_left > 0 and self._wants_more(at):
            self._quick_left -= 1
            pause_s = self._settings.quick_every_s
        else:
            pause_s = self._every_s(at)
        self._rest(at, pause_s * self._jitter())
        return (Learned(verdict=verdict, samples=samples),)

    def _be_active(self, at: MonotonicNs, *, is_active: bool) -> None:
        """Ask sooner when sound begins, but not the whole fleet at once: what is known holds for some seconds."""
        begins = is_active and not self._is_active
        self._is_active = is_active
        if begins:
            self._quick_left = max(self._quick_left, QUICK_BURSTS_ACTIVE)
            self._hurry(at)
        elif not is_active:
            self._quick_left = 0

    def _hurry(self, at: MonotonicNs) -> None:
        """Begin the next burst within the active pace, unless one is under way or nobody answers."""
        if self._is_connected and self._question is None and not self._burst and not self._fruitless:
            soon = self._after(at, self._settings.active_every_s * self._share())
            self._due = soon if self._due is None else min(self._due, soon)

    def _wants_more(self, at: MonotonicNs) -> bool:
        """Whether the filter will be less sure than neighbours should be, or does not know if the clock was set."""
        if self._is_suspicious:
            return True
        if self._is_active:
            return self._noise_ns(at, self._settings.active_every_s) > WANTED_NOISE_NS
        return self._noise_ns(at, self._settings.idle_every_s / IDLE_PARTS) > WANTED_IDLE_NOISE_NS

    def _every_s(self, at: MonotonicNs) -> float:
        """The longest pause at whose end the filter will still be sure enough: its noise now says too little of that.

        After a few quick bursts the offset is well known and the drift is not.
        """
        settings = self._settings
        pause_s, shortest_s, wanted_ns = settings.idle_every_s, settings.idle_every_s / IDLE_PARTS, WANTED_IDLE_NOISE_NS
        if self._is_active:
            pause_s, shortest_s, wanted_ns = settings.steady_every_s, settings.active_every_s, STEADY_NOISE_NS
        while pause_s > shortest_s and self._noise_ns(at, pause_s) > wanted_ns:
            pause_s = max(pause_s / 2, shortest_s)
        return pause_s

    def _noise_ns(self, at: MonotonicNs, pause_s: float) -> float:
        """How unsure the filter will be after a pause."""
        estimate = self.filter.estimate(self._after(at, pause_s))
        return math.inf if estimate is None else estimate.noise_ns

    def _forget_burst(self) -> None:
        self._question = None
        self._burst.clear()
        self._tried = self._unanswered = 0

    def _rest(self, at: MonotonicNs, pause_s: float) -> None:
        self._due = self._after(at, pause_s)

    def _after(self, at: MonotonicNs, pause_s: float) -> MonotonicNs:
        return MonotonicNs(at + round(pause_s * NS_PER_S))

    def _jitter(self) -> float:
        return JITTER_MIN + 2 * (1 - JITTER_MIN) * self._share()

    def _share(self) -> float:
        """A random share of an interval."""
        return self._draw() / (NONCE_MAX + 1)
