"""When a node asks for the time, what it believes of the answers, and what that costs."""

from __future__ import annotations

from itertools import count, pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.clock.time_exchange import (
    ACTIVE_EVERY_S,
    ANSWER_S_MAX,
    BACK_OFF_S_MAX,
    BURST_SAMPLES,
    EXCHANGE_BYTES,
    IDLE_EVERY_S,
    QUICK_BURSTS_SUSPICIOUS,
    UNANSWERED_MAX,
    ActivityChanged,
    AskTime,
    Connected,
    Disconnected,
    ExchangeEvent,
    ExchangeSettings,
    KeysChanged,
    Learned,
    ReplyArrived,
    TimeExchange,
    Unusable,
    Wake,
)
from protocol.clock_filter import STEP_BURSTS, ClockFilter, Verdict
from protocol.clock_sync import NONCE_MAX, TIME_REPLY, open_request, seal_reply
from protocol.envelope import Signer, signer_from_private_key
from protocol.errors import RefusalReason
from protocol.keyring import Keyring
from protocol.messages import BroadcastClass, KeyScope, OperationalKey, Reality
from protocol.units import NS_PER_MS, NS_PER_S, MonotonicNs, Now, SharedNs, TimeSource
from simulator.chance import Chance, stream_of
from simulator.network.delay import MOBILE
from tests.support.time_ways import T0_NS

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = signer_from_private_key("k", KEY)
FORGER = signer_from_private_key("k", Ed25519PrivateKey.from_private_bytes(bytes(32)))
RING = Keyring(
    version=1,
    keys={
        "k": OperationalKey(
            key_id="k",
            public_key=KEY.public_key().public_bytes_raw(),
            scope=KeyScope(
                document_types=(TIME_REPLY,), areas=("*",), classes=tuple(BroadcastClass), realities=(Reality.REAL,)
            ),
            not_before_ms=0,
            expires_at_ms=2 * T0_NS // NS_PER_MS,
        )
    },
)
BEGIN_NS = 50 * NS_PER_S
MOVED = SharedNs(T0_NS + 3_600 * NS_PER_S)


