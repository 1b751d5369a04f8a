"""What a node would find in its store if it started now, followed from its own effects.

A recording that begins in the middle of a run needs it: the store itself is not asked, for it may be busy. Pure.
What was asked of the store counts as stored; one that failed is asked again, and the next file knows better.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge import effects as wanted
from edge import events as happened
from edge.effects import Effect
from edge.events import Event, LastCounter, Restored, StoredDocument, StoredNote, StoredReport
from protocol.messages import AiringRecord


class Keyframe:
    """The store's contents, connection and card, as they follow from the turns so far."""

    def __init__(self) -> None:
        self.is_connected = False
        self.card = ""
        self._documents: dict[str, StoredDocument] = {}
        self._counters: dict[tuple[str, str], LastCounter] = {}
        self._reports: dict[int, bytes] = {}
        self._last_number = 0
        self._last_sha256 = bytes(32)
        self._open_airing: AiringRecord | None = None
        self._media: set[str] = set()
        self._notes: dict[str, bytes] = {}

    def restored(self) -> Restored:
        """As the store would give it."""
        return Restored(
            documents=tuple(self._documents.values()),
            counters=tuple(self._counters.values()),
            reports=tuple(
                StoredReport(number=number, payload=self._reports[number]) for number in sorted(self._reports)
            ),
            last_number=self._last_number,
            last_sha256=self._last_sha256,
            open_airing=self._open_airing,
            media=frozenset(self._media),
            notes=tuple(StoredNote(name=name, payload=payload) for name, payload in self._notes.items()),
        )

    def follow(self, event: Event, effects: Iterable[Effect]) -> None:
        """Take in a turn."""
        match event:
            case happened.Booted(restored=restored):
                self._boot(restored)
            case happened.Connected():
                self.is_connected = True
            case happened.Disconnected():
                self.is_connected = False
            case happened.MediaFetched(sha256=sha256, evicted=evicted):
                self._media = (self._media | {sha256}) - set(evicted)
            case happened.BodyFetched(evicted=evicted):
                self._media -= set(evicted)
            case happened.CardStarted(path=path):
                self.card = path
            case happened.CardFailed():
                self.card = ""
            case _:
                pass
        for effect in effects:
            self._do(effect)

    def _boot(self, restored: Restored) -> None:
        self._documents = {each.topic: each for each in restored.documents}
        self._counters = {(each.key_id, each.topic): each for each in restored.counters}
        self._reports = {each.number: each.payload for each in restored.reports}
        self._last_number, self._last_sha256 = restored.last_number, restored.last_sha256
        self._open_airing, self._media = restored.open_airing, set(restored.media)
        self._notes = {each.name: each.payload for each in restored.notes}

    def _do(self, effect: Effect) -> None:
        match effect:
            case wanted.StoreDocument():
                self._store(effect)
            case wanted.ForgetDocuments():
                self._forget(effect)
            case wanted.StoreReport():
                self._keep(effect)
            case wanted.ForgetReports(numbers=numbers):
                for number in numbers:
                    self._reports.pop(number, None)
            case wanted.KeepNote(name=name, payload=payload):
                self._notes[name] = payload
            case wanted.DiscardMedia(sha256=gone_media):
                self._media.discard(gone_media)
            case wanted.StopCard():
                self.card = ""
            case _:
                pass

    def _keep(self, effect: wanted.StoreReport) -> None:
        self._reports[effect.number] = effect.payload
        self._last_number, self._last_sha256 = effect.chain_number, effect.sha256
        self._open_airing = effect.open_airing
        if effect.note is not None:
            self._notes[effect.note[0]] = effect.note[1]

    def _forget(self, effect: wanted.ForgetDocuments) -> None:
        for topic in effect.topics:
            self._documents.pop(topic, None)
        if effect.with_counters:
            gone = set(effect.topics)
            self._counters = {key: last for key, last in self._counters.items() if key[1] not in gone}

    def _store(self, effect: wanted.StoreDocument) -> None:
        self._documents[effect.topic] = StoredDocument(
            topic=effect.topic,
            payload=effect.payload,
            key_id=effect.key_id,
            counter=effect.counter,
            sha256=effect.sha256,
            body=effect.body,
        )
        self._counters[effect.key_id, effect.topic] = LastCounter(
            key_id=effect.key_id, topic=effect.topic, counter=effect.counter, sha256=effect.sha256
        )
