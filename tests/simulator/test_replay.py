"""Recorder and replay: what a pole has done is decided again the same way, and what is decided otherwise is found."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.adapters.flight_recorder import RecorderSettings, flight_files
from edge.events import SelfTestAsked, Wake
from edge.flight.log import Begin, Entry, Gap, Step, pack_block
from protocol.messages import AirTime, HeardBy
from simulator.replay import Replayed, ReplayError, read_log, replay
from tests.support.issuer import HOUR_MS, media, occurrence
from tests.support.pole import T0_MS, Pole

NEWS = media("news")
STREAM = "0123456789abcdef"
ROOMY = 8 * 1024 * 1024


GATHER_S = 0.005
"""Virtual hours pass in a moment: nobody waits for the recorder to gather."""


def settings(folder: Path, *, bytes_max: int = ROOMY, bytes_a_day_max: int = ROOMY) -> RecorderSettings:
    return RecorderSettings(
        folder=folder / "flight", bytes_max=bytes_max, bytes_a_day_max=bytes_a_day_max, gather_s=GATHER_S
    )


def busy_hour(folder: Path, **limits: int) -> Pole:
    """Plan, stream, emergency and all-clear, a power cut, and a second life, with air time and budget counted."""
    pole = Pole(recorder=settings(folder, **limits))
    pole.provide(NEWS)
    pole.introduce(air_time=AirTime(minutes_a_day_max=60), fetch_bytes_a_day_max=10**6)
    pole.send(pole.issuer.plan(occurrence("a", T0_MS + 20_000, NEWS)))
    pole.run_until(T0_MS + 30_000)
    begin_ms = T0_MS + 40_000
    pole.send(pole.issuer.stream_start(STREAM, starts_at_ms=begin_ms))
    pole.stream(STREAM, origin_ms=begin_ms, packets=range(100))
    pole.run_until(begin_ms + 5_000)
    pole.send(pole.issuer.emergency(NEWS, play_at_ms=pole.now_ms + 450))
    pole.run_for(4_000)
    pole.send(pole.issuer.all_clear())
    pole.run_for(15_000)
    pole.disconnect()
    pole.run_for(60_000)
    pole.cut_power()
    pole.run_for(5_000)
    pole.boot()
    pole.connect()
    pole.run_for(40_000)
    pole.stop()
    return pole


def replayed(folder: Path) -> Replayed:
    return replay(read_log(folder / "flight"))


def test_a_busy_hour_is_decided_again_the_same_way(tmp_path: Path) -> None:
    pole = busy_hour(tmp_path)
    found = replayed(tmp_path)
    assert found.differences == []
    assert (found.runs, found.node, found.gaps) == (2, "N001", [])
    assert found.packets >= 90
    told = "\n".join(found.timeline)
    assert told.count("airing started") == sum("started" in airing for airing in pole.airings())
    assert "disconnected" in told


def test_another_decision_is_found_at_its_turn(tmp_path: Path) -> None:
    """A pole that had powered its amplifier a turn too early, as its log would say it."""
    busy_hour(tmp_path)
    entries: list[Entry] = list(read_log(tmp_path / "flight"))
    at = next(
        index
        for index, entry in enumerate(entries)
        if isinstance(entry, Step) and ["PowerAmplifier", True] in entry.decisions
    )
    step = entries[at]
    assert isinstance(step, Step)
    early = [each for each in step.decisions if each[0] != "PowerAmplifier"]
    entries[at] = msgspec.structs.replace(step, decisions=early)
    (difference,) = replay(entries).differences
    assert difference.replayed == [["PowerAmplifier", True]]
    assert difference.recorded == []


def test_a_power_cut_costs_the_torn_block_alone(tmp_path: Path) -> None:
    busy_hour(tmp_path)
    last = flight_files(tmp_path / "flight")[-1]
    data = last.read_bytes()
    for cut in (1, 7, 20, len(data) // 2):
        last.write_bytes(data[:-cut])
        found = replayed(tmp_path)
        assert found.differences == []
        assert any("torn off" in gap for gap in found.gaps)


def test_damage_in_the_middle_costs_its_block(tmp_path: Path) -> None:
    entries: list[Entry] = [a_step(number) for number in range(3)]
    blocks = [pack_block([entry]) for entry in entries]
    damaged = bytearray(blocks[1])
    damaged[15] ^= 0xFF
    path = tmp_path / "flight-000001.lxf"
    path.write_bytes(blocks[0] + damaged + blocks[2])
    read = list(read_log(path))
    assert [isinstance(entry, Gap) for entry in read] == [False, True, False]


def a_step(number: int) -> Step:
    fields: dict[str, Any] = {}
    return Step(
        monotonic_ns=number,
        shared_ns=number,
        error_ns=0,
        is_time_known=True,
        event=Wake.__name__,
        fields=fields,
        openings=[],
        decisions=[],
    )


def test_files_are_bounded_and_a_log_without_its_beginning_is_replayed(tmp_path: Path) -> None:
    pole = Pole(recorder=settings(tmp_path, bytes_max=16 * 1024))
    pole.introduce()
    pole.send(pole.issuer.plan(covers_until_ms=T0_MS + 24 * HOUR_MS))
    for _ in range(40):
        pole.run_for(120_000)
        wait_until_written(pole)
    pole.stop()
    files = flight_files(tmp_path / "flight")
    assert 2 <= len(files) <= 6
    assert sum(path.stat().st_size for path in files) < 3 * 16 * 1024
    first = next(iter(read_log(files[0])))
    assert isinstance(first, Begin)
    assert not first.is_boot
    found = replayed(tmp_path)
    assert found.differences == []
    assert found.settling > 0
    assert found.turns > found.settling


def wait_until_written(pole: Pole) -> None:
    """The recorder's thread has taken what the virtual hours made."""
    deadline_s = time.monotonic() + 5
    while pole.recorder is not None and pole.recorder.waiting and time.monotonic() < deadline_s:
        time.sleep(0.001)


