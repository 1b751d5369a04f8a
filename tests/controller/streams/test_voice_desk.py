"""Live voices through the whole desk: begun, refused, ended, on record, and across kill -9."""

from __future__ import annotations

import pytest

from controller.errors import RequestCode, RequestError
from controller.events import MessageReceived, RelayNews
from controller.people.audit import Actor, Outcome
from controller.records import RelayRecord, RelayState
from controller.requests import StartRelay, StartVoice, StopRelay
from controller.streams.relay import RelayEnded, RelayStarted, RelayTimed
from protocol.codec import json_encode
from protocol.messages import BroadcastClass, Over, Reality, StreamEnd, StreamHeard, StreamStart, Telemetry
from protocol.topics import TopicName, topic
from protocol.units import SharedMs
from tests.support.controller_desk import DeskWorld, closed, document, opened, published, voiced
from tests.support.pki import DevelopmentKeys

LAN = Actor(who="lan", address="10.0.0.7")
TALK = StartVoice(area="dong", title="Thông báo", minutes=10)


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki)
    made.begin()
    made.effects.clear()
    return made


def begun(world: DeskWorld, request: StartVoice = TALK, by: Actor = LAN) -> RelayRecord:
    record = world.ask(request, by=by).result
    assert isinstance(record, RelayRecord)
    return record


def at(voice: RelayRecord) -> str:
    return topic(TopicName.STREAM, area=voice.area, stream=voice.stream)


def now_of(world: DeskWorld, stream: str) -> tuple[RelayState, str]:
    return {each.stream: (each.state, each.reason) for each in world.desk.status(world.now).relays}[stream]


def told(world: DeskWorld, voice: RelayRecord, *, reason: str = "") -> None:
    ms = world.now.shared_ms
    news = RelayEnded(reason=reason, at_ms=ms) if reason else RelayStarted(url="", play_at_ms=ms)
    world.post(RelayNews(stream=voice.stream, news=news))


def test_poles_hear_of_it_before_the_worker_listens(world: DeskWorld) -> None:
    voice = begun(world)
    start = document(published(world.effects, at(voice))[0], StreamStart)
    assert (start.public_key, start.title) == (bytes.fromhex(voice.stream) * 4, "Thông báo")
    assert start.ends_at_ms - start.starts_at_ms == 600_000
    assert start.stall_ms_max == 2_000
    assert voiced(world.effects) == [voice]
    assert (voice.speaker, voice.delay_ms) == ("lan", 400)


def test_a_voice_is_on_the_air_from_its_first_word_and_ends_with_its_last(world: DeskWorld) -> None:
    voice = begun(world)
    assert now_of(world, voice.stream)[0] is RelayState.STARTING
    told(world, voice)
    assert now_of(world, voice.stream)[0] is RelayState.ON_AIR
    world.advance(20_000)
    told(world, voice, reason="hung up")
    assert now_of(world, voice.stream) == (RelayState.ENDED, "hung up")
    end = document(published(world.effects, at(voice))[-1], StreamEnd)
    assert end.ends_at_ms - world.now.shared_ms == 1_500
    assert closed(world.effects) == [voice.stream]


def test_the_last_words_are_heard_however_long_they_are_still_on_their_way(world: DeskWorld) -> None:
    voice = begun(world)
    told(world, voice)
    world.advance(2_400)
    ms = world.now.shared_ms
    news = RelayEnded(reason="hung up", at_ms=ms, heard_until_ms=SharedMs(ms + 1_848))
    world.post(RelayNews(stream=voice.stream, news=news))
    end = document(published(world.effects, at(voice))[-1], StreamEnd)
    assert end.ends_at_ms - ms == 1_848


def test_who_spoke_where_for_how_long_is_on_record(world: DeskWorld) -> None:
    voice = begun(world)
    told(world, voice)
    world.advance(20_000)
    told(world, voice, reason="the line was lost")
    spoke, ended = [act for act in world.memory.acts if act.what.startswith("voice")]
    assert (spoke.who, spoke.what, spoke.place, spoke.address) == ("lan", "voice", "dong", "10.0.0.7")
    assert (ended.who, ended.what, ended.place) == ("lan", "voice_end", "dong")
    assert "spoke, 20 s; the line was lost" in ended.detail


def test_who_said_nothing_is_on_record_as_that(world: DeskWorld) -> None:
    told(world, begun(world), reason="nothing was said for 60 s")
    assert "said nothing" in world.memory.acts[-1].detail


def test_one_person_speaks_at_a_time_in_an_area_and_is_named(world: DeskWorld) -> None:
    voice = begun(world)
    with pytest.raises(RequestError, match="lan speaks in Thôn Đông") as refused:
        begun(world, by=Actor(who="minh"))
    assert refused.value.code is RequestCode.CONFLICT
    assert world.memory.acts[-1].outcome is Outcome.REFUSED
    begun(world, StartVoice(area="doai", title="Thôn Đoài"), by=Actor(who="minh"))
    told(world, voice, reason="hung up")
    assert begun(world, by=Actor(who="minh")).speaker == "minh"


