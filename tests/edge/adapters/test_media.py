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
from edge.events import Event, MediaFailed, MediaFetched
from protocol.messages import MediaReference
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
        self, sha256: str = SHA, *, size_bytes: int = len(FILE), store: HttpsMediaStore | None = None, keep: str = ""
    ) -> Event:
        """Ask for a file and wait for the answer."""
        count = len(self.events)
        reference = MediaReference(sha256=sha256, size_bytes=size_bytes, duration_ms=5_000)
        (store or self.store).fetch(FetchMedia(reference=reference, keep=frozenset({keep})))
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
    assert bench.fetch() == MediaFetched(sha256=SHA)
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
    assert bench.fetch() == MediaFetched(sha256=SHA)
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
    assert bench.fetch() == MediaFetched(sha256=SHA)


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
    assert bench.fetch(store=store, keep=names[1]) == MediaFetched(sha256=SHA, evicted=(names[2],))
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