class Bench:
    """An exchange, a service that answers or not, and the time between: one event after the other, nothing hidden."""

    def __init__(self, *, seed: int = 1, is_mobile: bool = False, keyring: Keyring = RING) -> None:
        self._chance: Chance = stream_of(seed, "bench")
        self.exchange = TimeExchange(node="N001", keyring=keyring, draw=lambda: self._chance.getrandbits(63))
        self.now_ns = BEGIN_NS
        self.is_mobile = is_mobile
        self.is_answering = True
        self.shift_ns = 0
        self.signer: Signer = SIGNER
        self.asked: list[tuple[int, bytes]] = []
        self.learned: list[tuple[int, Learned]] = []

    def happen(self, event: ExchangeEvent) -> None:
        """One event now, and what follows from it at once."""
        now = Now(monotonic_ns=MonotonicNs(self.now_ns), shared_ns=SharedNs(0), source=TimeSource.UNKNOWN)
        for effect in self.exchange.handle(event, now):
            if isinstance(effect, Learned):
                self.learned.append((self.now_ns, effect))
            else:
                self._serve(effect)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until_ns = self.now_ns + round(seconds * NS_PER_S)
        while (due := self.exchange.next_deadline()) is not None and due <= until_ns:
            self.now_ns = max(self.now_ns, due)
            self.happen(Wake())
        self.now_ns = until_ns

    def begin(self, seconds: float = 120.0) -> Bench:
        """Connect and settle."""
        self.happen(Connected())
        self.run(seconds)
        return self

    def bursts(self) -> list[int]:
        """When bursts ended, in seconds since the beginning."""
        return [(at_ns - BEGIN_NS) // NS_PER_S for at_ns, _ in self.learned]

    def _serve(self, asked: AskTime) -> None:
        self.asked.append((self.now_ns, asked.payload))
        if not self.is_answering:
            return
        there_ns, back_ns = self._delays_ns()
        if there_ns + back_ns > ANSWER_S_MAX * NS_PER_S:
            return
        question = open_request(asked.payload, at=asked.topic)
        told = SharedNs(T0_NS + self.now_ns + there_ns + self.shift_ns)
        reply = seal_reply(question, received=told, transmitted=told, signer=self.signer)
        self.now_ns += there_ns + back_ns
        self.happen(ReplyArrived(topic=question.reply_topic, payload=reply))

    def _delays_ns(self) -> tuple[int, int]:
        if self.is_mobile:
            return MOBILE.up.sample_ns(self._chance, 1), MOBILE.down.sample_ns(self._chance, 1)
        return 250_000 + self._chance.gamma_ns(50_000, 2), 250_000 + self._chance.gamma_ns(50_000, 2)


def test_it_asks_at_once_and_one_question_is_under_way_at_a_time() -> None:
    bench = Bench()
    assert bench.exchange.next_deadline() is None
    bench.is_answering = False
    bench.happen(Connected())
    assert len(bench.asked) == 1
    bench.run(ANSWER_S_MAX * 0.9)
    assert len(bench.asked) == 1


def test_the_first_burst_gives_the_time_and_the_second_follows_soon() -> None:
    bench = Bench().begin(3)
    verdicts = [learned.verdict for _, learned in bench.learned]
    assert verdicts == [Verdict.FIRST, Verdict.TAKEN]
    assert bench.learned[0][1].samples == BURST_SAMPLES
    assert bench.bursts() == [0, 1]
    estimate = bench.exchange.filter.estimate(MonotonicNs(bench.now_ns))
    assert estimate is not None
    assert abs(estimate.offset_ns - T0_NS) <= estimate.error_ns <= NS_PER_MS


def test_it_asks_often_while_something_sounds_and_rarely_otherwise() -> None:
    bench = Bench().begin()
    before = len(bench.learned)
    bench.run(3600)
    idle = len(bench.learned) - before
    assert 3600 / IDLE_EVERY_S * 0.8 <= idle <= 3600 / IDLE_EVERY_S * 1.3
    bench.happen(ActivityChanged(is_active=True))
    at_ns, before = bench.now_ns, len(bench.learned)
    bench.run(600)
    assert bench.learned[before][0] - at_ns <= (ACTIVE_EVERY_S + 1) * NS_PER_S
    assert len(bench.learned) - before >= 600 / 30 * 0.8
    bench.happen(ActivityChanged(is_active=False))
    before = len(bench.learned)
    bench.run(3600)
    assert len(bench.learned) - before <= idle + 4


@pytest.mark.parametrize("is_mobile", [False, True], ids=("wired", "4g"))
@pytest.mark.parametrize("active_s", [0, 7_200])
def test_a_day_costs_no_more_than_it_says(active_s: int, *, is_mobile: bool) -> None:
    """A twelfth of a day stands for all of it, with the same share of sound."""
    bench = Bench(is_mobile=is_mobile).begin(0)
    if active_s:
        bench.happen(ActivityChanged(is_active=True))
        bench.run(active_s / 12)
        bench.happen(ActivityChanged(is_active=False))
    bench.run((86_400 - active_s) / 12)
    bound = ExchangeSettings().bytes_a_day_max(active_s / 86_400)
    assert len(bench.asked) * EXCHANGE_BYTES <= bound
    assert bound <= 16_000_000


def test_no_nonce_comes_twice() -> None:
    bench = Bench().begin(1800)
    nonces = [payload for _, payload in bench.asked]
    assert len(set(nonces)) == len(nonces) > 3 * BURST_SAMPLES


def test_a_service_that_does_not_answer_is_asked_less_and_less() -> None:
    bench = Bench()
    bench.is_answering = False
    bench.begin(6 * 3600)
    ends = [at_ns for at_ns, _ in bench.learned]
    assert all(learned == Learned(verdict=Verdict.EMPTY, samples=0) for _, learned in bench.learned)
    assert ends[1] - ends[0] <= 15 * NS_PER_S
    assert max(later - earlier for earlier, later in pairwise(ends)) <= (1.25 * BACK_OFF_S_MAX + 5) * NS_PER_S
    assert len(bench.asked) <= UNANSWERED_MAX * (6 * 3600 / BACK_OFF_S_MAX * 1.4 + 10)
    assert bench.exchange.refused[Unusable.UNANSWERED] == len(bench.asked)
    bench.is_answering = True
    bench.run(1.25 * BACK_OFF_S_MAX + 5)
    assert Verdict.FIRST in [learned.verdict for _, learned in bench.learned]


def test_new_keys_are_reason_enough_to_ask_again_soon() -> None:
    bench = Bench(keyring=Keyring.empty()).begin(3600)
    assert bench.exchange.refused[RefusalReason.UNKNOWN_KEY.value] > 0
    assert bench.exchange.filter.track is None
    bench.happen(KeysChanged(keyring=RING))
    bench.run(ACTIVE_EVERY_S + 1)
    assert bench.exchange.filter.track is not None


def test_what_is_refused_is_counted_by_its_reason_and_moves_nothing() -> None:
    bench = Bench().begin()
    bench.run(IDLE_EVERY_S)
    known, refused = bench.exchange.filter.track, bench.exchange.refused
    bench.happen(ReplyArrived(topic="loaxa/1/node/CN=N001/time", payload=b"x"))
    assert refused[Unusable.UNASKED] == 1
    bench.is_answering = False
    bench.happen(ActivityChanged(is_active=True))
    while len(bench.asked) % BURST_SAMPLES != 1:
        bench.run(0.5)
    question = open_request(bench.asked[-1][1], at="loaxa/1/time/11/CN=N001")
    told = SharedNs(T0_NS + bench.now_ns)
    genuine = seal_reply(question, received=told, transmitted=told, signer=SIGNER)
    forged = seal_reply(question, received=MOVED, transmitted=MOVED, signer=FORGER)
    for topic, payload, reason in (
        (question.reply_topic, b"x", RefusalReason.MALFORMED),
        (question.reply_topic, bytes(10_000), RefusalReason.TOO_LARGE),
        (question.reply_topic, forged, RefusalReason.BAD_SIGNATURE),
        ("loaxa/1/node/CN=N002/time", genuine, RefusalReason.WRONG_AUDIENCE),
    ):
        bench.happen(ReplyArrived(topic=topic, payload=payload))
        assert refused[reason.value] == 1, reason
    assert bench.exchange.filter.track is known
    answered = bench.exchange.answered
    bench.happen(ReplyArrived(topic=question.reply_topic, payload=genuine))
    assert bench.exchange.answered == answered + 1


def test_an_answer_that_comes_too_late_is_called_late_and_not_a_forgery() -> None:
    bench = Bench()
    bench.is_answering = False
    bench.happen(Connected())
    question = open_request(bench.asked[0][1], at="loaxa/1/time/11/CN=N001")
    bench.run(ANSWER_S_MAX * 1.1)
    told = SharedNs(T0_NS + bench.now_ns)
    reply = seal_reply(question, received=told, transmitted=told, signer=SIGNER)
    bench.happen(ReplyArrived(topic=question.reply_topic, payload=reply))
    assert bench.exchange.refused == {Unusable.UNANSWERED: 1, Unusable.LATE: 1}
    assert bench.exchange.answered == 0


def test_a_burst_that_is_interrupted_is_forgotten() -> None:
    bench = Bench().begin()
    bench.happen(ActivityChanged(is_active=True))
    bench.happen(Disconnected())
    assert bench.exchange.next_deadline() is None
    bench.run(600)
    asked = len(bench.asked)
    bench.happen(Connected())
    bench.run(ACTIVE_EVERY_S + 1)
    assert len(bench.asked) >= asked + BURST_SAMPLES
    assert bench.learned[-1][1].samples == BURST_SAMPLES


def test_a_fleet_that_begins_to_sound_together_does_not_ask_together() -> None:
    due_s = []
    for seed in range(60):
        bench = Bench(seed=seed).begin(20)
        bench.run(2 * IDLE_EVERY_S)
        at_ns = bench.now_ns
        bench.happen(ActivityChanged(is_active=True))
        due = bench.exchange.next_deadline()
        assert due is not None
        due_s.append((due - at_ns) / NS_PER_S)
    assert max(due_s) <= ACTIVE_EVERY_S
    assert max(sum(low <= each < low + 1 for each in due_s) for low in range(int(ACTIVE_EVERY_S) + 1)) <= 15


def test_a_clock_that_was_set_is_followed_within_seconds_of_the_first_doubt() -> None:
    bench = Bench().begin()
    bench.run(IDLE_EVERY_S)
    before, bench.shift_ns = len(bench.learned), 7 * NS_PER_S
    bench.run(2 * IDLE_EVERY_S)
    news = bench.learned[before:]
    doubted = next(index for index, (_, learned) in enumerate(news) if learned.verdict is Verdict.OUTLIER)
    stepped = next(index for index, (_, learned) in enumerate(news) if learned.verdict is Verdict.STEPPED)
    assert stepped - doubted == STEP_BURSTS - 1
    assert news[stepped][0] - news[doubted][0] <= 15 * NS_PER_S


def test_answers_that_never_agree_cost_a_few_quick_bursts_and_then_the_usual() -> None:
    bench = Bench().begin()
    bench.run(IDLE_EVERY_S)
    before = len(bench.learned)
    steps = count(1)
    for _ in range(200):
        bench.shift_ns = next(steps) * 5 * NS_PER_S
        bench.run(60)
    verdicts = {learned.verdict for _, learned in bench.learned[before:]}
    assert Verdict.OUTLIER in verdicts
    assert len(bench.learned) - before <= 200 * 60 / IDLE_EVERY_S * 4 * 1.4 + QUICK_BURSTS_SUSPICIOUS


def test_nonces_are_what_was_drawn() -> None:
    exchange = TimeExchange(node="N001", keyring=RING, draw=lambda: NONCE_MAX, clock_filter=ClockFilter())
    now = Now(monotonic_ns=MonotonicNs(7), shared_ns=SharedNs(0))
    (asked,) = exchange.handle(Connected(), now)
    assert isinstance(asked, AskTime)
    assert open_request(asked.payload, at=asked.topic).request.nonce == NONCE_MAX