def test_a_higher_class_is_let_in_beside_and_a_lower_one_is_not(world: DeskWorld) -> None:
    begun(world)
    urgent = StartVoice(area="dong", title="Nước lên", broadcast_class=BroadcastClass.EMERGENCY)
    assert begun(world, urgent).broadcast_class is BroadcastClass.EMERGENCY
    for broadcast_class in (BroadcastClass.ROUTINE, BroadcastClass.PRIORITY, BroadcastClass.EMERGENCY):
        with pytest.raises(RequestError):
            begun(world, StartVoice(area="dong", title="x", broadcast_class=broadcast_class))


def test_a_drill_is_signed_as_one(world: DeskWorld) -> None:
    drill = StartVoice(area="dong", title="x", broadcast_class=BroadcastClass.EMERGENCY, reality=Reality.DRILL)
    voice = begun(world, drill)
    [publication] = published(world.effects, at(voice))
    assert document(publication, StreamStart).reality is Reality.DRILL
    assert b"drill-1" in publication.payload


def test_a_chime_sounds_first_and_the_programme_may_go_on_below(world: DeskWorld) -> None:
    voice = begun(world, StartVoice(area="dong", title="x", chime=True, over=Over.DUCK))
    start = document(published(world.effects, at(voice))[0], StreamStart)
    assert (start.chime_ms, start.over) == (2_500, Over.DUCK)
    assert start.starts_at_ms == world.now.shared_ms + 450


def test_the_microphone_can_be_taken_away_and_falls_silent_at_once(world: DeskWorld) -> None:
    voice = begun(world)
    told(world, voice)
    world.ask(StopRelay(stream=voice.stream), by=LAN)
    assert now_of(world, voice.stream) == (RelayState.ENDED, "stopped by request")
    end = document(published(world.effects, at(voice))[-1], StreamEnd)
    assert end.ends_at_ms == world.now.shared_ms
    with pytest.raises(RequestError, match="has ended"):
        world.ask(StopRelay(stream=voice.stream))


def test_time_is_bounded_by_what_was_asked_and_by_the_configuration(pki: DevelopmentKeys) -> None:
    world = DeskWorld(pki, voice={"minutes_max": 2})
    world.begin()
    voice = begun(world)
    told(world, voice)
    world.advance(121_000)
    assert now_of(world, voice.stream) == (RelayState.ENDED, "its time was up")


def test_after_a_restart_nobody_is_on_the_air_who_does_not_know_it(world: DeskWorld) -> None:
    voice = begun(world)
    told(world, voice)
    world.restart()
    world.advance(1_000)
    assert now_of(world, voice.stream) == (RelayState.ENDED, "the controller was started again")
    assert isinstance(document(published(world.effects, at(voice))[-1], StreamEnd), StreamEnd)
    assert voiced(world.effects) == []
    assert opened(world.effects) == []


def test_the_delay_that_an_area_needs_for_voices_is_kept_over_a_restart(world: DeskWorld) -> None:
    voice = begun(world)
    world.post(RelayNews(stream=voice.stream, news=RelayTimed(epoch=7, delay_ms=voice.delay_ms)))
    for _ in range(3):
        heard = StreamHeard(stream=voice.stream, epoch=7, packets=3_000, lateness_ms_p99=500.0, lateness_ms_p999=500.0)
        said = Telemetry(node="N001", at_ms=world.now.shared_ms, clock_error_ms=1.0, streams=(heard,))
        world.post(MessageReceived(topic=topic(TopicName.TELEMETRY, node="N001"), payload=json_encode(said)))
        world.advance(5_000)
    world.ask(StopRelay(stream=voice.stream))
    learned_ms = begun(world).delay_ms
    assert learned_ms > voice.delay_ms
    world.restart()
    world.advance(1_000)
    assert begun(world).delay_ms == learned_ms
    assert begun(world, StartVoice(area="doai", title="x")).delay_ms == voice.delay_ms


def test_what_is_not_stored_is_not_begun(world: DeskWorld) -> None:
    world.memory.is_full = True
    with pytest.raises(RequestError, match="not started"):
        begun(world)
    assert published(world.effects, topic(TopicName.STREAM, area="dong", stream="0" * 15 + "1")) == []
    assert voiced(world.effects) == []


def test_an_unknown_area_is_refused(world: DeskWorld) -> None:
    with pytest.raises(RequestError, match="known areas: xa, dong, doai"):
        begun(world, StartVoice(area="tay", title="x"))


def test_relays_go_on_as_before_beside_a_voice(world: DeskWorld) -> None:
    begun(world)
    relay = world.ask(StartRelay(area="dong", feed="vov1")).result
    assert isinstance(relay, RelayRecord)
    assert opened(world.effects) == [relay]
    told(world, relay)
    assert now_of(world, relay.stream)[0] is RelayState.ON_AIR
