"""Media over a simulated network onto a simulated card: resumed, verified, bounded, and refused when they are wrong."""

from __future__ import annotations

import hashlib

import pytest

from edge.effects import FetchMedia
from edge.errors import MediaFailure
from edge.events import BodyFetched, Event, MediaFailed, MediaFetched
from protocol.messages import BroadcastClass
from protocol.plan import BodyReference
from protocol.units import NS_PER_S
from simulator.network.delay import MOBILE
from simulator.network.network import Network
from simulator.pole.disk import Disk
from simulator.pole.media_files import FOLDER, SimulatedMediaStore
from simulator.services.media_server import FOLD_BYTES, MediaServer, Recording, folded, recording
from simulator.world import World

MIB = 1024 * 1024
SMALL = recording("jingle", duration_ms=5_000)
LARGE = recording("speech", duration_ms=40 * 60_000)


class Pole:
    """A card, a line and a store; the server has every file."""

    def __init__(self, *, bytes_max: int = 1024 * MIB, capacity_bytes: int = 1024 * MIB) -> None:
        self.world = World(seed=1)
        self.network = Network(self.world)
        self.host = self.network.add_host("N001", MOBILE)
        self.server = MediaServer(self.world)
        self.disk = Disk(self.world, "N001", capacity_bytes=capacity_bytes)
        self.events: list[Event] = []
        self._bytes_max = bytes_max
        self.boot()
        for each in (SMALL, LARGE):
            self.server.publish(each)

    def boot(self) -> None:
        self.store = SimulatedMediaStore(
            self.world,
            self.disk,
            self.host,
            self.server,
            bytes_max=self._bytes_max,
            free_bytes_min=0,
            post=self.events.append,
        )

    def fetch(self, file: Recording, *, seconds: float = 120, keep: frozenset[str] = frozenset()) -> Event:
        count = len(self.events)
        self.store.fetch(FetchMedia(reference=file.reference, keep=keep))
        self.world.run_for(int(seconds * NS_PER_S))
        assert len(self.events) == count + 1
        return self.events[-1]


def reason(event: Event) -> MediaFailure:
    assert isinstance(event, MediaFailed), event
    return event.reason


def test_a_file_arrives_whole_and_takes_the_time_that_its_line_needs() -> None:
    pole = Pole()
    assert pole.fetch(SMALL) == MediaFetched(sha256=SMALL.sha256, received_bytes=SMALL.size_bytes)
    assert pole.store.present() == {SMALL.sha256}
    assert pole.store.content(SMALL.sha256) == folded(SMALL.sha256, SMALL.size_bytes)
    assert pole.fetch(SMALL, seconds=0.001) == MediaFetched(sha256=SMALL.sha256)
    pole.store.fetch(FetchMedia(reference=LARGE.reference, keep=frozenset()))
    needed_s = LARGE.size_bytes * 8 / MOBILE.down_bps
    pole.world.run_for(int(0.9 * needed_s * NS_PER_S))
    assert LARGE.sha256 not in pole.store.present()
    pole.world.run_for(int(needed_s * NS_PER_S))
    assert LARGE.sha256 in pole.store.present()
    assert pole.host.traffic.down_bytes > LARGE.size_bytes


def test_what_has_arrived_stays_when_the_line_is_cut_and_is_gone_on_from() -> None:
    pole = Pole()
    pole.store.fetch(FetchMedia(reference=LARGE.reference, keep=frozenset()))
    pole.world.run_for(5 * NS_PER_S)
    pole.network.cut("N001")
    pole.world.run_for(30 * NS_PER_S)
    assert reason(pole.events[-1]) is MediaFailure.UNREACHABLE
    pole.network.heal("N001")
    served = pole.server.served_bytes
    assert isinstance(pole.fetch(LARGE), MediaFetched)
    assert pole.server.served_bytes - served < LARGE.size_bytes * 0.8


def test_a_power_cut_while_it_arrives_never_makes_a_wrong_file() -> None:
    pole = Pole()
    for _ in range(8):
        pole.store.fetch(FetchMedia(reference=LARGE.reference, keep=frozenset()))
        pole.world.run_for(4 * NS_PER_S)
        pole.store.close()
        pole.disk.lose_power()
        pole.boot()
    for sha256 in pole.store.present():
        assert pole.store.content(sha256) == folded(LARGE.sha256, LARGE.size_bytes)
    for _ in range(2):  # a torn part is found out by its hash, and then it begins anew
        if LARGE.sha256 not in pole.store.present():
            pole.fetch(LARGE)
    assert pole.store.content(LARGE.sha256) == folded(LARGE.sha256, LARGE.size_bytes)