def test_a_day_has_its_bound_and_the_next_one_says_what_is_left_out(tmp_path: Path) -> None:
    """The virtual day (UTC) ends an hour after the pole began."""
    pole = Pole(recorder=settings(tmp_path, bytes_a_day_max=4_000))
    pole.introduce()
    pole.send(pole.issuer.plan(covers_until_ms=T0_MS + 24 * HOUR_MS))
    written = 0
    for minutes in range(2, 80, 2):
        pole.run_for(120_000)
        wait_until_written(pole)
        if minutes == 56:
            written = sum(path.stat().st_size for path in flight_files(tmp_path / "flight"))
    pole.stop()
    assert 1_000 < written < 8_000
    entries = list(read_log(tmp_path / "flight"))
    assert any(isinstance(entry, Gap) and entry.left_out > 10 for entry in entries)
    found = replay(entries)
    assert found.runs == 2
    assert found.differences == []


def test_no_sound_and_no_key_is_written(tmp_path: Path, pki: Any) -> None:
    pole = busy_hour(tmp_path)
    entries = list(read_log(tmp_path / "flight"))
    text = msgspec.msgpack.encode(entries)
    packet = pole.issuer.packet(STREAM, 1, origin_ms=T0_MS + 40_000)
    assert packet[40:] not in text
    assert packet[:36] in text
    secret = pki.folder.joinpath("operations-1.key").read_bytes()
    assert secret not in text


def test_what_is_no_log_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="holds no flight log"):
        list(read_log(tmp_path))
    (tmp_path / "flight-000001.lxf").write_bytes(b"not a log at all")
    with pytest.raises(ReplayError, match="nothing of it can be read"):
        list(read_log(tmp_path))
    with pytest.raises(ReplayError, match="cannot be read"):
        list(read_log(tmp_path / "absent.lxf"))


def test_self_tests_and_what_fell_into_an_outage_are_decided_again_the_same_way(tmp_path: Path) -> None:
    """What the ears said is in the log, and so is what was judged before the power went."""
    pole = Pole(recorder=settings(tmp_path), sensors=tuple(HeardBy))
    pole.provide(NEWS)
    pole.introduce()
    pole.send(pole.issuer.plan(occurrence("slept-through", T0_MS + 120_000, NEWS)))
    for takes_reference in (True, False):
        pole.post(SelfTestAsked(ticket=1, takes_reference=takes_reference))
        pole.run_for(12_000)
    pole.cut_power()
    pole.run_until(T0_MS + 150_000)
    pole.boot()
    pole.connect()
    pole.run_for(20_000)
    pole.stop()
    found = replayed(tmp_path)
    assert found.differences == []
    assert [each.record.verdict.value for each in pole.answers] == ["reference_taken", "passed"]
    assert "missed" in "\n".join(found.timeline)
