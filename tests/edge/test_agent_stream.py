"""Live streams on a pole: verified, in step, silent when they stall, back when they return."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.messages import StreamEnd, StreamStart
from protocol.topics import TopicName, topic
from tests.support.issuer import COMMUNE, VILLAGE, key_of, media, occurrence
from tests.support.pole import T0_MS, Pole
from tests.support.waves import differs_by, stream_wave

STREAM = "0123456789abcdef"
AUDIO = topic(TopicName.AUDIO, stream=STREAM)
BEGIN_MS = T0_MS + 10_000
RELAY = "relay-0600"


def listening_pole() -> Pole:
    pole = Pole()
    pole.introduce()
    return pole


def start(pole: Pole, **changes: Any) -> None:
    pole.send(pole.issuer.stream_start(STREAM, starts_at_ms=BEGIN_MS, **changes))


def test_plays_in_step_from_the_first_sample_and_is_warm_by_then() -> None:
    pole = listening_pole()
    start(pole)
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(60))
    pole.run_until(BEGIN_MS + 5_000)
    heard = pole.heard(BEGIN_MS + 50, BEGIN_MS + 4_900)
    assert differs_by(heard, stream_wave(BEGIN_MS, BEGIN_MS + 50, BEGIN_MS + 4_900)) <= 1
    assert pole.airings() == [(STREAM, "started", "on time")]
    assert pole.telemetry()["sounding"]["title"] == "VOV1"
    assert pole.unpowered_samples() == 0


def test_without_packets_nothing_is_powered() -> None:
    pole = listening_pole()
    start(pole)
    pole.run_until(BEGIN_MS + 60_000)
    assert len(pole.pin.commanded.changes()) == 1


def test_ends_at_its_order() -> None:
    pole = listening_pole()
    start(pole)
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(60))
    pole.run_until(BEGIN_MS + 3_000)
    pole.send(pole.issuer.stream_end(STREAM, ends_at_ms=BEGIN_MS + 3_500))
    pole.run_until(BEGIN_MS + 7_000)
    assert pole.heard(BEGIN_MS + 3_100, BEGIN_MS + 3_490).all()
    assert not pole.heard(BEGIN_MS + 3_550, BEGIN_MS + 7_000).any()
    assert not pole.pin.commanded.latest
    assert pole.airings()[-1][:2] == (STREAM, "finished")
    pole.run_for(5_000)
    assert AUDIO not in pole.subscribed


def test_a_stall_ends_it_unpowers_and_its_return_brings_it_back_in_step() -> None:
    pole = listening_pole()
    start(pole)
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(30))
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(150, 200))
    pole.run_until(BEGIN_MS + 10_000)
    assert not pole.pin.commanded.latest
    assert pole.airings()[1] == (STREAM, "finished", "stalled")
    pole.run_until(BEGIN_MS + 19_000)
    begin = BEGIN_MS + 15_100
    assert differs_by(pole.heard(begin, begin + 3_000), stream_wave(BEGIN_MS, begin, begin + 3_000)) <= 1
    assert [state for _, state, _ in pole.airings()] == ["started", "finished", "started"]


def test_a_short_gap_is_bridged_and_the_timeline_stays() -> None:
    pole = listening_pole()
    start(pole)
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(20))
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(25, 60))
    pole.run_until(BEGIN_MS + 5_000)
    begin = BEGIN_MS + 2_550
    assert differs_by(pole.heard(begin, begin + 2_000), stream_wave(BEGIN_MS, begin, begin + 2_000)) <= 1
    assert [state for _, state, _ in pole.airings()] == ["started"]


def test_audio_of_a_stream_that_was_never_started_is_not_asked_for_and_refused() -> None:
    pole = listening_pole()
    assert AUDIO not in pole.subscribed
    pole.subscribe([(AUDIO, 0)])
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(30))
    pole.run_until(BEGIN_MS + 32_000)
    assert pole.telemetry()["refused"] == {"unknown_stream": 30}
    assert len(pole.pin.commanded.changes()) == 1


def test_forged_and_repeated_packets_are_silence_and_counted() -> None:
    pole = listening_pole()
    start(pole)
    pole.run_until(BEGIN_MS - 900)
    genuine = [pole.issuer.packet(STREAM, sequence, origin_ms=BEGIN_MS) for sequence in (5, 4)]
    forged = pole.issuer.packet(STREAM, 6, origin_ms=BEGIN_MS, key="thief")
    for payload in (*genuine, genuine[0], forged, genuine[0][:-1], b"LX"):
        pole.deliver(AUDIO, payload, retain=False)
    pole.run_until(BEGIN_MS + 40_000)
    assert pole.telemetry()["refused"] == {"replayed": 2, "bad_signature": 2, "malformed": 1}
    assert not pole.heard(BEGIN_MS + 750, BEGIN_MS + 40_000).any()


def test_a_start_for_another_commune_is_refused() -> None:
    pole = listening_pole()
    document = pole.issuer.stream_start(STREAM, starts_at_ms=BEGIN_MS, area="xa-khac")
    name = topic(TopicName.STREAM, area="xa-khac", stream=STREAM)
    pole.subscribe([(name, 1)])
    pole.deliver(name, pole.issuer.seal(document, name))
    pole.run_until(BEGIN_MS + 31_000)
    assert pole.telemetry()["refused"] == {"wrong_audience": 1}
    assert AUDIO not in pole.subscribed


def test_a_planned_relay_without_a_stream_is_missed_with_its_reason() -> None:
    pole = listening_pole()
    pole.send(pole.issuer.plan(occurrence(RELAY, BEGIN_MS, duration_ms=20_000)))
    pole.run_until(BEGIN_MS + 21_000)
    assert pole.airings() == [(RELAY, "missed", "no_stream")]
    assert len(pole.pin.commanded.changes()) == 1


def test_a_planned_relay_that_a_stream_served_is_not_missed() -> None:
    pole = listening_pole()
    pole.send(pole.issuer.plan(occurrence(RELAY, BEGIN_MS, duration_ms=8_000)))
    start(pole, occurrence=RELAY, ends_at_ms=BEGIN_MS + 8_000)
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(80))
    pole.run_until(BEGIN_MS + 12_000)
    assert pole.airings() == [(STREAM, "started", "on time"), (STREAM, "finished", "finished")]


def test_a_routine_relay_gives_way_to_a_priority_item_and_comes_back() -> None:
    pole = listening_pole()
    notice = media("notice", seconds=3)
    pole.provide(notice)
    pole.send(pole.issuer.plan(occurrence("n", BEGIN_MS + 4_000, notice, broadcast_class="priority")))
    start(pole)
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(120))
    pole.run_until(BEGIN_MS + 11_000)
    assert [airing[:2] for airing in pole.airings()] == [
        (STREAM, "started"),
        (STREAM, "finished"),
        ("n", "started"),
        ("n", "finished"),
        (STREAM, "started"),
    ]
    begin = BEGIN_MS + 7_100
    assert differs_by(pole.heard(begin, begin + 3_000), stream_wave(BEGIN_MS, begin, begin + 3_000)) <= 1


def test_an_old_stream_is_forgotten_on_the_card() -> None:
    pole = listening_pole()
    start(pole, expires_at_ms=BEGIN_MS + 10_000, ends_at_ms=BEGIN_MS + 10_000)
    pole.run_until(BEGIN_MS + 2_000)
    name = topic(TopicName.STREAM, area=COMMUNE, stream=STREAM)
    assert name in pole.sd_card.documents
    pole.run_until(BEGIN_MS + 40_000)
    assert name not in pole.sd_card.documents
    assert not [place for place in pole.sd_card.counters if place[1] == name]


@pytest.mark.parametrize("trick", ["takes it over", "ends it", "shortens it"])
def test_a_stream_is_the_areas_that_began_it(trick: str) -> None:
    pole = listening_pole()
    start(pole)
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(60))
    pole.run_until(BEGIN_MS + 2_000)
    issuer = pole.issuer
    foreign: dict[str, StreamStart | StreamEnd] = {
        "takes it over": issuer.stream_start(
            STREAM, starts_at_ms=BEGIN_MS, area=VILLAGE, public_key=key_of("another").public_key().public_bytes_raw()
        ),
        "ends it": issuer.stream_end(STREAM, ends_at_ms=BEGIN_MS + 2_000, area=VILLAGE),
        "shortens it": issuer.stream_start(
            STREAM, starts_at_ms=BEGIN_MS, area=VILLAGE, ends_at_ms=BEGIN_MS + 3_000, expires_at_ms=BEGIN_MS + 600_000
        ),
    }
    pole.send(foreign[trick])
    pole.run_until(BEGIN_MS + 5_000)
    heard = pole.heard(BEGIN_MS + 50, BEGIN_MS + 4_900)
    assert differs_by(heard, stream_wave(BEGIN_MS, BEGIN_MS + 50, BEGIN_MS + 4_900)) <= 1
    assert pole.telemetry()["refused"] == {"wrong_audience": 1}


def test_of_two_areas_that_begin_a_stream_at_once_the_first_has_it() -> None:
    pole = listening_pole()
    starts = [pole.issuer.stream_start(STREAM, starts_at_ms=BEGIN_MS, area=area) for area in (COMMUNE, VILLAGE)]
    for each in starts:
        pole.send(each)
    pole.run_for(2_000)
    assert [decision.fields[-2] for decision in pole.decisions if decision.decision == "refused"] == [
        ("reason", "wrong_audience")
    ]
