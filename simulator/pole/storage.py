"""The node's store on a simulated card: `edge.adapters.store` with its promises, in virtual time.

A journal of requests, each with its checksum, one write and one sync for each, one at a time in the order asked
for; answers come when the request is durable. Its room is taken ahead, as the real one's is, so that a card that others
have filled still keeps counters and reports. What a power cut tore off the journal's end was never answered, and is
left out; damage before its end sets the whole aside, as the real store does with its database. The contract suite of
the real store (tests/contract/test_store_contract.py) runs on this.
"""

from __future__ import annotations

import contextlib
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec

from edge.adapters.store import REQUESTS_MAX, answer_to, failure_of
from edge.adapters.store_schema import RESERVE_BYTES
from edge.effects import ForgetDocuments, ForgetReports, KeepNote, StoreDocument, StoreReport, StoreRequest
from edge.errors import StoreError
from edge.events import (
    Event,
    LastCounter,
    Restored,
    StoredDocument,
    StoredNote,
    StoredReport,
)
from protocol.messages import AiringRecord
from simulator.pole.disk import Disk, DiskError
from simulator.world import World

JOURNAL: Final = "node.journal"
_NEW: Final = JOURNAL + ".new"
JOURNAL_BYTES_MAX: Final = 512 * 1024
"""A longer journal is written anew with what still counts at the next start."""
COMMIT_NS: Final = 32_000_000
"""A commit on a usual SD card: four synchronous writes of 8 ms (journal twice, database, journal's head)."""
CLOSE_NS: Final = 5_000_000_000
"""What a stopping program gives its store."""
_HEAD_BYTES: Final = 8
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder()
_RECORD_DECODER: Final = msgspec.msgpack.Decoder(AiringRecord)


class _Contents:
    """What the journal says, request by request."""

    def __init__(self) -> None:
        self.documents: dict[str, StoredDocument] = {}
        self.counters: dict[tuple[str, str], LastCounter] = {}
        self.reports: dict[int, bytes] = {}
        self.chain: tuple[int, bytes, bytes | None] = (0, bytes(32), None)
        self.is_open = False
        self.notes: dict[str, bytes] = {}

    def apply(self, request: list[Any]) -> None:
        """Do one request."""
        match request:
            case ["document", topic, payload, key_id, counter, sha256, *body]:
                self.documents[topic] = StoredDocument(
                    topic=topic, payload=payload, key_id=key_id, counter=counter, sha256=sha256, body=b"".join(body)
                )
                self.counters[(key_id, topic)] = LastCounter(key_id=key_id, topic=topic, counter=counter, sha256=sha256)
            case ["counter", key_id, topic, counter, sha256]:
                self.counters[(key_id, topic)] = LastCounter(key_id=key_id, topic=topic, counter=counter, sha256=sha256)
            case ["forget", topics, with_counters]:
                for topic in topics:
                    self.documents.pop(topic, None)
                if with_counters:
                    gone = set(topics)
                    self.counters = {place: last for place, last in self.counters.items() if place[1] not in gone}
            case _:
                self._apply_to_reports(request)

    def _apply_to_reports(self, request: list[Any]) -> None:
        match request:
            case ["report", number, payload, chain_number, sha256, airing, *note]:
                self.reports[number] = payload
                self.chain = (chain_number, sha256, airing)
                self.notes |= dict(note)
            case ["chain", number, sha256, airing]:
                self.chain = (number, sha256, airing)
            case ["run", is_open]:
                self.is_open = is_open
            case ["note", name, payload]:
                self.notes[name] = payload
            case ["acknowledged", numbers]:
                for number in numbers:
                    self.reports.pop(number, None)
            case _:
                raise StoreError(f"the journal holds what is no request: {request[0]!r}")

    def requests(self) -> list[list[Any]]:
        """The fewest requests that give the same contents."""
        number, sha256, airing = self.chain
        listed: list[list[Any]] = [
            ["document", each.topic, each.payload, each.key_id, each.counter, each.sha256, *_body(each.body)]
            for each in self.documents.values()
        ]
        listed += [["counter", each.key_id, each.topic, each.counter, each.sha256] for each in self.counters.values()]
        listed += [["report", known, payload, 0, b"", None] for known, payload in self.reports.items()]
        listed += [["note", name, payload] for name, payload in self.notes.items()]
        return [*listed, ["chain", number, sha256, airing], ["run", self.is_open]]

    def restored(self, damage: str) -> Restored:
        """As the agent takes it."""
        number, sha256, airing = self.chain
        return Restored(
            documents=tuple(self.documents.values()),
            counters=tuple(self.counters.values()),
            reports=tuple(StoredReport(number=known, payload=self.reports[known]) for known in sorted(self.reports)),
            last_number=number,
            last_sha256=sha256,
            open_airing=None if airing is None else _RECORD_DECODER.decode(airing),
            was_cut_off=self.is_open,
            notes=tuple(StoredNote(name=name, payload=payload) for name, payload in self.notes.items()),
            damage=damage,
        )


