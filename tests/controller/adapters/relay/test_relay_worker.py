"""The relay worker from a real station to signed packets that decode to the station's sound."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from controller.adapters.relay.relay_worker import RelayWorker
from controller.configuration.config import FeedConfig, RelayConfig
from controller.streams.feed_watch import AlarmKind
from controller.streams.levelling import gated_level_dbfs
from controller.streams.relay import RelayAlarm, RelayEnded, RelayEvent, RelayRecovered, RelayStarted, RelayTimed
from protocol.adapters.system_clock import read_now
from protocol.errors import Refusal
from protocol.stream import AudioPacket, unpack_audio
from protocol.units import NS_PER_S, SharedNs
from simulator.demo.disturbance import Part
from simulator.demo.machine_watch import MachineWatch
from simulator.demo.station import Station
from simulator.demo.station_pages import Fault
from tests.support.recordings import decode_opus, find, read_wav
from tests.support.waiting import until

pytestmark = pytest.mark.alone

STREAM = "00112233aabbccdd"
TOPIC = f"loaxa/1/stream/{STREAM}/opus"
CONFIG = RelayConfig(silence_s_max=1.0, stall_s_max=0.5)
STOP_S_MAX = 0.6


@dataclass
class Poles:
    """What leaves the worker, with the time at which it did."""

    packets: list[tuple[int, AudioPacket]] = field(default_factory=list)
    events: list[RelayEvent] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def told(self, kind: type[RelayEvent]) -> list[RelayEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    def alarms(self) -> list[AlarmKind]:
        return [event.kind for event in self.events if isinstance(event, RelayAlarm)]


@asynccontextmanager
async def relaying(
    *urls: str, lasts_ms: int = 600_000, headers: dict[str, str] | None = None
) -> AsyncIterator[tuple[RelayWorker, Poles]]:
    poles, now_ms = Poles(), read_now().shared_ms

    def take(topic: str, data: bytes) -> None:
        poles.raw.append(data)
        packet = unpack_audio(data, public_key=worker.public_key, topic=topic, stream=STREAM)
        poles.packets.append((read_now().shared_ns, packet))

    worker = RelayWorker(
        config=CONFIG,
        feed=FeedConfig(id="vov1", title="VOV1", urls=urls, headers=headers or {}),
        stream=STREAM,
        starts_at_ms=now_ms,
        ends_at_ms=now_ms + lasts_ms,
        publish=take,
        read_now=read_now,
        on_event=poles.events.append,
        probe_every_s=1.0,
    )

    await worker.start()
    try:
        yield worker, poles
    finally:
        await worker.stop()
        assert not worker.is_running


@pytest.mark.parametrize("mount", ["mp3", "hls-aac"])
async def test_packets_decode_to_the_stations_sound_levelled(station: Station, mount: str) -> None:
    async with relaying(station.urls[mount]) as (_worker, poles):
        await until(lambda: len(poles.packets) >= 45, seconds=12)
    packets = [packet for _at, packet in poles.packets]
    sound = decode_opus(frame for packet in packets for frame in packet.frames)[24_000:]
    assert find(sound, read_wav(station.programme)).likeness > 0.95
    assert gated_level_dbfs(sound) == pytest.approx(-20.0, abs=3.0), "levelled within seconds"
    assert poles.alarms() == []
    started = poles.told(RelayStarted)
    assert len(started) == 1
    for (_, one), (_, other) in pairwise(poles.packets):
        assert other.first_sample == one.first_sample + 960 * len(one.frames)
        assert other.sequence == one.sequence + 1


@pytest.mark.slow
async def test_hls_that_has_just_gone_on_air_is_relayed_without_a_gap(station: Station) -> None:
    for fault in (Fault.SILENT, Fault.NONE):  # begins the playlist anew: it holds one segment
        await asyncio.to_thread(station.set_fault, "hls-aac", fault)
    async with relaying(station.urls["hls-aac"]) as (_worker, poles):
        await until(lambda: len(poles.packets) >= 45, seconds=20)
    assert poles.alarms() == []
    for (_, one), (_, other) in pairwise(poles.packets):
        assert other.first_sample == one.first_sample + 960 * len(one.frames)


async def test_packets_leave_in_time_and_never_ahead(station: Station) -> None:
    machine = MachineWatch()
    machine.follow({"this test": (os.getpid(), Part.NODE)})
    machine.start()
    try:
        async with relaying(station.urls["hls-aac"]) as (_worker, poles):
            await until(lambda: len(poles.packets) >= 25, seconds=20)
    finally:
        machine.stop()
    in_time = 0
    for at_ns, packet in poles.packets:
        lead_ms = (packet.play_at_ns - at_ns) / 1e6
        assert lead_ms <= CONFIG.delay_ms - 20 * len(packet.frames), "a bursting feed does not run ahead"
        held_up = machine.between(SharedNs(at_ns - NS_PER_S), SharedNs(at_ns))
        assert lead_ms > 600 or held_up, "a packet is late of itself"
        in_time += lead_ms > 600
    assert in_time >= 0.8 * len(poles.packets), "this machine is too busy to show anything"


async def test_a_delay_that_its_group_gets_before_the_first_sound_is_that_of_its_packets(station: Station) -> None:
    async with relaying(station.urls["mp3"]) as (worker, poles):
        worker.want_delay(2_500)
        await until(lambda: poles.packets, seconds=10)
        at_ns, packet = poles.packets[0]
    assert [event.delay_ms for event in poles.told(RelayTimed) if isinstance(event, RelayTimed)] == [2_500]
    assert 1_200 < (packet.play_at_ns - at_ns) / 1e6 <= 2_500 - 20 * len(packet.frames)


async def test_a_packet_is_worth_nothing_elsewhere(station: Station) -> None:
    async with relaying(station.urls["mp3"]) as (worker, poles):
        await until(lambda: poles.raw, seconds=10)
        with pytest.raises(Refusal, match="bad_signature"):
            unpack_audio(
                poles.raw[0], public_key=worker.public_key, topic="loaxa/1/stream/ffffffffffffffff/opus", stream=STREAM
            )


async def test_stop_is_prompt_and_told(station: Station) -> None:
    async with relaying(station.urls["hls-mp3"]) as (worker, poles):
        await until(lambda: poles.packets, seconds=10)
        begin = time.monotonic()
        await worker.stop("no longer wanted")
        assert time.monotonic() - begin < STOP_S_MAX
        await until(lambda: poles.told(RelayEnded))
        assert [event.reason for event in poles.events if isinstance(event, RelayEnded)] == ["no longer wanted"]
        count = len(poles.packets)
        await asyncio.sleep(0.3)
        assert len(poles.packets) == count


async def test_it_ends_by_itself_at_its_time(station: Station) -> None:
    async with relaying(station.urls["mp3"], lasts_ms=2_500) as (worker, poles):
        await until(lambda: poles.told(RelayEnded) and not worker.is_running, seconds=8)
    last = poles.packets[-1][1]
    first_ms = poles.packets[0][0] / 1e6
    assert last.play_at_ns / 1e6 + 20 * len(last.frames) < first_ms + 2_600


@pytest.mark.parametrize(
    ("mount", "fault", "kind"),
    [
        ("aac", Fault.GONE, AlarmKind.HTTP_STATUS),
        pytest.param("mp3", Fault.SILENT, AlarmKind.SILENT, marks=[pytest.mark.slow, pytest.mark.lengthy]),
        ("hls-aac", Fault.HTML, AlarmKind.NOT_AUDIO),
        ("hls-aac", Fault.NEEDS_REFERER, AlarmKind.HTTP_STATUS),
    ],
)
async def test_a_fault_has_its_name_and_its_end(station: Station, mount: str, fault: Fault, kind: AlarmKind) -> None:
    await asyncio.to_thread(station.set_fault, mount, fault)
    try:
        async with relaying(station.urls[mount]) as (_worker, poles):
            await until(lambda: kind in poles.alarms(), seconds=10)
            alarm = next(event for event in poles.events if isinstance(event, RelayAlarm))
            assert (alarm.url, bool(alarm.detail)) == (station.urls[mount], True)
            assert poles.told(RelayRecovered) == []
            await asyncio.to_thread(station.set_fault, mount, Fault.NONE)
            await until(lambda: poles.told(RelayRecovered), seconds=15)
            count = len(poles.packets)
            await until(lambda: len(poles.packets) > count + 5, seconds=5)
    finally:
        await asyncio.to_thread(station.set_fault, mount, Fault.NONE)


@pytest.mark.slow
async def test_a_station_that_stops_sending_is_stalled_and_comes_back_in_step(station: Station) -> None:
    async with relaying(station.urls["ogg"]) as (_worker, poles):
        await until(lambda: len(poles.packets) > 5, seconds=10)
        await asyncio.to_thread(station.set_fault, "ogg", Fault.STOPS_SENDING)
        try:
            await until(lambda: AlarmKind.STALLED in poles.alarms(), seconds=15)
            await until(lambda: _is_quiet(poles), seconds=10)
        finally:
            await asyncio.to_thread(station.set_fault, "ogg", Fault.NONE)
        count = len(poles.packets)
        await until(lambda: len(poles.packets) > count + 5 and poles.told(RelayRecovered), seconds=20)
    timeline = {round((packet.play_at_ns - packet.first_sample * 1e9 / 48_000) / 1e5) for _, packet in poles.packets}
    assert len(timeline) == 1, "one timeline before and after the gap"


async def test_the_next_address_takes_over(station: Station) -> None:
    async with relaying("http://127.0.0.1:1/dead", station.urls["mp3"]) as (_worker, poles):
        await until(lambda: len(poles.packets) > 5, seconds=10)
        assert poles.alarms() == [AlarmKind.UNREACHABLE]
        assert [event.url for event in poles.events if isinstance(event, RelayRecovered)] == [station.urls["mp3"]]


async def test_the_first_address_is_taken_back_when_it_sounds_again(station: Station) -> None:
    first, second = station.urls["aac"], station.urls["mp3"]
    await asyncio.to_thread(station.set_fault, "aac", Fault.GONE)
    try:
        async with relaying(first, second) as (worker, poles):
            await until(lambda: len(poles.packets) > 5, seconds=10)
            assert worker.url == second
            await asyncio.to_thread(station.set_fault, "aac", Fault.NONE)
            await until(lambda: worker.url == first, seconds=15)
            count = len(poles.packets)
            await until(lambda: len(poles.packets) > count + 20, seconds=10)
            assert poles.alarms() == [AlarmKind.HTTP_STATUS], "probing is no news"
    finally:
        await asyncio.to_thread(station.set_fault, "aac", Fault.NONE)
    for (_, one), (_, other) in pairwise(poles.packets):
        assert other.first_sample == one.first_sample + 960 * len(one.frames), "poles notice nothing"


def _is_quiet(poles: Poles) -> bool:
    return read_now().shared_ns - poles.packets[-1][0] > 1_000_000_000
