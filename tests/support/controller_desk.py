"""A controller's desk on a small world: a database that keeps or refuses, a broker that takes, a clock that is moved.

The desk under test is the real one with real signatures; the world runs its effects at once, like a runtime
whose database answers before the next event, unless it is told to hold its answers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from controller.configuration.config import Config
from controller.configuration.parsing import parse_config
from controller.configuration.site import site_of
from controller.dispatch import Authority, Desk
from controller.effects import Answer, CloseRelay, Commit, Effect, Note, OpenRelay, OpenVoice, Publish
from controller.errors import RequestError
from controller.events import (
    BrokerConnected,
    CommitFailed,
    Committed,
    Event,
    ListeningBegan,
    MediaPrepared,
    MessageReceived,
    RequestReceived,
    Woken,
)
from controller.people.audit import Act, Actor
from controller.records import (
    Change,
    CounterUsed,
    EmergencyRecord,
    Kept,
    NodeSeen,
    PresenceSpan,
    RelayRecord,
    ReportGap,
    ReportHead,
    StandingDocument,
    StoredReport,
    WithdrawnDocument,
)
from controller.requests import Request
from protocol.codec import cbor_decode, json_encode
from protocol.envelope import Signer, open_sealed, seal
from protocol.messages import (
    AiringRecord,
    AiringState,
    AnyDocument,
    BroadcastClass,
    MediaReference,
    NodeState,
    Readiness,
    Reality,
    Report,
    SourceKind,
)
from protocol.topics import TopicName, topic
from protocol.units import MonotonicNs, Now, SharedNs
from tests.support.pki import DevelopmentKeys

CLIP = MediaReference(sha256="a" * 64, size_bytes=30_000, duration_ms=4_000)
DRILL_CLIP = MediaReference(sha256="b" * 64, size_bytes=30_000, duration_ms=3_000)
SONG = MediaReference(sha256="c" * 64, size_bytes=90_000, duration_ms=60_000)
DocumentT = TypeVar("DocumentT")


def morning_after(pki: DevelopmentKeys) -> int:
    """05:26:40 in Hà Nội, two days after the keys became valid, in milliseconds."""
    day_ms = 24 * 3600 * 1000
    valid_from_ms = max(key.not_before_ms for key in pki.keyset.keys)
    return (valid_from_ms // day_ms + 2) * day_ms + (22 * 3600 + 26 * 60 + 40) * 1000


def plain_config(pki: DevelopmentKeys, **changes: Any) -> dict[str, Any]:
    """A small commune as its YAML says it."""
    keys = {node: pki.report_public_key(node).hex() for node in ("N001", "N002", "N003")}
    plain: dict[str, Any] = {
        "controller": "controller1",
        "trust": {
            "ca": "ca.pem",
            "certificate": "controller.pem",
            "private_key": "controller.key",
            "keyset": "keyset.cose",
            "root_keys": "root_keys.json",
            "signing_keys": [{"key_id": key, "path": f"{key}.key"} for key in ("operations-1", "drill-1")],
        },
        "database": "sqlite:///state/c.sqlite",
        "state_dir": "state",
        "http": {
            "nodes": {"certificate": "server.pem", "private_key": "server.key"},
            "console": {"token_file": "state/api.token"},
        },
        "areas": [
            {"id": "xa", "title": "Xã Bình Minh", "level": "commune"},
            {"id": "dong", "title": "Thôn Đông", "parent": "xa"},
            {"id": "doai", "title": "Thôn Đoài", "parent": "xa"},
        ],
        "nodes": [
            {"id": node, "title": f"Cụm loa {node}", "area": area, "report_key": keys[node]}
            for node, area in (("N001", "dong"), ("N002", "dong"), ("N003", "doai"))
        ],
        "feeds": [{"id": "vov1", "title": "VOV1", "urls": ["http://station.example/vov1.m3u8"]}],
        "clips": [
            {"id": "flood", "title": "Lũ khẩn cấp", "file": "flood.wav"},
            {"id": "drill", "title": "Diễn tập lũ", "file": "drill.wav", "reality": "drill"},
            {"id": "fire", "title": "Cháy rừng", "file": "flood.wav"},
        ],
        "programmes": [
            {
                "id": "morning",
                "title": "Chương trình sáng",
                "area": "xa",
                "at": "05:30:00",
                "items": [{"file": "song.mp3"}, {"feed": "vov1", "duration_s": 900}],
            }
        ],
    }
    return {**plain, **changes}


def config_of(pki: DevelopmentKeys, **changes: Any) -> Config:
    """The commune's configuration, with some keys changed."""
    return parse_config(yaml.safe_dump(plain_config(pki, **changes)), folder=Path("/site"), name="c.yaml")


