"""Media over HTTPS with certificates: whole or not at all, resumed, bounded, each failure by its name."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.adapters.media import HttpsMediaStore, MediaSettings
from edge.adapters.media_files import mark_used
from edge.effects import FetchMedia
from edge.errors import MediaFailure
from edge.events import BodyFetched, Event, MediaFailed, MediaFetched
from protocol.messages import BroadcastClass, MediaReference
from protocol.plan import BodyReference
from tests.support.media_server import MediaServer, media_server
from tests.support.pki import DevelopmentKeys
from tests.support.waiting import until_blocking

FILE = os.urandom(200_000)
SHA = hashlib.sha256(FILE).hexdigest()


class MediaBench:
    """A server and a node's media store beside each other."""

    def __init__(self, server: MediaServer, folder: Path, context: ssl.SSLContext) -> None:
        self.server = server
        self.folder = folder
        self.context = context
        self.events: list[Event] = []
        self.store = self.open()

    def open(self, *, bytes_max: int = 10**7, free_bytes_min: int = 0, url: str = "") -> HttpsMediaStore:
        """Another store on the same folder."""
        settings = MediaSettings(
            url=url or self.server.url,
            folder=self.folder,
            bytes_max=bytes_max,
            free_bytes_min=free_bytes_min,
            context=self.context,
        )
        return HttpsMediaStore(settings, post=self.events.append)

    def fetch(
        self,
        sha256: str = SHA,
        *,
        size_bytes: int = len(FILE),
        store: HttpsMediaStore | None = None,
        keep: str = "",
        spare: tuple[str, ...] = (),
        bytes_max: int | None = None,
    ) -> Event:
        """Ask for a file and wait for the answer."""
        count = len(self.events)
        reference = MediaReference(sha256=sha256, size_bytes=size_bytes, duration_ms=5_000)
        effect = FetchMedia(reference=reference, keep=frozenset({keep}), spare=spare, bytes_max=bytes_max)
        (store or self.store).fetch(effect)
        until_blocking(lambda: len(self.events) > count, what="an answer")
        return self.events[-1]

    def refusal(self, sha256: str = SHA, **how: object) -> MediaFailure:
        """Ask for a file that does not arrive."""
        event = self.fetch(sha256, **how)  # type: ignore[arg-type] # a test's own choice
        assert isinstance(event, MediaFailed), event
        assert event.detail
        return event.reason


@pytest.fixture
def bench(tmp_path: Path, pki: DevelopmentKeys) -> Iterator[MediaBench]:
    node = pki.folder / "nodes" / "N001"
    context = ssl.create_default_context(cafile=str(pki.folder / "ca.pem"))
    context.load_cert_chain(node / "node.pem", node / "node.key")
    with media_server(pki.folder) as server:
        server.files[SHA] = FILE
        made = MediaBench(server, tmp_path / "media", context)
        yield made
        made.store.close()


def test_arrives_whole_and_verified(bench: MediaBench) -> None:
    assert bench.fetch() == MediaFetched(sha256=SHA, received_bytes=len(FILE))
    assert bench.store.path(SHA).read_bytes() == FILE
    assert bench.store.present() == {SHA}
    assert bench.fetch() == MediaFetched(sha256=SHA)
    assert len(bench.server.ranges) == 1


def test_a_line_that_breaks_is_resumed_where_it_broke(bench: MediaBench) -> None:
    bench.server.cut_after = 70_000
    assert bench.refusal() is MediaFailure.UNREACHABLE
    assert bench.store.present() == frozenset()
    bench.store.close()
    bench.store = bench.open()
    assert bench.refusal() is MediaFailure.UNREACHABLE
    bench.server.cut_after = None
    assert bench.fetch() == MediaFetched(sha256=SHA, received_bytes=len(FILE) - 140_000)
    assert bench.server.ranges == [None, "bytes=70000-", "bytes=140000-"]
    assert bench.store.path(SHA).read_bytes() == FILE


def test_a_part_that_was_whole_when_the_power_went_needs_no_network(bench: MediaBench) -> None:
    (bench.folder / f"{SHA}.part").write_bytes(FILE)
    assert bench.fetch() == MediaFetched(sha256=SHA)
    assert bench.server.ranges == []


