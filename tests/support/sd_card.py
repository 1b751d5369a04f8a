"""An SD card with physics: writes take time, a power cut loses what is under way, it fills up, it dies.

`SdCard` is what lasts through a power cut; `SimulatedStore` and `SimulatedMedia` are the ports of one process on
it. What a process had asked for and the card had not yet written is gone with the process, and no answer comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from edge.adapters.store import answer_to, failure_of
from edge.effects import (
    FetchMedia,
    ForgetDocuments,
    ForgetReports,
    KeepNote,
    StoreDocument,
    StoreReport,
    StoreRequest,
)
from edge.errors import MediaFailure
from edge.events import (
    BodyFetched,
    Event,
    LastCounter,
    MediaFailed,
    MediaFetched,
    Restored,
    StoredDocument,
    StoredNote,
    StoredReport,
)
from protocol.messages import AiringRecord
from protocol.plan import BodyReference
from protocol.units import NS_PER_MS
from simulator.world import Timer, World

WRITE_NS: Final = 8 * NS_PER_MS
"""A synchronous commit on a good SD card; cheap ones take up to 100 ms."""
FETCH_NS: Final = 300 * NS_PER_MS
"""A small file over 4G."""


@dataclass(slots=True)
class SdCard:
    """What is written; `fails` makes every write fail, `capacity_files` bounds the media."""

    documents: dict[str, StoredDocument] = field(default_factory=dict)
    counters: dict[tuple[str, str], LastCounter] = field(default_factory=dict)
    reports: dict[int, bytes] = field(default_factory=dict)
    last_number: int = 0
    last_sha256: bytes = bytes(32)
    open_airing: AiringRecord | None = None
    media: set[str] = field(default_factory=set)
    notes: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    """How many bytes have come of a file that is not whole."""
    is_run_open: bool = False
    fails: bool = False
    capacity_files: int = 1_000
    write_ns: int = WRITE_NS


class SimulatedStore:
    """The port `Store` of one process on an SD card."""

    def __init__(self, world: World, card: SdCard, *, post: Callable[[Event], None]) -> None:
        self._world = world
        self._card = card
        self._post = post
        self._free_at_ns = world.now_ns
        self._under_way: list[Timer] = []

    def load(self) -> Restored:
        """See `Store.load`."""
        card = self._card
        return Restored(
            documents=tuple(card.documents.values()),
            counters=tuple(card.counters.values()),
            reports=tuple(StoredReport(number=number, payload=card.reports[number]) for number in sorted(card.reports)),
            last_number=card.last_number,
            last_sha256=card.last_sha256,
            open_airing=card.open_airing,
            media=frozenset(card.media),
            was_cut_off=self._begin_run(),
            notes=tuple(StoredNote(name=name, payload=payload) for name, payload in card.notes.items()),
        )

    def _begin_run(self) -> bool:
        """Note that a run has begun; whether the one before had not ended."""
        was_open = self._card.is_run_open
        self._card.is_run_open = was_open or not self._card.fails
        return was_open

    def ask(self, request: StoreRequest) -> None:
        """See `Store.ask`."""
        self._free_at_ns = max(self._world.now_ns, self._free_at_ns) + self._card.write_ns
        self._under_way = [timer for timer in self._under_way if timer[2] is not None]
        self._under_way.append(self._world.at(self._free_at_ns, self._finish, request))

    def close(self) -> None:
        """See `Store.close`: what was asked for is written, and answered to nobody."""
        for timer in self._under_way:
            _, _, action, arguments = timer
            if action is not None:
                self._world.cancel(timer)
                self._write(arguments[0])
        self._under_way.clear()
        self._card.is_run_open = self._card.is_run_open and self._card.fails

    def cut_power(self) -> None:
        """What has not been written never will be."""
        for timer in self._under_way:
            self._world.cancel(timer)
        self._under_way.clear()

    def _finish(self, request: StoreRequest) -> None:
        is_written = self._write(request)
        answer = answer_to(request) if is_written else failure_of(request, "the card is read-only")
        if answer is not None:
            self._post(answer)

    def _write(self, request: StoreRequest) -> bool:
        card = self._card
        if card.fails:
            return False
        match request:
            case StoreDocument(topic=topic, key_id=key_id, counter=counter, sha256=sha256):
                card.counters[key_id, topic] = LastCounter(key_id=key_id, topic=topic, counter=counter, sha256=sha256)
                card.documents[topic] = StoredDocument(
                    topic=topic,
                    payload=request.payload,
                    key_id=key_id,
                    counter=counter,
                    sha256=sha256,
                    body=request.body,
                )
            case StoreReport():
                card.reports[request.number] = request.payload
                card.last_number, card.last_sha256 = request.chain_number, request.sha256
                card.open_airing = request.open_airing
                card.notes |= {} if request.note is None else dict([request.note])
            case ForgetDocuments():
                for topic in request.topics:
                    card.documents.pop(topic, None)
                    if request.with_counters:
                        card.counters = {place: last for place, last in card.counters.items() if place[1] != topic}
            case ForgetReports():
                for number in request.numbers:
                    card.reports.pop(number, None)
            case KeepNote():
                card.notes[request.name] = request.payload
        return True


class SimulatedMedia:
    """The port `MediaStore` of one process; `library` and `bodies` (of plans) are what the server has.

    `is_reachable`: whether it answers.
    """

    def __init__(
        self, world: World, card: SdCard, library: set[str], bodies: dict[str, bytes], *, post: Callable[[Event], None]
    ) -> None:
        self.is_reachable = True
        self.asked: list[str] = []
        self._bodies = bodies
        self._world = world
        self._card = card
        self._library = library
        self._post = post
        self._timer: Timer | None = None

    def present(self) -> frozenset[str]:
        """See `MediaStore.present`."""
        return frozenset(self._card.media)

    def fetch(self, effect: FetchMedia) -> None:
        """See `MediaStore.fetch`."""
        self.asked.append(effect.reference.sha256)
        self._timer = self._world.after(FETCH_NS, self._arrive, effect)

    def discard(self, sha256: str) -> None:
        """See `MediaStore.discard`."""
        self._card.media.discard(sha256)

    def free_bytes(self) -> int:
        """See `MediaStore.free_bytes`."""
        return (self._card.capacity_files - len(self._card.media)) * 1_000_000

    def close(self) -> None:
        """See `MediaStore.close`."""
        self._world.cancel(self._timer)

    def _arrive(self, effect: FetchMedia) -> None:
        sha256 = effect.reference.sha256
        parts, size_bytes = self._card.parts, effect.reference.size_bytes
        failure = self._failure(effect)
        if failure is not None:
            self._post(MediaFailed(sha256=sha256, reason=failure, detail="simulated"))
            return
        received = size_bytes - parts.get(sha256, 0)
        if effect.bytes_max is not None and received > effect.bytes_max:
            parts[sha256] = parts.get(sha256, 0) + effect.bytes_max
            reason, received = MediaFailure.PARTLY, effect.bytes_max
            self._post(MediaFailed(sha256=sha256, reason=reason, detail="a slice", received_bytes=received))
            return
        parts.pop(sha256, None)
        evicted: tuple[str, ...] = ()
        if len(self._card.media) >= self._card.capacity_files:
            evicted = (min(self._card.media - effect.keep - set(effect.spare), default=(*effect.spare, "")[0]),)
        self._card.media.difference_update(evicted)
        if isinstance(effect.reference, BodyReference):
            self._post(
                BodyFetched(sha256=sha256, content=self._bodies[sha256], evicted=evicted, received_bytes=received)
            )
            return
        self._card.media.add(sha256)
        self._post(MediaFetched(sha256=sha256, evicted=evicted, received_bytes=received))

    def _failure(self, effect: FetchMedia) -> MediaFailure | None:
        if not self.is_reachable:
            return MediaFailure.UNREACHABLE
        if effect.reference.sha256 not in {*self._library, *self._bodies}:
            return MediaFailure.NOT_FOUND
        is_full = len(self._card.media) >= self._card.capacity_files and not self._card.media - effect.keep
        return MediaFailure.DISK_FULL if self._card.fails or is_full else None