class CountedNames:
    """`ports.Fresh` that counts, so that a test's names are the same each time."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def emergency_id(self) -> str:
        return f"e{next(self._numbers):04x}"

    def stream_id(self) -> str:
        return f"{next(self._numbers):016x}"

    def stream_key(self, stream: str) -> bytes:
        return bytes.fromhex(stream) * 4


class Memory:
    """A database in memory with the port's rules: all changes or none, counters only rise; it can be full."""

    def __init__(self) -> None:
        self.changes: dict[tuple[Any, ...], Change] = {}
        self.acts: list[Act] = []
        self.is_full = False

    def commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._keep(change)

    def kept(self) -> Kept:
        heads = {(each.node, each.report_key): each.number for each in self.of(ReportHead)}
        reports = self.of(StoredReport)
        return Kept(
            documents=tuple(self.of(StandingDocument)),
            counters=tuple(self.of(CounterUsed)),
            emergencies=tuple(self.of(EmergencyRecord)),
            relays=tuple(self.of(RelayRecord)),
            heads=tuple(self.of(ReportHead)),
            reports_beyond_heads=tuple(
                each for each in reports if each.number > heads.get((each.node, each.report_key), 0)
            ),
            emergency_reports=tuple(each for each in reports if isinstance(each.record, AiringRecord)),
            nodes=tuple(self.of(NodeSeen)),
        )

    def of(self, kind: type[DocumentT]) -> list[DocumentT]:
        return [each for each in self.changes.values() if isinstance(each, kind)]

    def _keep(self, change: Change) -> None:
        match change:
            case WithdrawnDocument():
                self.changes.pop(("document", change.topic), None)
            case StandingDocument():
                self.changes["document", change.topic] = change
                self._keep(CounterUsed(key_id=change.key_id, topic=change.topic, counter=change.counter))
            case CounterUsed():
                known = self.changes.get(_key_of(change))
                if not isinstance(known, CounterUsed) or known.counter < change.counter:
                    self.changes[_key_of(change)] = change
            case Act():
                self.acts.append(change)
            case StoredReport():
                self.changes.setdefault(_key_of(change), change)
            case _:
                self.changes[_key_of(change)] = change


KEYS: dict[type[Any], tuple[str, ...]] = {
    CounterUsed: ("key_id", "topic"),
    EmergencyRecord: ("id",),
    RelayRecord: ("stream",),
    StoredReport: ("node", "report_key", "number"),
    ReportGap: ("node", "report_key", "first", "last", "kind"),
    ReportHead: ("node", "report_key"),
    NodeSeen: ("node",),
    PresenceSpan: ("node", "begin_ms"),
}
"""What each record is kept under, as the database's tables have it."""


def _key_of(change: Change) -> tuple[Any, ...]:
    return (type(change), *(getattr(change, name) for name in KEYS[type(change)]))