def test_other_bytes_than_the_plan_says_are_never_kept(bench: MediaBench) -> None:
    bench.server.files[SHA] = bytes(len(FILE))
    assert bench.refusal() is MediaFailure.WRONG_HASH
    assert list(bench.folder.iterdir()) == []


def test_a_shorter_file_on_the_server_is_wrong(bench: MediaBench) -> None:
    (bench.folder / f"{SHA}.part").write_bytes(FILE[:1000])
    bench.server.files[SHA] = FILE[:500]
    assert bench.refusal() is MediaFailure.WRONG_HASH


def test_a_larger_file_than_the_plan_says_is_cut_off(bench: MediaBench) -> None:
    assert bench.refusal(size_bytes=1_000) is MediaFailure.TOO_LARGE
    assert list(bench.folder.iterdir()) == []


def test_a_file_that_is_not_there_is_not_found(bench: MediaBench) -> None:
    assert bench.refusal("ab" * 32) is MediaFailure.NOT_FOUND


@pytest.mark.parametrize("status", [500, 503, 403, 301])
def test_a_server_in_trouble_is_unreachable(bench: MediaBench, status: int) -> None:
    bench.server.status = status
    assert bench.refusal() is MediaFailure.UNREACHABLE


def test_a_server_that_sends_another_range_is_not_believed(bench: MediaBench) -> None:
    (bench.folder / f"{SHA}.part").write_bytes(FILE[:1000])
    bench.server.shifts_ranges = True
    assert bench.refusal() is MediaFailure.UNREACHABLE
    bench.server.shifts_ranges = False
    assert bench.fetch() == MediaFetched(sha256=SHA, received_bytes=len(FILE))