def test_what_the_server_does_wrong_has_its_name() -> None:
    pole = Pole()
    pole.server.spoil(SMALL.sha256)
    assert reason(pole.fetch(SMALL)) is MediaFailure.WRONG_HASH
    pole.server.withdraw(SMALL.sha256)
    assert reason(pole.fetch(SMALL)) is MediaFailure.NOT_FOUND
    pole.server.is_up = False
    assert reason(pole.fetch(SMALL)) is MediaFailure.UNREACHABLE
    pole.server.is_up = True
    pole.server.publish(SMALL)
    assert isinstance(pole.fetch(SMALL), MediaFetched)


def test_room_is_made_by_what_was_used_longest_ago_and_nothing_needs() -> None:
    files = [recording(f"item {number}", duration_ms=120_000) for number in range(4)]
    pole = Pole(bytes_max=3 * files[0].size_bytes + 20_000)
    for file in files:
        pole.server.publish(file)
    for file in files[:3]:
        pole.fetch(file)
    pole.store.content(files[0].sha256)
    event = pole.fetch(files[3], keep=frozenset({files[1].sha256}))
    assert event == MediaFetched(sha256=files[3].sha256, evicted=(files[2].sha256,), received_bytes=files[3].size_bytes)
    everything = frozenset(file.sha256 for file in files)
    assert reason(pole.fetch(LARGE, keep=everything)) is MediaFailure.TOO_LARGE
    pole.store.discard(files[0].sha256)
    assert not pole.disk.exists(FOLDER + files[0].sha256)


def test_a_full_card_is_said_to_be_full() -> None:
    pole = Pole(capacity_bytes=SMALL.size_bytes // 2)
    assert reason(pole.fetch(SMALL)) is MediaFailure.DISK_FULL


def test_a_slice_brings_so_much_and_the_next_goes_on_behind_it() -> None:
    pole = Pole()
    pole.server.publish(LARGE)
    slice_bytes = 2 * LARGE.size_bytes // 3
    received = 0
    for _ in range(2):
        pole.store.fetch(FetchMedia(reference=LARGE.reference, keep=frozenset(), bytes_max=slice_bytes))
        pole.world.run_for(600 * 10**9)
        event = pole.events[-1]
        assert isinstance(event, MediaFailed | MediaFetched)
        assert 0 < event.received_bytes <= slice_bytes
        received += event.received_bytes
    assert isinstance(event, MediaFetched)
    assert received == pytest.approx(LARGE.size_bytes, abs=2 * FOLD_BYTES)
    assert isinstance(pole.events[0], MediaFailed)
    assert pole.events[0].reason is MediaFailure.PARTLY


def test_for_what_is_urgent_the_plans_own_files_go_last() -> None:
    files = [recording(f"item {number}", duration_ms=120_000) for number in range(4)]
    pole = Pole(bytes_max=3 * files[0].size_bytes + 20_000)
    for file in files:
        pole.server.publish(file)
    for file in files[:3]:
        pole.fetch(file)
    spare = (files[2].sha256, files[0].sha256)
    pole.store.fetch(FetchMedia(reference=files[3].reference, keep=frozenset({files[1].sha256}), spare=spare))
    pole.world.run_for(600 * 10**9)
    event = pole.events[-1]
    assert isinstance(event, MediaFetched)
    assert event.evicted == (files[2].sha256,)


def test_a_plans_body_is_handed_over_and_not_kept() -> None:
    pole = Pole()
    content = b"what stands in a plan" * 1_000
    body = BodyReference(
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        occurrences=1,
        classes=(BroadcastClass.ROUTINE,),
        ends_at_ms=1,
    )
    pole.server.publish_body(body.sha256, content)
    pole.store.fetch(FetchMedia(reference=body, keep=frozenset()))
    pole.world.run_for(60 * NS_PER_S)
    assert isinstance(pole.events[-1], BodyFetched)
    assert pole.events[-1].content == content
    assert pole.store.present() == frozenset()
    pole.server.withdraw(body.sha256)
    pole.store.fetch(FetchMedia(reference=body, keep=frozenset()))
    pole.world.run_for(60 * NS_PER_S)
    assert reason(pole.events[-1]) is MediaFailure.NOT_FOUND
