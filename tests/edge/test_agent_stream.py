"""Live streams on a pole: verified, in step, silent when they stall, back when they return."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge.adapters.decoder import LibopusDecoder
from protocol.messages import AiringRecord, BroadcastClass, StreamEnd, StreamStart
from protocol.stream import pack_audio, unpack_audio
from protocol.topics import TopicName, topic
from tests.support.issuer import COMMUNE, VILLAGE, key_of, media, occurrence
from tests.support.pole import T0_MS, Pole
from tests.support.speech import encoded
from tests.support.waves import WaveWorkshop, differs_by, stream_wave

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


@pytest.mark.parametrize("aim_ms", [100, 500])
def test_an_aimed_cluster_plays_the_same_stream_later_and_whole(aim_ms: int) -> None:
    """What has passed on the grid has not passed here: its frames wait for the aim."""
    pole = Pole()
    pole.introduce(aiming_delay_us=aim_ms * 1_000)
    start(pole)
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(60))
    pole.run_until(BEGIN_MS + aim_ms + 5_000)
    heard = pole.heard(BEGIN_MS + aim_ms + 50, BEGIN_MS + aim_ms + 4_900)
    assert differs_by(heard, stream_wave(BEGIN_MS, BEGIN_MS + 50, BEGIN_MS + 4_900)) <= 1
    assert not pole.heard(BEGIN_MS, BEGIN_MS + aim_ms - 1).any()


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


def changed(pole: Pole, sequence: int, **changes: Any) -> bytes:
    """A genuine packet with some of its fields as its sender should never have made them, signed all the same."""
    genuine = unpack_audio(
        pole.issuer.packet(STREAM, sequence, origin_ms=BEGIN_MS),
        public_key=key_of(STREAM).public_key().public_bytes_raw(),
        topic=AUDIO,
        stream=STREAM,
    )
    numbers = {"first_sample": 20, "play_at_ns": 28}
    wild = {name: changes.pop(name) for name in numbers if name in changes}  # our own packer refuses some of them
    body = bytearray(pack_audio(replace(genuine, **changes), sign=key_of(STREAM).sign, topic=AUDIO)[:-64])
    for name, number in wild.items():
        body[numbers[name] : numbers[name] + 8] = number.to_bytes(8, "big")
    return bytes(body) + key_of(STREAM).sign(AUDIO.encode() + b"\0" + body)


@pytest.mark.parametrize(
    ("changes", "refused", "faults"),
    [
        ({"first_sample": 48_000 * 3_600}, {}, {"off_grid": 1}),
        ({"first_sample": 2**40}, {"malformed": 1}, {}),
        ({"first_sample": 2**64 - 1}, {"malformed": 1}, {}),
        ({"play_at_ns": 2**64 - 1}, {"malformed": 1}, {}),
        ({"play_at_ns": (T0_MS + 10**9) * 10**6}, {"not_yet_valid": 1}, {}),
        ({"play_at_ns": 2**62}, {"not_yet_valid": 1}, {}),
        ({"play_at_ns": (BEGIN_MS - 60_000) * 10**6}, {"expired": 1}, {}),
        ({"play_at_ns": 0}, {"expired": 1}, {}),
        ({"play_at_ns": (BEGIN_MS + 700) * 10**6}, {}, {"off_grid": 1}),
    ],
)
def test_a_genuine_packet_of_another_time_is_counted_by_its_reason_and_changes_nothing(
    changes: dict[str, int], refused: dict[str, int], faults: dict[str, int]
) -> None:
    pole = listening_pole()
    start(pole)
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(20))
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(21, 60))
    pole.world.at((BEGIN_MS + 1_000) * 10**6, lambda: pole.deliver(AUDIO, changed(pole, 20, **changes), retain=False))
    pole.run_until(BEGIN_MS + 5_000)
    status = pole.telemetry()
    assert status.get("refused", {}) == refused
    assert {name: count for name, count in status["streams"][0].get("faults", {}).items() if name != "late"} == faults
    heard = pole.heard(BEGIN_MS + 50, BEGIN_MS + 1_990)
    assert differs_by(heard, stream_wave(BEGIN_MS, BEGIN_MS + 50, BEGIN_MS + 1_990)) <= 1
    after = pole.heard(BEGIN_MS + 2_150, BEGIN_MS + 4_900)
    assert differs_by(after, stream_wave(BEGIN_MS, BEGIN_MS + 2_150, BEGIN_MS + 4_900)) <= 1
    assert [state for _, state, _ in pole.airings()] == ["started"]


def test_an_epoch_leap_takes_over_at_its_own_first_sample_and_what_was_before_is_replayed() -> None:
    pole = listening_pole()
    start(pole)
    pole.stream(STREAM, origin_ms=BEGIN_MS, packets=range(40))
    leap = changed(pole, 25, epoch=2**32 - 1)
    pole.world.at((BEGIN_MS + 1_450) * 10**6, lambda: pole.deliver(AUDIO, leap, retain=False))
    pole.run_until(BEGIN_MS + 9_000)
    assert pole.telemetry()["refused"] == {"replayed": 15}
    heard = pole.heard(BEGIN_MS + 50, BEGIN_MS + 2_490)
    assert differs_by(heard, stream_wave(BEGIN_MS, BEGIN_MS + 50, BEGIN_MS + 2_490)) <= 1
    assert not pole.heard(BEGIN_MS + 2_800, BEGIN_MS + 9_000).any(), "silence at worst"
    assert not pole.pin.commanded.latest


BAD_FRAMES = {
    "undecodable": b"\xfb\x41",
    "stereo": b"\xfc" + b"\x55" * 60,
    "wrong_duration": b"\xf0" + b"\x55" * 60,
}


class RealDecoders(WaveWorkshop):
    """A workshop with libopus in it."""

    def new_decoder(self) -> LibopusDecoder:
        return LibopusDecoder()


@pytest.mark.parametrize("fault", [*BAD_FRAMES, "pause"])
def test_a_frame_that_is_no_20_ms_of_mono_opus_is_counted_by_its_name_and_the_rest_sounds(fault: str) -> None:
    frames, clean = encoded("speech", 120)
    pole = Pole(workshop=RealDecoders())
    pole.introduce()
    start(pole)
    for place in range(0, 120, 5):
        sent = list(frames[place : place + 5])
        if place == 60:
            sent[2] = BAD_FRAMES.get(fault, b"\x78")
        payload = changed(pole, place // 5, frames=tuple(sent))
        at_ns = (BEGIN_MS + place * 20 - 1_000) * 10**6
        pole.world.at(at_ns, lambda payload=payload: pole.deliver(AUDIO, payload, retain=False))
    pole.run_until(BEGIN_MS + 9_000)
    status = pole.telemetry()
    assert status["streams"][0].get("faults", {}) == ({} if fault == "pause" else {fault: 1})
    assert "refused" not in status
    heard = pole.heard(BEGIN_MS + 100, BEGIN_MS + 1_200).astype(np.float32) / 32768
    expected = clean[100 * 48 : 1_200 * 48]
    assert float(np.abs(heard - expected).max()) < 0.01
    after = pole.heard(BEGIN_MS + 1_300, BEGIN_MS + 2_300)
    assert after.any()
    last = pole.records()[-1]
    assert isinstance(last, AiringRecord)
    assert last.concealed_ms == (100 if fault == "pause" else 120), "100 ms where it ends without an order"


def test_a_communes_stream_goes_before_the_upper_areas_item_only_as_the_commune_ordered() -> None:
    for before_upper, expected in ((True, {STREAM, "upper"}), (False, {"upper"})):
        pole = listening_pole()
        news = media("news", seconds=8)
        pole.provide(news)
        priority = {"broadcast_class": BroadcastClass.PRIORITY}
        pole.send(pole.issuer.plan(occurrence("upper", BEGIN_MS, news, **priority)))
        start(pole, area=VILLAGE, before_upper=before_upper, **priority)
        pole.stream(STREAM, origin_ms=BEGIN_MS + 1_000, packets=range(40))
        pole.run_until(BEGIN_MS + 12_000)
        begun = {source for source, state, _ in pole.airings() if state == "started"}
        assert begun == expected