def test_nobody_listening_is_unreachable(bench: MediaBench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = bench.open(url=f"https://localhost:{port}")
    assert bench.refusal(store=store) is MediaFailure.UNREACHABLE
    store.close()


def test_a_server_with_a_certificate_of_somebody_else_is_not_believed(bench: MediaBench) -> None:
    stranger = ssl.create_default_context()
    settings = MediaSettings(
        url=bench.server.url, folder=bench.folder, bytes_max=10**7, free_bytes_min=0, context=stranger
    )
    store = HttpsMediaStore(settings, post=bench.events.append)
    assert bench.refusal(store=store) is MediaFailure.UNREACHABLE
    store.close()


def test_makes_room_by_what_was_used_longest_ago_and_nothing_needs(bench: MediaBench) -> None:
    names = [f"{number:064x}" for number in range(3)]
    for age, name in enumerate(names):
        path = bench.folder / name
        path.write_bytes(bytes(100_000))
        os.utime(path, (1_000_000 + age, 1_000_000 + age))
    mark_used(bench.folder / names[0])
    store = bench.open(bytes_max=400_000)
    assert bench.fetch(store=store, keep=names[1]) == MediaFetched(
        sha256=SHA, evicted=(names[2],), received_bytes=len(FILE)
    )
    store.close()
    assert bench.store.present() == {SHA, names[0], names[1]}


def test_a_disk_on_which_everything_is_needed_is_full_and_keeps_what_it_has(bench: MediaBench) -> None:
    needed = "cd" * 32
    (bench.folder / needed).write_bytes(bytes(250_000))
    store = bench.open(bytes_max=400_000)
    assert bench.refusal(store=store, keep=needed) is MediaFailure.DISK_FULL
    store.close()
    assert bench.store.present() == {needed}


def test_the_free_space_of_the_store_is_never_touched(bench: MediaBench) -> None:
    store = bench.open(free_bytes_min=10**15)
    assert bench.refusal(store=store) is MediaFailure.DISK_FULL
    store.close()


def test_a_file_larger_than_all_the_room_is_too_large(bench: MediaBench) -> None:
    store = bench.open(bytes_max=1_000)
    assert bench.refusal(store=store) is MediaFailure.TOO_LARGE
    store.close()


def test_parts_that_nothing_needs_any_more_go(bench: MediaBench) -> None:
    old = bench.folder / f"{'ef' * 32}.part"
    old.write_bytes(b"old")
    bench.fetch()
    assert not old.exists()


def test_a_damaged_file_can_be_discarded(bench: MediaBench) -> None:
    bench.fetch()
    bench.store.discard(SHA)
    assert bench.store.present() == frozenset()
    assert bench.store.free_bytes() > 0


def test_a_slice_brings_so_many_bytes_and_the_next_goes_on_behind_it(bench: MediaBench) -> None:
    first = bench.fetch(bytes_max=150_000)
    assert isinstance(first, MediaFailed)
    assert (first.reason, first.received_bytes) == (MediaFailure.PARTLY, 150_000)
    bench.store.close()
    bench.store = bench.open()
    assert bench.fetch(bytes_max=150_000) == MediaFetched(sha256=SHA, received_bytes=50_000)
    assert bench.server.ranges == ["bytes=0-149999", "bytes=150000-299999"]
    assert bench.store.path(SHA).read_bytes() == FILE


def test_what_came_before_a_line_broke_in_a_slice_is_told(bench: MediaBench) -> None:
    bench.server.cut_after = 70_000
    broken = bench.fetch(bytes_max=100_000)
    assert isinstance(broken, MediaFailed)
    assert (broken.reason, broken.received_bytes) == (MediaFailure.UNREACHABLE, 70_000)


def test_a_server_that_knows_no_slices_is_asked_for_none_again_and_again(bench: MediaBench) -> None:
    bench.server.knows_ranges = False
    assert bench.refusal(bytes_max=150_000) is MediaFailure.UNREACHABLE
    assert bench.fetch() == MediaFetched(sha256=SHA, received_bytes=len(FILE))


def test_for_what_is_urgent_the_plans_own_files_go_last_and_the_latest_needed_first(bench: MediaBench) -> None:
    tomorrow, week, idle = (f"{number:064x}" for number in range(3))
    for name in (tomorrow, week, idle):
        (bench.folder / name).write_bytes(bytes(60_000))
    (bench.folder / f"{week}.part").write_bytes(bytes(60_000))
    store = bench.open(bytes_max=300_000)
    event = bench.fetch(store=store, spare=(week, tomorrow))
    assert event == MediaFetched(sha256=SHA, evicted=(idle, week), received_bytes=len(FILE))
    assert store.present() == {SHA, tomorrow}
    assert not (bench.folder / f"{week}.part").exists()
    store.close()


def test_a_plans_body_is_handed_over_and_not_kept(bench: MediaBench) -> None:
    body = BodyReference(
        sha256=SHA, size_bytes=len(FILE), occurrences=1, classes=(BroadcastClass.ROUTINE,), ends_at_ms=1
    )
    for left_behind in (None, FILE, bytes(len(FILE))):
        bench.events.clear()
        if left_behind is not None:
            bench.store.path(SHA).write_bytes(left_behind)
        bench.store.fetch(FetchMedia(reference=body, keep=frozenset()))
        until_blocking(lambda: bool(bench.events), what="an answer")
        event = bench.events[0]
        if left_behind in (None, FILE):
            assert isinstance(event, BodyFetched)
            assert (event.sha256, event.content) == (SHA, FILE)
        else:
            assert isinstance(event, MediaFailed)
            assert event.reason is MediaFailure.WRONG_HASH
        assert bench.store.present() == frozenset()


def test_a_file_that_the_card_has_forgotten_is_found_told_and_gone(bench: MediaBench) -> None:
    good, rotten = hashlib.sha256(b"good").hexdigest(), hashlib.sha256(b"whole").hexdigest()
    (bench.folder / good).write_bytes(b"good")
    (bench.folder / rotten).write_bytes(b"hole")
    bench.store.check_soon()
    until_blocking(lambda: bool(bench.events), what="the damaged file is told")
    assert bench.fetch() == MediaFetched(sha256=SHA, received_bytes=len(FILE)), "and everything goes on"
    told = bench.events[0]
    assert isinstance(told, MediaFailed)
    assert (told.sha256, told.reason) == (rotten, MediaFailure.WRONG_HASH)
    assert bench.store.present() == {good, SHA}
    assert len(bench.events) == 2
