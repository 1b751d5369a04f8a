"""A live voice comes nearer in play: as near as its poles say they can have it, and goes back when one loses sound.

The speaker, the delays of the group and the poles are joined as in the field; a pole is what it reads ahead and how
long packets are on their way to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest

from controller.adapters.relay.voice_worker import VoiceWorker
from controller.configuration.config import RelayConfig, VoiceConfig
from controller.effects import DelayRelay
from controller.events import MessageReceived, RelayNews
from controller.people.audit import Actor
from controller.records import RelayRecord, RelayState
from controller.requests import StartVoice
from controller.streams.group_delay import CALM_MS, NEAR_AFTER_MS, NEAR_EVERY_MS, STEP_MS, GroupDelays, Use, bounds_of
from controller.streams.live_voice import LiveVoice
from controller.streams.relay import RelayStep, RelayTimed
from edge.player.lateness import LatenessWindow
from protocol.codec import json_encode
from protocol.messages import BroadcastClass, StreamHeard, Telemetry
from protocol.topics import TopicName, topic
from protocol.units import FRAME_SAMPLES, NS_PER_MS, US_PER_MS, MonotonicNs, Now, SharedNs
from tests.support.controller_desk import DeskWorld
from tests.support.pki import DevelopmentKeys
from tests.support.waiting import until

T0_MS = 1_800_000_000_000
VOICE = VoiceConfig()
STREAM = "0123456789abcdef"
NEAR_AHEAD_MS = 142.0
FAR_AHEAD_MS = 340.0
STATUS_EVERY_MS = 5_000
LOUD = (np.sin(np.arange(FRAME_SAMPLES) * 0.05) * 8_000).astype(np.int16)
QUIET = np.zeros(FRAME_SAMPLES, np.int16)
CLOSE_MS = 45
"""What the room for a late frame and the whole frames of a pause leave above the delay that is wanted."""


@dataclass(slots=True)
class Hearer:
    """A pole: how far ahead it reads, how long packets take to it, and when it first says something."""

    ahead_ms: float = NEAR_AHEAD_MS
    way_ms: float = 10.0
    says_at_ms: int = 700
    lost: int = 0
    lateness: LatenessWindow = field(default_factory=LatenessWindow)


class Hall:
    """A speaker and whoever hears."""

    def __init__(self, *hearers: Hearer, config: VoiceConfig = VOICE, delays: GroupDelays | None = None) -> None:
        self.ms = 0
        self.hearers = {f"N{index:03}": hearer for index, hearer in enumerate(hearers, 1)}
        self.delays = delays or GroupDelays(bounds_of(RelayConfig(), config))
        self.moves: list[int] = []
        self.record = record = RelayRecord(
            stream=STREAM,
            area="xa",
            feed="",
            title="Thông báo",
            broadcast_class=BroadcastClass.ROUTINE,
            state=RelayState.STARTING,
            starts_at_ms=T0_MS,
            ends_at_ms=T0_MS + 3_600_000,
            speaker="lan",
            delay_ms=self.delays.wanted_ms("xa", Use.LIVE),
        )
        self.delays.begun(STREAM, "xa", Use.LIVE, self.hearers)
        self.voice = LiveVoice(config=config, voice=record, encode=lambda _: b"frame", now=self.now)

    @property
    def now(self) -> Now:
        return Now(monotonic_ns=MonotonicNs(self.ms * NS_PER_MS), shared_ns=SharedNs((T0_MS + self.ms) * NS_PER_MS))

    @property
    def delay_ms(self) -> float:
        """From the mouth to the ear, as of the last frame."""
        return self.voice.pacer.delay_ms

    def speak(self, seconds: float, *, pauses: bool = True) -> None:
        for frame in range(int(seconds * 50)):
            self.ms += 20
            self._carry(self.voice.receive(QUIET if pauses and frame % 75 > 49 else LOUD, self.now))
            for node, hearer in self.hearers.items():
                if self.ms >= hearer.says_at_ms:
                    hearer.says_at_ms += STATUS_EVERY_MS
                    self._tell(node, hearer)
            for _, delay_ms in self.delays.nearer(self.now.shared_ms):
                self.moves.append(delay_ms)
                self.voice.want_delay(delay_ms)
            self.delays.look(self.now.shared_ms)

    def _carry(self, step: RelayStep) -> None:
        for event in step.events:
            if isinstance(event, RelayTimed):
                settled_ms = self.now.shared_ms if event.is_settled else None
                self.delays.epoch_begun(STREAM, event.epoch, event.delay_ms, settled_ms=settled_ms)
        for packet in step.packets:
            for hearer in self.hearers.values():
                late_ms = T0_MS + self.ms + hearer.way_ms - packet.play_at_ns / NS_PER_MS
                if packet.sequence == 0:
                    hearer.lateness.clear()
                hearer.lateness.add(round(late_ms * US_PER_MS))
                hearer.lost += late_ms + hearer.ahead_ms > 0

    def _tell(self, node: str, hearer: Hearer) -> None:
        heard = StreamHeard(
            stream=STREAM,
            epoch=self.voice.pacer.epoch,
            packets=len(hearer.lateness),
            lateness_ms_p99=hearer.lateness.quantile_ms(0.99),
            lateness_ms_p999=hearer.lateness.quantile_ms(0.999),
            ahead_ms=hearer.ahead_ms,
        )
        self.delays.told(
            Telemetry(node=node, at_ms=self.now.shared_ms, clock_error_ms=1.0, streams=(heard,)), self.now.shared_ms
        )


def test_where_all_poles_read_little_ahead_it_comes_near_within_twenty_seconds_and_loses_nothing() -> None:
    hall = Hall(Hearer(), Hearer(way_ms=15.0, says_at_ms=4_900))
    hall.speak(20)
    assert VOICE.near_ms <= hall.delay_ms <= VOICE.near_ms + CLOSE_MS
    hall.speak(120)
    assert hall.moves == [VOICE.near_ms]
    assert [hearer.lost for hearer in hall.hearers.values()] == [0, 0]
    assert hall.voice.pacer.gaps == 0
    assert hall.delays.wanted_ms("xa", Use.LIVE) == VOICE.delay_ms, "the next voice begins as this one did"


def test_one_pole_of_before_keeps_it_where_it_was_and_loses_nothing() -> None:
    hall = Hall(Hearer(), Hearer(ahead_ms=FAR_AHEAD_MS), Hearer())
    hall.speak(120)
    assert hall.moves == []
    assert hall.delay_ms >= VOICE.delay_ms
    assert [hearer.lost for hearer in hall.hearers.values()] == [0, 0, 0]


@pytest.mark.parametrize("way_ms", [60.0, 110.0])
def test_on_a_long_way_it_comes_as_near_as_that_allows(way_ms: float) -> None:
    hall = Hall(Hearer(way_ms=way_ms), Hearer())
    hall.speak(60)
    assert way_ms + NEAR_AHEAD_MS < hall.delay_ms < way_ms + NEAR_AHEAD_MS + 110
    assert hall.hearers["N001"].lost == 0


def test_who_never_pauses_stays_far_and_nobody_takes_the_time_to_spare_for_a_short_way() -> None:
    hall = Hall(Hearer(ahead_ms=FAR_AHEAD_MS))
    hall.speak(60, pauses=False)
    assert hall.moves == []
    assert hall.delay_ms >= VOICE.lead_in_ms
    hall.speak(60)
    assert hall.moves == []
    assert hall.hearers["N001"].lost == 0


def test_when_a_pole_loses_sound_it_goes_back_in_a_pause_and_stays_there_for_its_area() -> None:
    hall = Hall(Hearer(), Hearer())
    hall.speak(30)
    assert hall.moves == [VOICE.near_ms]
    hall.hearers["N002"].ahead_ms = FAR_AHEAD_MS
    hall.speak(15)
    assert hall.moves == [VOICE.near_ms, VOICE.delay_ms]
    lost = hall.hearers["N002"].lost
    hall.hearers["N002"].ahead_ms = NEAR_AHEAD_MS
    hall.speak(120)
    assert hall.hearers["N002"].lost == lost
    assert hall.delay_ms >= VOICE.delay_ms
    assert hall.moves == [VOICE.near_ms, VOICE.delay_ms]
    hall.delays.ended(STREAM)
    again = Hall(Hearer(), delays=hall.delays)
    again.speak(60)
    assert again.moves == []


def test_after_a_calm_its_area_is_tried_again() -> None:
    hall = Hall(Hearer())
    hall.speak(30)
    hall.hearers["N001"].ahead_ms = FAR_AHEAD_MS
    hall.speak(15)
    hall.delays.ended(STREAM)
    again = Hall(Hearer(), delays=hall.delays)
    again.ms = hall.ms + CALM_MS
    again.hearers["N001"].says_at_ms = again.ms
    again.speak(60)
    assert again.moves == [VOICE.near_ms]


@pytest.mark.parametrize(("more_ms", "moves"), [(STEP_MS, [VOICE.near_ms]), (2 * STEP_MS, [])])
def test_an_area_that_has_learned_to_need_much_more_is_left_alone(more_ms: int, moves: list[int]) -> None:
    delays = GroupDelays(bounds_of(RelayConfig(), VOICE))
    delays.restore("xa", Use.LIVE, VOICE.delay_ms + more_ms)
    hall = Hall(Hearer(), delays=delays)
    hall.speak(60)
    assert hall.moves == moves
    assert (hall.delay_ms >= VOICE.delay_ms + more_ms) is not bool(moves)


def test_it_can_be_forbidden() -> None:
    hall = Hall(Hearer(), config=VoiceConfig(near_ms=400))
    hall.speak(60)
    assert hall.moves == []


def test_nothing_is_asked_while_nobody_speaks_and_not_more_often_than_needed() -> None:
    hall = Hall(Hearer(says_at_ms=1_500))
    hall.speak(1)
    silent_ms = hall.delays.near_at_ms
    hall.speak(1)
    due_ms = hall.delays.near_at_ms
    hall.delays.ended(STREAM)
    assert (silent_ms, due_ms, hall.delays.near_at_ms) == (None, T0_MS + 1_500 + NEAR_EVERY_MS, None)


def test_going_back_waits_for_a_pause_but_not_for_long() -> None:
    hall = Hall(Hearer())
    hall.speak(30)
    hall.speak(1, pauses=False)
    near_ms = hall.delay_ms
    epoch = hall.voice.pacer.epoch
    hall.voice.want_delay(VOICE.delay_ms)
    hall.speak(1.5, pauses=False)
    assert hall.delay_ms == pytest.approx(near_ms, abs=1)
    assert hall.voice.pacer.epoch == epoch
    hall.speak(1, pauses=False)
    assert VOICE.delay_ms <= hall.delay_ms <= VOICE.delay_ms + CLOSE_MS
    assert hall.voice.pacer.epoch == epoch + 1


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki)
    made.begin()
    made.effects.clear()
    return made


@pytest.mark.parametrize(("ahead_ms", "delays_ms"), [(NEAR_AHEAD_MS, [VOICE.near_ms]), (FAR_AHEAD_MS, [])])
def test_the_desk_has_its_worker_come_nearer(world: DeskWorld, ahead_ms: float, delays_ms: list[int]) -> None:
    voice = world.ask(StartVoice(area="dong", title="Thông báo"), by=Actor(who="lan", address="10.0.0.7")).result
    assert isinstance(voice, RelayRecord)
    world.post(RelayNews(stream=voice.stream, news=RelayTimed(epoch=7, delay_ms=voice.delay_ms)))
    world.advance(NEAR_AFTER_MS)
    late_ms = 10.0 - voice.delay_ms
    heard = StreamHeard(
        stream=voice.stream, epoch=7, packets=500, lateness_ms_p99=late_ms, lateness_ms_p999=late_ms, ahead_ms=ahead_ms
    )
    said = Telemetry(node="N001", at_ms=world.now.shared_ms, clock_error_ms=1.0, streams=(heard,))
    world.post(MessageReceived(topic=topic(TopicName.TELEMETRY, node="N001"), payload=json_encode(said)))
    world.advance(NEAR_EVERY_MS)
    moved = [each for each in world.effects if isinstance(each, DelayRelay)]
    assert moved == [DelayRelay(stream=voice.stream, delay_ms=delay_ms) for delay_ms in delays_ms]


async def test_a_worker_takes_another_delay_up_between_two_blocks() -> None:
    now_ms = Hall().now.shared_ms
    record = msgspec.structs.replace(Hall().record, starts_at_ms=now_ms, ends_at_ms=now_ms + 600_000)
    told: list[RelayTimed] = []
    hall = Hall()

    def read_now() -> Now:
        return hall.now

    worker = VoiceWorker(
        config=VoiceConfig(lead_in_ms=0),
        voice=record,
        publish=lambda _topic, _packet: None,
        read_now=read_now,
        on_event=lambda event: told.append(event) if isinstance(event, RelayTimed) else None,
    )
    for frame in range(200):
        hall.ms += 20
        worker.take((LOUD if frame % 25 < 5 else QUIET).astype("<i2").tobytes())
        if frame == 40:
            worker.want_delay(VOICE.near_ms)
        if frame == 100:
            worker.start()
            await until(lambda: len(told) > 1, seconds=10, what="the voice has settled")
    await worker.stop()
    assert [(each.delay_ms, each.is_settled) for each in told][-1] == (VOICE.near_ms, True)