class SimulatedStore:
    """The port `Store` on one card; `post` takes an event in. A process has one; `abandon` when it dies."""

    def __init__(self, world: World, disk: Disk, *, post: Callable[[Event], None]) -> None:
        self._world = world
        self._disk = disk
        self._post = post
        self._waiting: deque[StoreRequest] = deque()
        self._is_busy = False
        self._is_abandoned = False
        self._has_failed = False

    def load(self) -> Restored:
        """See `Store.load`; a card that takes no journal gives what it holds, and says so."""
        damage, journal = "", self._disk.read(JOURNAL)
        try:
            contents, whole_bytes = _read(journal)
        except StoreError as error:
            damage = f"{JOURNAL} was damaged and set aside: {error}"
            contents, whole_bytes = _Contents(), 0
        restored = replace(contents.restored(damage), is_chain_lost=bool(damage))
        try:
            if damage:
                self._disk.rename(JOURNAL, JOURNAL + ".damaged-1")
            elif whole_bytes < len(journal):
                self._disk.cut(JOURNAL, whole_bytes)
            if not self._disk.exists(JOURNAL):
                self._write_anew(contents)
            if len(journal) > JOURNAL_BYTES_MAX:
                with contextlib.suppress(DiskError):  # without room for a second one the long one does
                    self._write_anew(contents)
            self._begin_run()
        except DiskError as error:
            damage = f"{JOURNAL} cannot be written ({error}): replace the card; nothing new will be kept"
        return replace(restored, damage=damage)

    def _begin_run(self) -> None:
        """Take the reserve, if there is room for it, and note that a run has begun; raises DiskError."""
        with contextlib.suppress(DiskError):
            self._disk.take_room(JOURNAL, len(self._disk.read(JOURNAL)) + RESERVE_BYTES)
        self._note_run(is_open=True)

    def _note_run(self, *, is_open: bool) -> None:
        self._disk.append(JOURNAL, _framed(["run", is_open]))
        self._disk.sync(JOURNAL)

    def ask(self, request: StoreRequest) -> None:
        """See `Store.ask`."""
        if len(self._waiting) >= REQUESTS_MAX:
            detail = f"{REQUESTS_MAX} requests are waiting for the disk"
            self._world.after(0, self._answer_later, self._fail, request, detail)
            return
        self._waiting.append(request)
        if not self._is_busy:
            self._begin()

    def close(self) -> None:
        """Finish what was asked for as far as the real one's 5 s would reach; it takes no time here."""
        for _ in range(CLOSE_NS // (COMMIT_NS + self._disk.delay_ns)):
            if not self._waiting or self._is_abandoned:
                break
            request = self._waiting.popleft()
            is_written, self._is_busy = self._is_busy, False
            try:
                if not is_written:
                    self._disk.append(JOURNAL, _framed(_listed(request)))
            except DiskError as error:
                self._fail(request, str(error))
                continue
            self._disk.sync(JOURNAL)
            self._answer(request)
        if not self._is_abandoned:
            with contextlib.suppress(DiskError):
                self._note_run(is_open=self._has_failed or bool(self._waiting))
        self._is_abandoned = True

    def abandon(self) -> None:
        """The process is gone: nothing more is written, nobody is answered."""
        self._is_abandoned = True
        self._waiting.clear()

    def _begin(self) -> None:
        """Write the next request; it is durable, and answered, one sync later."""
        while self._waiting and not self._is_abandoned:
            request = self._waiting[0]
            try:
                self._disk.append(JOURNAL, _framed(_listed(request)))
            except DiskError as error:
                self._waiting.popleft()
                self._world.after(0, self._answer_later, self._fail, request, str(error))
                continue
            self._is_busy = True
            self._world.after(COMMIT_NS + self._disk.delay_ns, self._synced)
            return

    def _synced(self) -> None:
        self._is_busy = False
        if self._is_abandoned or not self._waiting:
            return
        request = self._waiting.popleft()
        self._disk.sync(JOURNAL)
        self._begin()
        self._answer(request)

    def _answer_later(self, answer: Callable[..., None], *arguments: object) -> None:
        if not self._is_abandoned:
            answer(*arguments)

    def _answer(self, request: StoreRequest) -> None:
        self._has_failed = False
        self._tell(answer_to(request))

    def _fail(self, request: StoreRequest, detail: str) -> None:
        self._has_failed = True
        self._tell(failure_of(request, detail))

    def _tell(self, answer: Event | None) -> None:
        if answer is not None:
            self._post(answer)

    def _write_anew(self, contents: _Contents) -> None:
        self._disk.remove(_NEW)
        self._disk.append(_NEW, b"".join(_framed(request) for request in contents.requests()))
        self._disk.sync(_NEW)
        self._disk.rename(_NEW, JOURNAL)
        self._disk.sync()


def _listed(request: StoreRequest) -> list[Any]:
    match request:
        case StoreDocument():
            row = [request.topic, request.payload, request.key_id, request.counter, request.sha256]
            return ["document", *row, *_body(request.body)]
        case ForgetDocuments():
            return ["forget", request.topics, request.with_counters]
        case StoreReport():
            airing = None if request.open_airing is None else _ENCODER.encode(request.open_airing)
            note = () if request.note is None else (request.note,)
            return ["report", request.number, request.payload, request.chain_number, request.sha256, airing, *note]
        case ForgetReports():
            return ["acknowledged", request.numbers]
        case KeepNote():
            return ["note", request.name, request.payload]


def _body(body: bytes) -> list[bytes]:
    """Nothing where there is none: what a pole writes of most documents stays as short as it was."""
    return [body] if body else []


def _framed(request: list[Any]) -> bytes:
    body = _ENCODER.encode(request)
    return len(body).to_bytes(4) + zlib.crc32(body).to_bytes(4) + body


def _read(journal: bytes) -> tuple[_Contents, int]:
    """The contents, and how much of the journal is whole; raises StoreError for damage before its end."""
    contents = _Contents()
    position = 0
    while position < len(journal):
        head = journal[position : position + _HEAD_BYTES]
        length = int.from_bytes(head[:4])
        body = journal[position + _HEAD_BYTES : position + _HEAD_BYTES + length]
        is_whole = len(head) == _HEAD_BYTES and 0 < length == len(body)  # sectors of nothing are no empty requests
        if not is_whole or zlib.crc32(body) != int.from_bytes(head[4:]):
            if _has_more(journal, position + 1):
                raise StoreError(f"the checksum of the request at byte {position} is wrong, and more follows")
            return contents, position
        contents.apply(_DECODER.decode(body))
        position += _HEAD_BYTES + length
    return contents, position


def _has_more(journal: bytes, position: int) -> bool:
    """Whether a whole request follows anywhere after what could not be read."""
    for begin in range(position, len(journal) - _HEAD_BYTES):
        length = int.from_bytes(journal[begin : begin + 4])
        body = journal[begin + _HEAD_BYTES : begin + _HEAD_BYTES + length]
        if 0 < length == len(body) and zlib.crc32(body) == int.from_bytes(journal[begin + 4 : begin + _HEAD_BYTES]):
            return True
    return False
