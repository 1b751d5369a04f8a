"""Relays: planned a little ahead, by hand, stopped, failing, and across kill -9."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest

from controller.configuration.site import site_of
from controller.effects import Answer, DelayRelay
from controller.errors import RequestCode, RequestError
from controller.events import MessageReceived, RelayNews, RequestReceived, SiteChanged
from controller.records import RelayRecord, RelayState
from controller.requests import StartRelay, StopRelay
from controller.streams.feed_watch import AlarmKind
from controller.streams.relay import RelayAlarm, RelayEnded, RelayRecovered, RelayStarted, RelayTimed
from controller.streams.relay_desk import PREPARE_MS, RUNNING_MAX
from protocol.codec import json_encode
from protocol.messages import BroadcastClass, Over, StreamEnd, StreamHeard, StreamStart, Telemetry
from protocol.topics import TopicName, topic
from protocol.units import SharedMs
from tests.support.controller_desk import DeskWorld, closed, config_of, document, opened, plain_config, published
from tests.support.pki import DevelopmentKeys

VOV = StartRelay(area="dong", feed="vov1", minutes=15)


@pytest.fixture
def world(pki: DevelopmentKeys) -> DeskWorld:
    made = DeskWorld(pki)
    made.begin()
    made.effects.clear()
    return made


def started(world: DeskWorld, request: StartRelay = VOV) -> RelayRecord:
    record = world.ask(request).result
    assert isinstance(record, RelayRecord)
    return record


def at(relay: RelayRecord) -> str:
    return topic(TopicName.STREAM, area=relay.area, stream=relay.stream)


def state(world: DeskWorld, stream: str) -> RelayState:
    return {each.stream: each.state for each in world.desk.status(world.now).relays}[stream]


def ms(world: DeskWorld) -> SharedMs:
    return world.now.shared_ms


def test_a_relay_by_hand_is_announced_with_its_key_before_its_worker_begins(world: DeskWorld) -> None:
    relay = started(world)
    start = document(published(world.effects, at(relay))[0], StreamStart)
    assert (start.public_key, start.stream) == (bytes.fromhex(relay.stream) * 4, relay.stream)
    assert (start.starts_at_ms, start.ends_at_ms) == (ms(world), ms(world) + 900_000)
    assert opened(world.effects) == [relay]


def test_a_relay_is_announced_once_and_not_again_where_it_goes_on(world: DeskWorld) -> None:
    relay = started(world, StartRelay(area="dong", feed="vov1", minutes=15, chime=True, over=Over.DUCK))
    start = document(published(world.effects, at(relay))[0], StreamStart)
    assert (start.chime_ms, start.over) == (2_500, Over.DUCK)
    world.advance(10_000)
    world.post(RelayNews(stream=relay.stream, news=RelayEnded(reason="gone", at_ms=ms(world))))
    world.advance(60_000)
    [again] = [each for each in opened(world.effects) if each.stream != relay.stream][-1:]
    start = document(published(world.effects, at(again))[0], StreamStart)
    assert (start.chime_ms, start.over) == (0, Over.DUCK)


def test_the_same_relay_again_is_the_one_that_runs(world: DeskWorld) -> None:
    relay = started(world)
    again = world.ask(VOV)
    assert again.is_new is False
    assert again.result == relay


def test_a_planned_relay_begins_ahead_of_its_start_and_ends_at_its_end(world: DeskWorld) -> None:
    plan = world.desk.plan("xa")
    assert plan is not None
    occurrence = next(each for each in plan.occurrences if each.feed)
    world.advance(occurrence.start_at_ms - ms(world) - PREPARE_MS - 1)
    assert opened(world.effects) == []
    world.advance(2)
    [relay] = opened(world.effects)
    start = document(published(world.effects, at(relay))[0], StreamStart)
    assert (start.occurrence, start.starts_at_ms) == (occurrence.id, occurrence.start_at_ms)
    world.advance(PREPARE_MS + occurrence.duration_ms + 10)
    assert closed(world.effects) == [relay.stream]
    assert document(published(world.effects, at(relay))[-1], StreamEnd).ends_at_ms == relay.ends_at_ms
    assert state(world, relay.stream) is RelayState.ENDED


def test_a_planned_relay_keeps_the_order_of_its_area_and_ends_where_its_item_expires(pki: DevelopmentKeys) -> None:
    morning = plain_config(pki)["programmes"][0]
    now_ms = ms(DeskWorld(pki))
    day = dt.datetime.fromtimestamp(now_ms / 1000, tz=zoneinfo.ZoneInfo("Asia/Ho_Chi_Minh")).date()
    items = [{"feed": "vov1", "duration_s": 900, "valid_until": f"{day}T05:35"}]
    ordered = {**morning, "broadcast_class": "priority", "before_upper": True, "items": items}
    world = DeskWorld(pki, programmes=[ordered])
    world.begin()
    plan = world.desk.plan("xa")
    assert plan is not None
    [occurrence] = plan.occurrences
    world.advance(occurrence.start_at_ms - ms(world) - PREPARE_MS + 1)
    [relay] = opened(world.effects)
    start = document(published(world.effects, at(relay))[0], StreamStart)
    assert start.before_upper
    assert start.ends_at_ms == occurrence.start_at_ms + 5 * 60_000 == occurrence.valid_until_ms


def test_the_end_is_cleared_from_the_broker_after_a_while(world: DeskWorld) -> None:
    relay = started(world)
    world.ask(StopRelay(stream=relay.stream))
    world.advance(301_000)
    assert published(world.effects, at(relay))[-1].payload == b""


def test_a_planned_relay_that_was_stopped_stays_stopped_also_after_a_restart(world: DeskWorld) -> None:
    world.advance(5 * 60_000)
    [relay] = opened(world.effects)
    world.ask(StopRelay(stream=relay.stream))
    world.advance(60_000)
    assert len(opened(world.effects)) == 1
    world.restart()
    world.advance(60_000)
    assert opened(world.effects) == []


def test_kill_9_in_the_middle_ends_the_old_stream_and_begins_a_new_one(world: DeskWorld) -> None:
    by_hand = started(world)
    world.advance(5 * 60_000)
    planned = next(each for each in opened(world.effects) if each.occurrence)
    world.restart()
    for relay in (by_hand, planned):
        ends = [document(each, StreamEnd) for each in published(world.effects, at(relay)) if each.payload][-1:]
        assert [each.stream for each in ends] == [relay.stream]
    anew = opened(world.effects)
    assert {(each.area, each.feed, each.occurrence, each.ends_at_ms) for each in anew} == {
        (each.area, each.feed, each.occurrence, each.ends_at_ms) for each in (by_hand, planned)
    }
    assert not {each.stream for each in anew} & {by_hand.stream, planned.stream}


def test_alarms_and_recovery_are_shown(world: DeskWorld) -> None:
    relay = started(world)
    url = "http://station.example/vov1.m3u8"
    world.post(RelayNews(stream=relay.stream, news=RelayStarted(url=url, play_at_ms=ms(world))))
    assert state(world, relay.stream) is RelayState.ON_AIR
    alarm = RelayAlarm(kind=AlarmKind.SILENT, url=url, detail="no level for 20 s", at_ms=ms(world))
    world.post(RelayNews(stream=relay.stream, news=alarm))
    [view] = world.desk.status(world.now).relays
    assert (view.state, "no level for 20 s" in view.reason) == (RelayState.TROUBLED, True)
    world.post(RelayNews(stream=relay.stream, news=RelayRecovered(url=url, at_ms=ms(world))))
    [view] = world.desk.status(world.now).relays
    assert (view.state, view.reason) == (RelayState.ON_AIR, "")


def test_a_worker_that_ends_is_begun_anew_with_growing_waits(world: DeskWorld) -> None:
    stream = started(world).stream
    waits = []
    for _ in range(3):
        world.effects.clear()
        ended_at_ms = ms(world)
        world.post(RelayNews(stream=stream, news=RelayEnded(reason="codec", at_ms=ms(world))))
        while not opened(world.effects):
            world.advance(500)
        waits.append(ms(world) - ended_at_ms)
        stream = opened(world.effects)[0].stream
    assert waits == [1_000, 2_000, 5_000]


def test_a_relay_that_waits_to_be_begun_anew_can_be_stopped_and_stays_stopped(world: DeskWorld) -> None:
    world.advance(5 * 60_000)
    for relay in (started(world), next(each for each in opened(world.effects) if each.occurrence)):
        world.post(RelayNews(stream=relay.stream, news=RelayEnded(reason="codec", at_ms=ms(world))))
        world.effects.clear()
        record = world.ask(StopRelay(stream=relay.stream)).result
        assert isinstance(record, RelayRecord)
        assert (record.stopped, record.reason) == (True, "stopped by request")
        world.advance(60_000)
        assert opened(world.effects) == []
        with pytest.raises(RequestError) as over:
            world.ask(StopRelay(stream=relay.stream))
        assert over.value.code is RequestCode.ALREADY_OVER
    world.restart()
    world.advance(60_000)
    assert opened(world.effects) == []


def test_what_was_begun_by_hand_meanwhile_is_not_begun_a_second_time(world: DeskWorld) -> None:
    for news in (StartRelay(area="doai", feed="vov1", minutes=15), VOV):
        stream = started(world, news).stream
        world.post(RelayNews(stream=stream, news=RelayEnded(reason="codec", at_ms=ms(world))))
    world.effects.clear()
    again = started(world)
    world.advance(60_000)
    assert [each.area for each in opened(world.effects)] == ["dong", "doai"]
    assert opened(world.effects)[0].stream == again.stream


def test_a_relay_whose_programme_was_removed_meanwhile_is_not_begun_anew(world: DeskWorld) -> None:
    world.advance(5 * 60_000)
    [relay] = opened(world.effects)
    world.post(RelayNews(stream=relay.stream, news=RelayEnded(reason="codec", at_ms=ms(world))))
    world.post(SiteChanged(site=site_of(config_of(world.pki, programmes=[]))))
    world.effects.clear()
    world.advance(60_000)
    assert opened(world.effects) == []


def test_a_worker_that_ends_at_its_time_is_not_begun_anew(world: DeskWorld) -> None:
    relay = started(world)
    world.advance(900_000 - 1)
    world.post(RelayNews(stream=relay.stream, news=RelayEnded(reason="its time is over", at_ms=ms(world))))
    world.advance(5_000)
    assert [each for each in opened(world.effects) if each.occurrence is None] == [relay]
    assert [each.reason for each in world.desk.status(world.now).relays if each.stream == relay.stream] == [
        "its time was up"
    ]


def test_a_programme_that_is_removed_ends_its_relay(world: DeskWorld) -> None:
    world.advance(5 * 60_000)
    [relay] = opened(world.effects)
    world.post(SiteChanged(site=site_of(config_of(world.pki, programmes=[]))))
    assert closed(world.effects) == [relay.stream]


def test_a_full_disk_starts_no_relay(world: DeskWorld) -> None:
    world.memory.is_full = True
    with pytest.raises(RequestError) as refused:
        world.ask(VOV)
    assert refused.value.code is RequestCode.NOT_STORED
    assert opened(world.effects) == []


def test_a_planned_relay_that_could_not_be_stored_is_tried_again(world: DeskWorld) -> None:
    world.memory.is_full = True
    world.advance(4 * 60_000)
    assert opened(world.effects) == []
    world.memory.is_full = False
    world.advance(60_000)
    assert [each.occurrence for each in opened(world.effects)] == [opened(world.effects)[0].occurrence]


def test_what_a_worker_says_after_its_end_changes_nothing(world: DeskWorld) -> None:
    relay = started(world)
    world.ask(StopRelay(stream=relay.stream))
    world.effects.clear()
    url = "http://station.example/vov1.m3u8"
    alarm = RelayAlarm(kind=AlarmKind.SILENT, url=url, detail="no level for 20 s", at_ms=ms(world))
    for stream in (relay.stream, "f" * 16):
        for news in (
            RelayStarted(url=url, play_at_ms=ms(world)),
            alarm,
            RelayRecovered(url=url, at_ms=ms(world)),
            RelayEnded(reason="codec", at_ms=ms(world)),
        ):
            world.post(RelayNews(stream=stream, news=news))
    world.advance(60_000)
    assert opened(world.effects) == []
    assert [(each.state, each.reason) for each in world.desk.status(world.now).relays] == [
        (RelayState.ENDED, "stopped by request")
    ]


def test_more_relays_than_one_process_carries_are_refused(pki: DevelopmentKeys) -> None:
    plain = plain_config(pki)
    places = [{"id": f"xom-{number}", "title": "Xóm", "parent": "xa"} for number in range(RUNNING_MAX + 1)]
    world = DeskWorld(pki, areas=[*plain["areas"], *places])
    world.begin()
    for place in places[:-1]:
        started(world, StartRelay(area=place["id"], feed="vov1", minutes=15))
    with pytest.raises(RequestError) as refused:
        started(world, StartRelay(area=places[-1]["id"], feed="vov1", minutes=15))
    assert refused.value.code is RequestCode.TOO_MANY


def test_an_end_is_published_also_where_it_cannot_be_kept(world: DeskWorld) -> None:
    relay = started(world)
    world.memory.is_full = True
    world.ask(StopRelay(stream=relay.stream))
    assert closed(world.effects) == [relay.stream]
    assert document(published(world.effects, at(relay))[-1], StreamEnd).stream == relay.stream


def test_what_is_stopped_before_its_start_is_durable_never_sounds_and_both_are_answered(world: DeskWorld) -> None:
    world.is_holding = True
    world.post(RequestReceived(ticket=90, request=VOV))
    [view] = world.desk.status(world.now).relays
    world.post(RequestReceived(ticket=91, request=StopRelay(stream=view.stream)))
    world.release()
    world.advance(10_000)
    assert opened(world.effects) == []
    answers = {each.ticket: each.result for each in world.effects if isinstance(each, Answer)}
    assert [getattr(answers[ticket], "state", None) for ticket in (90, 91)] == [RelayState.ENDED] * 2


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (StartRelay(area="nowhere", feed="vov1"), RequestCode.UNKNOWN_AREA),
        (StartRelay(area="xa", feed="nothing"), RequestCode.UNKNOWN_FEED),
        (StartRelay(area="xa", feed="vov1", broadcast_class=BroadcastClass.EMERGENCY), RequestCode.BAD_REQUEST),
        (StopRelay(stream="ffffffffffffffff"), RequestCode.UNKNOWN_STREAM),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    world: DeskWorld, request_: StartRelay | StopRelay, code: RequestCode
) -> None:
    with pytest.raises(RequestError) as refused:
        world.ask(request_)
    assert refused.value.code is code


EPOCH = 7


def told(world: DeskWorld, stream: str, *, needs_ms: float, nodes: tuple[str, ...] = ("N001", "N002")) -> None:
    """Nodes say, three statuses long, that their packets come so that they need a delay."""
    delay_ms = next(each.delay_ms for each in world.desk.status(world.now).relays if each.stream == stream) or 0
    for _ in range(3):
        for node in nodes:
            late = needs_ms - delay_ms
            heard = StreamHeard(stream=stream, epoch=EPOCH, packets=3_000, lateness_ms_p99=late, lateness_ms_p999=late)
            said = Telemetry(node=node, at_ms=ms(world), clock_error_ms=1.0, streams=(heard,))
            world.post(MessageReceived(topic=topic(TopicName.TELEMETRY, node=node), payload=json_encode(said)))
        world.advance(5_000)


def flows(world: DeskWorld, stream: str, delay_ms: int = 1_000) -> None:
    """Its worker says that sound flows."""
    world.post(RelayNews(stream=stream, news=RelayTimed(epoch=EPOCH, delay_ms=delay_ms)))


def delayed(world: DeskWorld) -> list[DelayRelay]:
    return [each for each in world.effects if isinstance(each, DelayRelay)]


def test_nodes_that_hear_too_late_give_their_group_a_longer_delay_also_over_a_restart(world: DeskWorld) -> None:
    relay = started(world)
    assert (relay.delay_ms, relay.wanted_delay_ms) == (1_000, 1_000)
    flows(world, relay.stream)
    told(world, relay.stream, needs_ms=1_500.0)
    assert delayed(world) == [DelayRelay(stream=relay.stream, delay_ms=1_600)]
    [view] = [each for each in world.desk.status(world.now).relays if each.stream == relay.stream]
    assert (view.delay_ms, view.delay is not None and view.delay.wanted_ms) == (1_000, 1_600)
    assert view.delay is not None
    assert view.delay.late == ("N001", "N002")
    world.post(RelayNews(stream=relay.stream, news=RelayTimed(epoch=EPOCH + 1, delay_ms=1_600)))
    [view] = [each for each in world.desk.status(world.now).relays if each.stream == relay.stream]
    assert (view.delay_ms, view.delay is not None and view.delay.nodes) == (1_600, 0), "what was told before is void"
    world.ask(StopRelay(stream=relay.stream))
    assert started(world).delay_ms == 1_600
    world.restart()
    world.advance(60_000)
    anew = opened(world.effects)[-1]
    assert (anew.area, anew.delay_ms) == (relay.area, 1_600)
    assert started(world, StartRelay(area="doai", feed="vov1")).delay_ms == 1_000, "another area has its own"


def test_whoever_is_not_of_the_area_moves_nothing(world: DeskWorld) -> None:
    relay = started(world)
    flows(world, relay.stream)
    told(world, relay.stream, needs_ms=3_000.0, nodes=("N003",))
    assert delayed(world) == []
    assert world.desk.status(world.now).relays[0].delay is not None


def test_the_bounds_of_a_new_configuration_hold_at_once(world: DeskWorld, pki: DevelopmentKeys) -> None:
    relay = started(world)
    flows(world, relay.stream)
    told(world, relay.stream, needs_ms=2_500.0)
    assert [each.delay_ms for each in delayed(world)] == [2_600]
    config = config_of(pki, relay={"delay_ms": 1_000, "delay_ms_max": 1_200})
    world.post(SiteChanged(site=site_of(config)))
    world.ask(StopRelay(stream=relay.stream))
    assert started(world).delay_ms == 1_200