class DeskWorld:
    """The desk, its surroundings, and what came of it."""

    def __init__(self, pki: DevelopmentKeys, *, at_ms: int | None = None, **changes: Any) -> None:
        self.pki = pki
        self.memory = Memory()
        self.fresh = CountedNames()
        self.config = config_of(pki, **changes)
        self.now = Now(monotonic_ns=MonotonicNs(10**12), shared_ns=SharedNs((at_ms or morning_after(pki)) * 10**6))
        self.effects: list[Effect] = []
        self._tickets = itertools.count(1)
        self._held: list[Commit] = []
        self.is_holding = False
        self.desk = self._new_desk()

    def _new_desk(self) -> Desk:
        authority = Authority(
            keyset=self.pki.keyset_bytes,
            scopes=self.pki.keyring,
            signers=[self.pki.signer("operations-1"), self.pki.signer("drill-1")],
        )
        return Desk(
            site=site_of(self.config), authority=authority, kept=self.memory.kept(), fresh=self.fresh, now=self.now
        )

    def restart(self) -> None:
        """The process is killed and started again; what was not yet durable is gone."""
        self._held.clear()
        self.effects.clear()
        self.desk = self._new_desk()
        self.begin()

    def begin(self) -> None:
        """Start up: the broker is there, the files are prepared."""
        self.post(Woken())
        self.post(BrokerConnected(is_session_present=False))
        self.post(ListeningBegan())
        self.prepare_media()

    def prepare_media(self) -> None:
        """Every file of the site is taken in."""
        known = {"flood.wav": CLIP, "drill.wav": DRILL_CLIP, "song.mp3": SONG}
        for path in self.desk.site.media_paths:
            self.post(MediaPrepared(path=path, media=known[Path(path).name]))

    def post(self, event: Event) -> list[Effect]:
        """One event and everything that follows at once; returns the effects of it."""
        done: list[Effect] = []
        waiting: list[Event] = [event]
        while waiting:
            for effect in self.desk.handle(waiting.pop(0), self.now):
                done.append(effect)
                if isinstance(effect, Commit):
                    waiting += self._committed(effect)
        self.effects += done
        return done

    def release(self) -> list[Effect]:
        """The database answers what it was holding."""
        held, self._held, self.is_holding = self._held, [], False
        return [each for commit in held for answer in self._committed(commit) for each in self.post(answer)]

    def _committed(self, commit: Commit) -> list[Event]:
        if self.is_holding:
            self._held.append(commit)
            return []
        if self.memory.is_full:
            return [CommitFailed(number=commit.number, reason="the disk is full")]
        self.memory.commit(commit.changes)
        return [Committed(number=commit.number)]

    def advance(self, milliseconds: int) -> list[Effect]:
        """Let time pass; the desk is woken at each of its deadlines, as a runtime would."""
        done: list[Effect] = []
        end_ns = self.now.monotonic_ns + milliseconds * 10**6
        for _ in range(10_000):
            deadline = self.desk.next_deadline()
            if deadline is None or deadline > end_ns:
                break
            self._set(max(deadline, self.now.monotonic_ns))
            done += self.post(Woken())
        else:
            raise AssertionError("the desk asks to be woken without end")
        self._set(end_ns)
        return done

    def _set(self, monotonic_ns: int) -> None:
        passed_ns = monotonic_ns - self.now.monotonic_ns
        self.now = msgspec.structs.replace(
            self.now, monotonic_ns=MonotonicNs(monotonic_ns), shared_ns=SharedNs(self.now.shared_ns + passed_ns)
        )

    def ask(self, request: Request, *, by: Actor | None = None) -> Answer:
        """Put a request; the answer must come. Raises RequestError when it is refused."""
        ticket = next(self._tickets)
        answers = [
            e for e in self.post(RequestReceived(ticket=ticket, request=request, by=by)) if isinstance(e, Answer)
        ]
        assert [each.ticket for each in answers] == [ticket]
        if isinstance(answers[0].result, RequestError):
            raise answers[0].result
        return answers[0]

    def birth(self, node: str, *, epoch: int = 1, state: Readiness = Readiness.READY) -> list[Effect]:
        """A node says what it is."""
        told = NodeState(node=node, state=state, session_epoch=epoch)
        return self.post(MessageReceived(topic=topic(TopicName.NODE_STATE, node=node), payload=json_encode(told)))

    def report(
        self, node: str, number: int, record: Any, *, previous: bytes = bytes(32), signer: Signer | None = None
    ) -> bytes:
        """A node's report arrives; returns its bytes."""
        at = topic(TopicName.REPORT, node=node)
        report = Report(node=node, number=number, previous_sha256=previous, record=record)
        payload = seal(report, signer=signer or self.pki.report_signer(node), topic=at)
        self.post(MessageReceived(topic=at, payload=payload))
        return payload


def airing(
    source_id: str, state: AiringState, at_ms: int, *, source: SourceKind = SourceKind.EMERGENCY
) -> AiringRecord:
    """A step that a node puts on record."""
    return AiringRecord(
        airing=f"{source_id}@{at_ms}",
        source=source,
        source_id=source_id,
        title="Lũ khẩn cấp",
        broadcast_class=BroadcastClass.EMERGENCY,
        reality=Reality.REAL,
        state=state,
        at_ms=at_ms,
        reason="due",
    )


def published(effects: Sequence[Effect], at: str | None = None) -> list[Publish]:
    """What was handed to the broker, on one topic or all."""
    return [each for each in effects if isinstance(each, Publish) and at in {None, each.topic}]


def document(publication: Publish, kind: type[DocumentT]) -> DocumentT:
    """The document in a publication."""
    sealed = open_sealed(publication.payload, topic=publication.topic)
    opened: object = cbor_decode(sealed.payload, AnyDocument)
    assert isinstance(opened, kind)
    return opened


def opened(effects: Sequence[Effect]) -> list[RelayRecord]:
    """The relays whose workers were begun."""
    return [each.relay for each in effects if isinstance(each, OpenRelay)]


def voiced(effects: Sequence[Effect]) -> list[RelayRecord]:
    """The voices whose workers were begun."""
    return [each.voice for each in effects if isinstance(each, OpenVoice)]


def closed(effects: Sequence[Effect]) -> list[str]:
    """The streams whose workers were ended."""
    return [each.stream for each in effects if isinstance(each, CloseRelay)]


def notes(effects: Sequence[Effect]) -> list[str]:
    """What was put into the log."""
    return [each.what for each in effects if isinstance(each, Note)]
